"""A process that writes two events to the journal and says that it lives.

journal_speaker.py TARGET
"""

import sys
from typing import cast

from postroom.runtime.log import Target, open_log

log = open_log("policy", "info", cast(Target, sys.argv[1]))
log.warning(
    "handover.unavailable", error="two\nlines, \u00fcber", queue_id="4XyZ", took_ms=0.5, again=True, nothing=None
)
log.debug("not.written")
print("lives", flush=True)
