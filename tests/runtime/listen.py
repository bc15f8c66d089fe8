"""A process that listens as a daemon does, and says on what.

    listen.py PATH [MODE [GROUP]]      octal mode

Says "listening FD passed|made", or "refused" and why; then waits for a line, stops listening and ends.
"""

import sys
from pathlib import Path

from postroom.runtime.lifecycle import StartRefused
from postroom.runtime.listeners import listen_unix

path, mode, group = [*sys.argv[1:], None, None][:3]
assert path is not None
try:
    listener = listen_unix(Path(path), int(mode or "660", 8), group)
except StartRefused as refused:
    print("refused", refused, flush=True)
else:
    print("listening", listener.sock.fileno(), "passed" if listener._inode is None else "made", flush=True)
    sys.stdin.readline()
    listener.close()
