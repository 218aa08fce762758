"""Bytes of a training step: what we plan, the least any plan needs, and what PyTorch eager takes.

Counted are intermediates: activations, gradients and temporaries; parameters, slots of the
optimizer and feeds are not. Ours is ``session.memory_plan()``: the arena, against the bytes live at
the busiest step of that schedule ("over bound"). Eager's is measured: torch's profiler notes each
allocation and release of its CPU allocator (``profile_memory=True``), and the largest sum over one
step after two steps of warming up, gradients dropped before, is the peak. Column "with kernels'" is
the arena plus the same peak of what kernels allocate beside it: convolutions have no out=, so their
results have a place in the plan, which they leave untouched, and come from the allocator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

import torch
from rich.progress import track
from rich.table import Table
from torch.autograd.profiler import profile

from benchmarks import on_tinyflow, on_torch
from benchmarks.report import Row, console, number, verdict
from benchmarks.workloads import WORKLOADS

__all__ = ["peak_bytes", "run"]

BOUND_LIMIT = 1.01
RATIOS: tuple[tuple[str, str, float, float | None], ...] = (  # key, session, limit, aim
    ("W1", "cpu fusion", 1.0, None),
    ("W2", "cpu fusion", 1.0, None),
    ("W2b", "cpu fusion", 1.0, None),
    ("W3", "cpu fusion", 1.0, None),
    ("W4", "cpu fusion", 1.0, None),
    ("W4", "cpu fusion recompute", 1.0, 0.75),
    ("W6", "cpu fusion", 1.0, None),
    ("W7", "cpu fusion", 1.0, None),
    ("W7", "cpu fusion checkpoint", 0.08, 0.063),
)


def peak_bytes(step: Callable[[], object]) -> int:
    """Most bytes that torch's CPU allocator holds at a time beyond what it held before."""
    with profile(profile_memory=True) as taken:
        step()
    events = [e for e in taken.kineto_results.events() if e.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    return max(accumulate(event.nbytes() for event in events), default=0)


def run(keys: Sequence[str] = tuple(WORKLOADS)) -> list[Row]:
    """Measure and print the rows of these workloads."""
    torch.set_num_threads(1)
    table = Table(title="Bytes of intermediates in a training step (lower is better)")
    headings = ("workload", "session", "MB planned", "over bound", "limit", "eager MB")
    for heading in (*headings, "over eager", "limit", "aim", "with kernels' MB"):
        table.add_column(
            heading, justify="left" if heading in headings[:2] else "right", no_wrap=True
        )
    rows: list[Row] = []
    eager: dict[str, int] = {}
    screen = console()
    chosen = [entry for entry in RATIOS if entry[0] in keys]
    for key, config, limit, aim in track(chosen, "memory", console=screen, transient=True):
        if key not in eager:
            eager[key] = _eager_peak(key)
        planned, bound, measured = _ours(key, config)
        over_bound = Row(
            "bytes over lower bound", f"{key}, {config}", planned / bound, BOUND_LIMIT,
            more={"planned_bytes": planned, "bound_bytes": bound},
        )  # fmt: skip
        over_eager = Row(
            "bytes over eager", f"{key}, {config}", planned / eager[key], limit, aim,
            more={"eager_bytes": eager[key], "measured_bytes": measured},
        )  # fmt: skip
        rows += [over_bound, over_eager]
        table.add_row(
            WORKLOADS[key].title, config, _mega(planned), verdict(over_bound, 3),
            f"{BOUND_LIMIT:.2f}", _mega(eager[key]), verdict(over_eager, 3), number(limit),
            number(aim, 3), _mega(measured),
        )  # fmt: skip
    screen.print(table)
    return rows


def _mega(size_bytes: float) -> str:
    return number(size_bytes / 1e6)


def _eager_peak(key: str) -> int:
    work = WORKLOADS[key]
    step = on_torch.build(work, work.parameters(), work.batch())
    for _ in range(2):  # then slots of the optimizer exist
        step()
    return peak_bytes(step)


def _ours(key: str, config: str) -> tuple[int, int, int]:
    """Planned and least bytes, and the arena with the measured peak of other allocations."""
    work = WORKLOADS[key]
    ours = on_tinyflow.training(work, work.parameters(), work.batch(), config)
    for _ in range(2):
        ours.step()
    plan = ours.session.memory_plan()
    return plan.arena_bytes, plan.bound_bytes, plan.arena_bytes + peak_bytes(ours.step)
