"""Grade some hostile notebooks as whoever runs this: ``python -m tests.hostile.ordinary``."""

from __future__ import annotations

import ctypes
import json
import os
import struct
import tempfile
from pathlib import Path

from tests.hostile.rules import corpus, examine
from tests.hostile.world import world

CHOSEN = (
    *("bombs/disk", "bombs/processes", "judge/kills_the_judge", "judge/traces_the_judge"),
    *("reading/gradebook", "reading/proc", "time/endless_call", "time/~honest"),
)


def become(uid: int) -> None:
    """Give up root for ``uid``, keeping the right to read, so that root's interpreter starts."""
    read_and_search, keep_capabilities, ambient, raise_it = 2, 8, 47, 2
    libc = ctypes.CDLL(None, use_errno=True)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    libc.prctl(keep_capabilities, 1, 0, 0, 0)
    os.setresuid(uid, uid, uid)
    bit = 1 << read_and_search
    libc.capset(struct.pack("Ii", 0x20080522, 0), struct.pack("6I", bit, bit, bit, 0, 0, 0))
    libc.prctl(ambient, raise_it, read_and_search, 0, 0)


def main() -> None:
    """Examine the chosen notebooks; raises AssertionError. Prints the isolation report."""
    with tempfile.TemporaryDirectory(prefix="hostile-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with world(folder) as made:
            for case in corpus():
                if case.id in CHOSEN:
                    examine(made, case)
            print(json.dumps({"uid": os.getuid(), "grade": made.judge.isolation["grade"]}))


if __name__ == "__main__":
    main()
