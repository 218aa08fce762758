"""Grade some hostile notebooks as whoever runs this: ``python -m tests.hostile.ordinary``."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from tests.hostile.rules import corpus, examine
from tests.hostile.world import world

CHOSEN = (
    *("bombs/disk", "bombs/processes", "judge/kills_the_judge", "judge/traces_the_judge"),
    *("reading/gradebook", "reading/proc", "time/endless_call", "time/~honest"),
)


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
