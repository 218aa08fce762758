"""Steps of all workloads, interleaved: A B C A B C ..., medians of per-round ratios to eager."""

from __future__ import annotations

import json
import os
import select
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.progress import Progress
from rich.table import Table

from benchmarks.contestant import CONTESTANTS
from benchmarks.report import Row, console, number, verdict
from benchmarks.workloads import WORKLOADS, Workload

__all__ = ["Race", "Racer", "racer", "run", "wrong_losses"]

OURS, BASE = "tinyflow", "torch eager"
ROUND_SECONDS = 0.1  # of eager's steps; at least three steps
STEP_LIMIT_S = 120.0  # a contestant that takes longer to answer is out


@dataclass(frozen=True, slots=True)
class Racer:
    """A contestant's process and what it said of its first steps; ``error`` if it cannot run."""

    name: str
    process: subprocess.Popen[str]
    losses: tuple[float, ...] = ()
    build_seconds: float = 0.0
    error: str = ""

    def ask(self, command: str, limit_s: float = STEP_LIMIT_S) -> dict[str, Any]:
        """Send one command and wait for the answer, which is an error if it takes too long."""
        assert self.process.stdin and self.process.stdout
        with suppress(BrokenPipeError):
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], limit_s)[0]:
            return {"error": f"took more than {limit_s:.0f} s"}
        line = self.process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": "its process ended"}
        return answer


@contextmanager
def racer(name: str, workload: str, build_limit_s: float) -> Iterator[Racer]:
    """Start a contestant and let it make its first steps; its process ends with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.contestant", name], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        answer = Racer(name, process).ask(f"build {workload}", build_limit_s)
        losses = tuple(answer.get("losses", ()))
        yield Racer(name, process, losses, answer.get("seconds", 0.0), answer.get("error", ""))
    finally:
        with suppress(ProcessLookupError):  # with the compilers it may have started
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@dataclass(frozen=True, slots=True)
class Race:
    """Ratios to eager by contestant, their quartiles, build seconds, eager's median step seconds,
    and what was wrong with those that are not there."""

    ratios: dict[str, float]
    quartiles: dict[str, tuple[float, float]]
    builds: dict[str, float]
    eager_seconds: float
    errors: dict[str, str]


def compare(
    key: str, names: Sequence[str], rounds: int, build_limit_s: float, bar: Progress
) -> Race:
    """Race on one workload."""
    work = WORKLOADS[key]
    task = bar.add_task(work.title, total=len(names) + rounds)
    with ExitStack() as stack:
        everyone = []
        for name in names:
            bar.update(task, advance=1, description=f"{work.title}: {name} builds")
            everyone.append(stack.enter_context(racer(name, key, build_limit_s)))
        base = next(r for r in everyone if r.name == BASE)
        errors = {r.name: r.error or wrong_losses(r, base, work) for r in everyone}
        racers = [r for r in everyone if not errors[r.name]]
        times: dict[str, list[float]] = {r.name: [] for r in racers}
        steps = 0 if base not in racers else _steps(base)
        for _ in range(rounds if base in racers else 0):
            bar.update(task, advance=1, description=work.title)
            for r in racers:
                times[r.name].append(statistics.median(r.ask(f"run {steps}")["seconds"]))
    bar.remove_task(task)
    return _race(times, {r.name: r.build_seconds for r in racers}, errors)


def _race(times: dict[str, list[float]], builds: dict[str, float], errors: dict[str, str]) -> Race:
    eager = times.get(BASE, [])
    per_round = {name: [a / b for a, b in zip(mine, eager)] for name, mine in times.items()}
    per_round = {name: ratios for name, ratios in per_round.items() if ratios}
    return Race(
        {name: statistics.median(ratios) for name, ratios in per_round.items()},
        {name: tuple(np.quantile(ratios, (0.25, 0.75))) for name, ratios in per_round.items()},
        builds,
        statistics.median(eager) if eager else float("nan"),
        {name: error for name, error in errors.items() if error},
    )


def wrong_losses(racer: Racer, base: Racer, work: Workload) -> str:
    """A fast wrong step would be worth nothing."""
    if np.allclose(racer.losses, base.losses, rtol=work.tolerance, atol=0.0):
        return ""
    return f"wrong losses: {racer.losses}, eager has {base.losses}"


def _steps(base: Racer) -> int:
    return max(3, int(ROUND_SECONDS / statistics.median(base.ask("run 5")["seconds"])))


def run(
    keys: Sequence[str] = tuple(WORKLOADS),
    rounds: int = 9,
    build_limit_s: float = 60.0,
    peers: bool = True,
) -> list[Row]:
    """Measure and print the rows of these workloads; without ``peers`` only ours and eager."""
    installed = [name for name, entry in CONTESTANTS.items() if entry.installed]
    names = [name for name in installed if peers or name in (OURS, BASE)]
    columns = list(CONTESTANTS) if peers else names
    table = Table(title="Step, one thread: ratio to PyTorch eager (lower is better)")
    headings = ("workload", "limit", "aim", *columns, "eager ms", "our build s", "load")
    for heading in headings:
        table.add_column(
            heading, justify="left" if heading == "workload" else "right", no_wrap=True
        )
    rows: list[Row] = []
    notes: list[str] = []
    screen = console()
    with Progress(console=screen, transient=True) as bar:
        for key in bar.track(keys, description="workloads"):
            race = compare(key, names, rounds, build_limit_s, bar)
            found = _rows(key, race)
            rows += found
            screen.print(f"{WORKLOADS[key].title}: {verdict(found[0])} of eager")
            cells = [
                verdict(found[0]) if name == OURS else number(race.ratios.get(name))
                for name in columns
            ]
            table.add_row(
                WORKLOADS[key].title, number(found[0].limit), number(found[0].aim), *cells,
                number(race.eager_seconds * 1e3),
                verdict(found[1]) if found[1:] else number(race.builds.get(OURS)),
                f"{os.getloadavg()[0]:.1f}",
            )  # fmt: skip
            notes += [f"{key}, {name}: {error}" for name, error in race.errors.items()]
    screen.print(table)
    for note in notes:
        screen.print(note, style="dim", markup=False)
    return rows


def _rows(key: str, race: Race) -> list[Row]:
    work = WORKLOADS[key]
    more = {
        "ratios": race.ratios, "quartiles": race.quartiles, "build_seconds": race.builds,
        "eager_step_seconds": race.eager_seconds, "errors": race.errors,
        "load": os.getloadavg()[0],
    }  # fmt: skip
    rows = [Row("step", work.title, race.ratios.get(OURS), work.limit, work.aim, more=more)]
    if work.build_limit_s is not None:
        build = race.builds.get(OURS)
        rows.append(Row("build seconds", work.title, build, work.build_limit_s, work.build_aim_s))
    return rows
