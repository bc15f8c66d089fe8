"""python -m fuzzing TARGET CORPUS [LIBFUZZER OPTIONS]: fuzz one target; `python -m fuzzing` names them.

With TARGET `seeds`, CORPUS is a folder that gets a folder of seeds for each target.
"""

import hashlib
import sys
import time
from pathlib import Path

import atheris


def main() -> None:
    with atheris.instrument_imports(include=["postroom"]):
        from fuzzing.targets import TARGETS
    if len(sys.argv) == 1:
        print("\n".join(TARGETS))
        return
    name = sys.argv[1]
    if name == "seeds":
        for word, target in TARGETS.items():
            folder = Path(sys.argv[2]) / word
            folder.mkdir(parents=True, exist_ok=True)
            for seed in target.seeds():
                (folder / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
        return
    target = TARGETS[name]

    def once(octets: bytes) -> None:
        began = time.process_time()
        target.run(octets)
        took_s = time.process_time() - began
        assert took_s < target.bound_s, f"{took_s:.1f} s for {len(octets)} octets"

    atheris.Setup([sys.argv[0], *sys.argv[2:]], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
