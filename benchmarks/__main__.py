"""Measure everything that this project claims about speed and memory, and print it as tables.

    python -m benchmarks                          everything, some minutes
    python -m benchmarks W3 W4 memory growth      these rows only
    python -m benchmarks engine --rounds 15       all workloads W1 to W7, in more rounds

Exit status 1 if a row misses its limit.
"""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.report import Row, as_json, over
from benchmarks.workloads import WORKLOADS

__all__ = ["chosen_workloads", "main"]

GROUPS = ("engine", "memory", "growth", "grading")


def chosen_workloads(words: Sequence[str]) -> list[str]:
    """The workloads that the words ask for: W5 stands for all its sizes; engine, none for all."""
    if not words or "engine" in words:
        return list(WORKLOADS)
    return [key for key in WORKLOADS if key in words or key.split("-")[0] in words]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    families = dict.fromkeys(part for key in WORKLOADS for part in (key.split("-")[0], key))
    made.add_argument(
        "what", nargs="*", choices=[*GROUPS, *families, []], metavar="WHAT",
        help=f"{', '.join(GROUPS)}, or workloads: {', '.join(WORKLOADS)}; all by default",
    )  # fmt: skip
    made.add_argument("--rounds", type=int, default=9, help="of interleaved steps (default: 9)")
    made.add_argument(
        "--build-limit", type=float, default=60.0, metavar="SECONDS",
        help="for a contestant's first step, else it is left out (default: 60)",
    )  # fmt: skip
    made.add_argument("--no-peers", action="store_true", help="race PyTorch eager only")
    made.add_argument("--json", type=Path, metavar="FILE", help="write all numbers to FILE, too")
    return made


def measure(options: argparse.Namespace) -> list[Row]:
    """The rows of the chosen groups, each printed as soon as its group is done."""
    words = options.what
    rows: list[Row] = []
    if keys := chosen_workloads(words):
        engine = importlib.import_module("benchmarks.engine")
        rows += engine.run(keys, options.rounds, options.build_limit, not options.no_peers)
    for group in GROUPS[1:]:
        if not words or group in words:
            rows += importlib.import_module(f"benchmarks.{group}").run()
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for; 1 if a row misses its limit."""
    options = parser().parse_args(arguments)
    rows = measure(options)
    if options.json:
        options.json.write_text(json.dumps(as_json(rows), indent=1), encoding="utf-8")
    beyond = over(rows)
    for line in beyond:
        Console().print(f"misses its limit: {line}", style="red", markup=False)
    return 1 if beyond else 0


if __name__ == "__main__":
    raise SystemExit(main())
