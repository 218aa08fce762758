"""Draw the instructions of a program, a row each: what one run launches. Layer: viz.

    draw_launches(session.program())
    draw_launches(plain.program(), fused.program())     before and after fusion, side by side

Registers such as r3 are those of the printed program.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tinyflow.ir import Graph
from tinyflow.program import Instruction, Program
from tinyflow.program.instruction import Kind
from tinyflow.runtime.work import bytes_moved
from tinyflow.types import show_shape
from tinyflow.viz.picture import FAINT, INK, Drawing, label, legend, rectangle, sheet, show_bytes

__all__ = ["draw_launches"]

LINE, TOP, BAR = 15.0, 90.0, 84.0  # pixels: height of a line, of the head; the longest bar
LIMIT = 400  # rows; what comes later is counted and left out
MEMBERS = 42  # characters in a line of members
REMARK = "grey: nothing runs.  over r3: in place.  is W: written into the variable."
_READ, _WRITTEN = 'fill="#0072b2"', 'fill="#e69f00"'
_LOOKS = {"bytes read": _READ, "bytes written": _WRITTEN}


@dataclass(frozen=True, slots=True)
class _Row:
    """One instruction; ``outputs`` and ``members`` are lines. A view or a constant runs nothing."""

    op: str
    outputs: tuple[str, ...]
    read_bytes: int
    written_bytes: int
    members: tuple[str, ...]
    runs: bool

    @property
    def lines(self) -> int:
        return max(1, len(self.outputs), len(self.members))

    def __str__(self) -> str:
        moved = f"{show_bytes(self.read_bytes)} in, {show_bytes(self.written_bytes)} out"
        inside = f"  [{' '.join(self.members)}]" if self.members else ""
        return f"{self.op:<24} {moved if self.runs else '-':<24} {'; '.join(self.outputs)}{inside}"


def draw_launches(program: Program, after: Program | None = None) -> Drawing:
    """A row per instruction: op, results and where they go, bytes in and out, fused members.

    Of a second program, ``after`` fusion say, the rows stand beside those of the first. Of each,
    ``LIMIT`` rows are drawn. ``over r3`` marks a result that takes the storage of an input, ``is
    W`` one that is computed in the storage of a variable.
    """
    parts: list[str] = []
    words: list[str] = []
    programs = [program] if after is None else [program, after]
    tables = [[_row(each, step) for step in each.instructions] for each in programs]
    longest = max((r.read_bytes + r.written_bytes for rows in tables for r in rows), default=0)
    x = height = 0.0
    for rows, name in zip(tables, ("Before: ", "After: ") if after else ("",)):
        title = name + _summary(rows)
        widths = _widths(rows[:LIMIT])
        parts.append(label(x + 24, 32, title, 14, INK, "bold"))
        drawn, bottom = _table(rows, x + 24, widths, longest or 1)
        parts, height = parts + drawn, max(height, bottom)
        x += max(sum(widths), 8.2 * len(title)) + 40
        words += [title, *map(str, rows), ""]
    keys, end = legend(24, height + 22, _LOOKS)
    parts += [*keys, label(end, height + 22, REMARK, 11, FAINT)]
    return Drawing(sheet(max(x, 520.0), height + 44, parts), "\n".join(words).rstrip())


def _row(program: Program, step: Instruction) -> _Row:
    registers = program.registers
    ins = [(registers[i].shape, registers[i].dtype) for i in step.inputs]
    outs = [(registers[i].shape, registers[i].dtype) for i in step.outputs]
    read, written = bytes_moved(step.op, ins, []), bytes_moved(step.op, [], outs)
    bodies = [value for value in step.attrs.values() if isinstance(value, Graph)]
    members = [node.op.name for body in bodies for node in body.nodes if not node.is_leaf]
    view = bool(step.op.aliases) and not step.op.mutates
    idle = view and not step.op.can_fail  # what can fail looks at the content
    fixed = all(registers[i].kind is Kind.CONSTANT for i in step.outputs)
    lines = tuple(_output(program, step, i, view) for i in step.outputs)
    name = step.op.name if len(step.op.name) <= 32 else step.op.name[:31] + "…"
    return _Row(name, lines, read, written, tuple(_wrap(members)), not (idle or fixed))


def _output(program: Program, step: Instruction, index: int, view: bool) -> str:
    """A result with its type and what is special about its storage."""
    register, root = program.registers[index], program.registers[_root(program, index)]
    over = [
        i
        for i in step.inputs
        if register.offset_bytes is not None
        and program.registers[_root(program, i)].offset_bytes == register.offset_bytes
    ]
    remark = f" over r{over[0]}" if over else ""
    if view:
        remark = f" view of r{step.inputs[step.op.aliases[0][0]]}"
    elif root.kind is Kind.VARIABLE:
        remark = f" is {root.node.name}"
    elif root.kind is Kind.CONSTANT:
        remark = " computed once"
    return f"r{index} {register.dtype}{show_shape(register.shape)}{remark}"


def _root(program: Program, index: int) -> int:
    """The register that holds the storage."""
    while (base := program.registers[index].base) is not None:
        index = base
    return index


def _wrap(members: Sequence[str]) -> Iterator[str]:
    line = ""
    for name in members:
        if line and len(line) + len(name) + 1 > MEMBERS:
            yield line
            line = ""
        line = f"{line} {name}".strip()
    yield from [line] if line else []


def _summary(rows: Sequence[_Row]) -> str:
    runs = [row for row in rows if row.runs]
    moved = sum(row.read_bytes + row.written_bytes for row in runs)
    return f"{len(runs):,} launches move {show_bytes(moved)}"


def _widths(rows: Sequence[_Row]) -> list[float]:
    """Pixels of the columns: number, op, results, bytes, members."""
    ops = max([len(row.op) for row in rows], default=0)
    results = max([len(line) for row in rows for line in row.outputs], default=0)
    members = max([len(line) for row in rows for line in row.members], default=0)
    columns = (7.3 * ops + 16, 6.7 * max(results, 8) + 18, BAR + 66, 6.7 * members + 14)
    return [34.0, *columns]


def _table(
    rows: Sequence[_Row], left: float, widths: Sequence[float], longest: int
) -> tuple[list[str], float]:
    """SVG of the rows, and the y below them."""
    xs = [left + sum(widths[:i]) for i in range(len(widths))]
    heads = ("", "op", "result", "bytes in and out", "fused members" if widths[4] > 20 else "")
    parts = [label(x, TOP - 26, head, 11, FAINT) for x, head in zip(xs, heads)]
    y = TOP
    for at, row in enumerate(rows[:LIMIT]):
        if at % 2 == 0:
            height = LINE * row.lines + 5
            parts.append(rectangle(left - 6, y - 14, sum(widths), height, 'fill="#f4f6f9"'))
        ink = INK if row.runs else "#767f8c"
        parts.append(label(xs[0], y, str(at), 10, FAINT, "mono"))
        parts.append(label(xs[1], y, row.op, 11, ink, "bold" if row.runs else ""))
        for column, lines in ((2, row.outputs), (4, row.members)):
            for i, line in enumerate(lines):
                parts.append(label(xs[column], y + LINE * i, line, 11, ink, "mono"))
        parts += _bar(row, xs[3], y, longest)
        y += LINE * row.lines + 5
    if len(rows) > LIMIT:
        more = f"… and {len(rows) - LIMIT:,} more: print(program) shows them"
        parts.append(label(xs[1], y, more, 11, INK))
        y += LINE + 5
    return parts, y - 14


def _bar(row: _Row, x: float, y: float, longest: int) -> Iterator[str]:
    if not row.runs or not row.read_bytes + row.written_bytes:
        return
    read, written = BAR * row.read_bytes / longest, BAR * row.written_bytes / longest
    tip = f"{row.read_bytes:,} bytes in, {row.written_bytes:,} bytes out"
    yield rectangle(x, y - 9, read, 9, _READ, tip)
    yield rectangle(x + read, y - 9, written, 9, _WRITTEN, tip)
    moved = show_bytes(row.read_bytes + row.written_bytes)
    yield label(x + read + written + 5, y, moved, 10, FAINT, "mono")
