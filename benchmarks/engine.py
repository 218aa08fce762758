"""Training steps, interleaved: A B C A B C ..., medians of per-round ratios to PyTorch eager."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.contestant import CONTESTANTS
from benchmarks.workloads import WORKLOADS

__all__ = ["run"]

BASE = "torch eager"


@dataclass(frozen=True, slots=True)
class Racer:
    """A contestant's process and what it said of its first steps."""

    name: str
    process: subprocess.Popen[str]
    losses: tuple[float, ...]
    build_seconds: float

    def ask(self, command: str) -> dict[str, Any]:
        """Send one command and wait for the answer."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


@contextmanager
def racer(name: str, workload: str) -> Iterator[Racer]:
    """Start a contestant and let it make its first steps; losses are empty if it cannot."""
    command = [sys.executable, "-m", "benchmarks.contestant", name]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
    ) as process:
        started = Racer(name, process, (), 0.0)
        answer = started.ask(f"build {workload}")
        yield Racer(
            name, process, tuple(answer.get("losses", ())), float(answer.get("seconds", 0.0))
        )
        assert process.stdin
        process.stdin.close()


def compare(workload: str, rounds: int) -> tuple[dict[str, float], dict[str, float], float]:
    """Median ratio to eager and build seconds by contestant, and eager's median step seconds."""
    with ExitStack() as stack:
        everyone = [stack.enter_context(racer(name, workload)) for name in CONTESTANTS]
        racers = [r for r in everyone if r.losses]
        base = next(r for r in racers if r.name == BASE)
        for other in racers:  # a fast wrong step would be worth nothing
            np.testing.assert_allclose(other.losses, base.losses, rtol=1e-4)
        steps = max(20, int(0.1 / statistics.median(base.ask("run 30")["seconds"])))
        medians: dict[str, list[float]] = {r.name: [] for r in racers}
        for _ in track(range(rounds), description=workload, transient=True):
            for r in racers:
                medians[r.name].append(statistics.median(r.ask(f"run {steps}")["seconds"]))
    ratios = {
        name: statistics.median(a / b for a, b in zip(times, medians[BASE]))
        for name, times in medians.items()
    }
    builds = {r.name: r.build_seconds for r in racers}
    return ratios, builds, statistics.median(medians[BASE])


def run(rounds: int = 9) -> list[str]:
    """Measure and print all rows; returns the rows that are over their limit."""
    names = list(CONTESTANTS)
    table = Table(title="Training step, one thread: ratio to PyTorch eager (lower is better)")
    for heading in ("workload", "limit", *names, "eager step", "build s (ours)"):
        table.add_column(heading, justify="left" if heading == "workload" else "right")
    over = []
    for key, work in WORKLOADS.items():
        ratios, builds, seconds = compare(key, rounds)
        cells = [f"{ratios[n]:.2f}" if n in ratios else "-" for n in names]
        table.add_row(
            work.title, f"{work.limit:.2f}", *cells, f"{seconds * 1e6:.0f} us",
            f"{builds['tinyflow']:.2f}",
        )  # fmt: skip
        if ratios["tinyflow"] > work.limit:
            over.append(f"{work.title}: {ratios['tinyflow']:.2f} over {work.limit:.2f}")
    Console().print(table)
    return over
