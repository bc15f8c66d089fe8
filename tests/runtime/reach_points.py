"""A process that comes to fault points, one after the other.

reach_points.py STATE_DIR POINT...     says each point it got past
"""

import os
import sys
from pathlib import Path

from postroom.runtime.fault_points import FaultPointsRefused, armed_faults

try:
    faults = armed_faults(os.environ, Path(sys.argv[1]))
except FaultPointsRefused as refused:
    sys.exit(str(refused))
for point in sys.argv[2:]:
    faults.reach(point)
    print(point, flush=True)
