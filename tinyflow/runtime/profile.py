"""Time, bytes and floating-point operations of every instruction of a run. Layer: runtime.

The emitted function is taken as it is, with a clock read after each statement, and run on a copy of
the session: ``Session.run`` itself knows nothing of profiles, and variables stay as they are.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from tinyflow.errors import RunError
from tinyflow.ir import Graph, Node, Value
from tinyflow.runtime.executor import Executable
from tinyflow.runtime.observe import as_host, observe
from tinyflow.runtime.session import Session
from tinyflow.runtime.work import bytes_moved, flops
from tinyflow.types import DType, as_dtype, show_shape

__all__ = ["Line", "Profile", "profile"]


@dataclass(frozen=True, slots=True)
class Line:
    """One instruction: median ``time_ns`` over the runs, ``moved_bytes``, ``flops`` (None:
    unknown), and ``where`` of the user's program it comes from."""

    op: str
    where: str
    shape: str
    time_ns: float
    moved_bytes: int
    flops: int | None


@dataclass(frozen=True, slots=True)
class Profile:
    """Instructions in the order they run, and ``total_ns``, the median time of a whole run
    without clocks in it. Print it, show it in a notebook, or write a ``chrome_trace``."""

    lines: tuple[Line, ...]
    runs: int
    total_ns: float

    @property
    def flops(self) -> int:
        """Floating-point operations of a run, as far as they are known."""
        return sum(line.flops or 0 for line in self.lines)

    def table(self) -> list[tuple[str, ...]]:
        """Rows of text, the slowest instruction first."""
        spent = sum(line.time_ns for line in self.lines) or 1.0
        return [
            (
                f"{line.time_ns / 1e3:.1f}",
                f"{line.time_ns / spent:.1%}",
                f"{line.moved_bytes:,}",
                "?" if line.flops is None else f"{line.flops:,}",
                "" if not line.flops else f"{line.flops / max(line.time_ns, 1.0):.2f}",
                line.shape,
                line.where,
            )
            for line in sorted(self.lines, key=lambda line: -line.time_ns)
        ]

    def __str__(self) -> str:
        rows = [_HEAD, *self.table()]
        widths = [max(map(len, column)) for column in zip(*rows)]
        text = [[cell.rjust(width) for cell, width in zip(row, widths)] for row in rows]
        for line, row in zip(text, rows):
            line[5:] = [cell.ljust(width) for cell, width in zip(row[5:], widths[5:])]
        return "\n".join([*("  ".join(line).rstrip() for line in text), self._summary()])

    def _summary(self) -> str:
        rate = self.flops / max(self.total_ns, 1.0)
        whole = f"{self.total_ns / 1e3:.1f} us a run (median of {self.runs})"
        return f"{whole}, {self.flops:,} FLOPs, {rate:.2f} GFLOP/s"

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(cell)}</th>" for cell in _HEAD)
        rows = (
            "<tr>"
            + "".join(
                f'<td style="text-align:{"right" if i < 5 else "left"}">{escape(cell)}</td>'
                for i, cell in enumerate(row)
            )
            + "</tr>"
            for row in self.table()
        )
        return f"<table><tr>{head}</tr>{''.join(rows)}</table><p>{escape(self._summary())}</p>"

    def chrome_trace(self, path: str | Path) -> None:
        """Write JSON for chrome://tracing or ui.perfetto.dev: one run, instruction by instruction.

        Raises RunError if the place cannot be written.
        """
        events, start = [], 0.0
        for line in self.lines:
            counts = {"bytes": line.moved_bytes, "flops": line.flops, "output": line.shape}
            event = {"name": line.op, "cat": "instruction", "ph": "X", "pid": 0, "tid": 0}
            times = {"ts": start / 1e3, "dur": line.time_ns / 1e3}
            events.append(event | times | {"args": counts | {"where": line.where}})
            start += line.time_ns
        try:
            Path(path).write_text(json.dumps({"traceEvents": events, "displayTimeUnit": "ns"}))
        except OSError as error:
            raise RunError(f"cannot write trace '{path}'", got=error.strerror) from error


Run = Callable[..., Any]
Typed = tuple[tuple[int, ...], DType]
_HEAD = ("us", "share", "bytes", "FLOPs", "GFLOP/s", "output", "instruction")


def profile(
    session: Session,
    fetches: Sequence[Value],
    fed: Sequence[Value],
    given: Sequence[Any],
    runs: int = 20,
) -> Profile:
    """Run ``runs`` times on a copy of the session and take medians.

    Raises RunError if ``runs`` is not positive, and what a run raises.
    """
    if runs < 1:
        raise RunError("a profile needs runs", got=runs, expected="at least 1")
    clone = session.clone()
    clone.run_values(fetches, fed, given)  # compiles, and says what is wrong with the call
    with clone.kernels.inference():
        call = clone.compiled_call(fetches, fed, given)
        if call is None:
            return _watched(clone, fetches, fed, given, runs)
        return _emitted(*call, runs)


def _emitted(executable: Executable, arguments: Sequence[Any], runs: int) -> Profile:
    """Plain runs for the total, and runs of the same function with clocks in it."""
    stamps: list[int] = []
    clocked, owners = _with_clocks(executable, stamps)
    empty = median(_laps(_only_clocks(stamps, executable.now_ns), (), stamps))
    totals, laps = [], []
    for _ in range(runs):  # in turn: what slows the machine down slows both down
        totals.append(_timed(executable, arguments))
        laps.append(_laps(clocked, arguments, stamps))
    spent: dict[int, float] = {}
    for place, owner in enumerate(owners):
        if owner is not None:
            time = max(0.0, median(lap[place] for lap in laps) - empty)
            spent[owner] = spent.get(owner, 0.0) + time
    registers = executable.program.registers
    lines = []
    for at in sorted(spent):
        step = executable.program.instructions[at]
        inputs = [(registers[i].shape, registers[i].dtype) for i in step.inputs]
        outputs = [(registers[i].shape, registers[i].dtype) for i in step.outputs]
        lines.append(_line(step.node, inputs, outputs, spent[at]))
    return Profile(tuple(lines), runs, median(totals))


def _with_clocks(executable: Executable, stamps: list[int]) -> tuple[Run, list[int | None]]:
    """The function with a clock read round each statement, and whose instruction each one is."""
    tree = ast.parse(executable.source)
    function = tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    *statements, end = function.body
    read = ast.parse("_stamp(_clock())").body
    function.body = [*read, *(part for s in statements for part in (s, *read)), end]
    names = {**executable.run.__globals__, "_stamp": stamps.append, "_clock": executable.now_ns}
    exec(compile(ast.fix_missing_locations(tree), "<profiled program>", "exec"), names)
    return names["run"], [executable.steps.get(s.lineno) for s in statements]


def _only_clocks(stamps: list[int], now_ns: Callable[[], int]) -> Run:
    """What the clocks cost: a function that does nothing else."""

    def run() -> None:
        stamp, clock = stamps.append, now_ns
        for _ in range(100):
            stamp(clock())

    return run


def _laps(run: Run, arguments: Sequence[Any], stamps: list[int]) -> list[int]:
    stamps.clear()
    run(*arguments)
    return [later - earlier for earlier, later in pairwise(stamps)]


def _timed(executable: Executable, arguments: Sequence[Any]) -> int:
    start = executable.now_ns()
    executable.run(*arguments)
    return executable.now_ns() - start


def _watched(
    session: Session,
    fetches: Sequence[Value],
    fed: Sequence[Value],
    given: Sequence[Any],
    runs: int,
) -> Profile:
    """The interpreter, node by node; looking at arrays for the first run only."""
    graph, feeds = session.prepared(fetches, fed, given)
    with suppress(NotImplementedError):  # a pass that is a homework: the graph as it was built
        graph = session.pipeline(graph)
    now_ns, seen = session.kernels.now_ns, list[tuple[Node, list[Typed], list[Typed]]]()
    stamps: list[int] = []

    def look(node: Node, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        read, made = ([_typed(session, x) for x in arrays] for arrays in (inputs, outputs))
        seen.append((node, read, made))

    observe(session, graph, feeds, look)
    totals, laps = [], []
    for _ in range(runs):
        stamps[:] = [now_ns()]
        observe(session, graph, feeds, lambda *_: stamps.append(now_ns()))
        laps.append([later - earlier for earlier, later in pairwise(stamps)])
        totals.append(stamps[-1] - stamps[0])
    lines = [_line(*part, median(lap[at] for lap in laps)) for at, part in enumerate(seen)]
    return Profile(tuple(lines), runs, median(totals))


def _typed(session: Session, array: Any) -> Typed:
    host = as_host(session.kernels, 0.0 if array is None else array)
    return host.shape, as_dtype(host.dtype)


def _line(node: Node, inputs: list[Typed], outputs: list[Typed], time_ns: float) -> Line:
    count = flops(node.op, node.attrs, [s for s, _ in inputs], [s for s, _ in outputs])
    shape = ", ".join(f"{dtype}{show_shape(sizes)}" for sizes, dtype in outputs)
    moved = bytes_moved(node.op, inputs, outputs)
    return Line(node.op.name, node.where() + _inside(node), shape, time_ns, moved, count)


def _inside(node: Node) -> str:
    """The ops of a fused group, as far as they fit into a line."""
    bodies = [value for value in node.attrs.values() if isinstance(value, Graph)]
    names = [inner.op.name for body in bodies for inner in body.nodes if not inner.op.leaf]
    more = " ..." if len(names) > 6 else ""
    return f": {' '.join(names[:6])}{more}" if names else ""
