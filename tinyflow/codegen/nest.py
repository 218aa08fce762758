"""The loop nest of a fused kernel, as data that every back end prints. Layer: codegen.

once, then for each row: statements and column loops in turn, then once at the end. Sums and
maxima live across one loop: a row reduction is an accumulator of the column loop that computes
its argument, a total one of the row loop. Column sums need a scratch row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tinyflow.codegen.expression import Scalar
from tinyflow.ops.sweep import Level
from tinyflow.types import DType

__all__ = ["Array", "ColumnLoop", "Let", "SCRATCH_BYTES", "Nest", "Statement", "Store"]

SCRATCH_BYTES = 1 << 16  # for all scratch rows, on the stack of whoever calls the kernel


@dataclass(frozen=True, slots=True)
class Array:
    """An array of the kernel: one element per what ``level`` says."""

    name: str
    dtype: DType
    level: Level


@dataclass(frozen=True, slots=True)
class Let:
    """Compute a scalar and give it its name."""

    scalar: Scalar


@dataclass(frozen=True, slots=True)
class Store:
    """Write a scalar to the element of ``array`` at this row and column; or add it there."""

    array: Array
    scalar: Scalar
    add: bool = False


Statement = Let | Store


@dataclass(frozen=True, slots=True)
class ColumnLoop:
    """For each column: ``statements``; ``folds`` are the row reductions gathered on the way."""

    statements: tuple[Statement, ...]
    folds: tuple[Scalar, ...] = ()


@dataclass(frozen=True, slots=True)
class Nest:
    """A kernel: inputs, outputs and scratch rows, and what is done once, per row and at the end.

    ``totals`` are the folds of the row loop. ``order`` holds all scalars, each after its
    arguments, for back ends that keep a whole row at once. ``wide``: rows are so long that their
    sums are taken in float64; totals and sums over rows always are.
    """

    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]
    scratch: tuple[Array, ...]
    once: tuple[Statement, ...]
    row: tuple[Statement | ColumnLoop, ...]
    totals: tuple[Scalar, ...]
    end: tuple[Statement | ColumnLoop, ...]
    order: tuple[Scalar, ...]
    results: tuple[Scalar, ...]
    wide: bool

    @property
    def scratch_elements(self) -> int:
        """Elements of each scratch row; the nest has scratch only if its columns fit."""
        return SCRATCH_BYTES // (8 * max(len(self.scratch), 1))

    @property
    def sums(self) -> tuple[Array, ...]:
        """The scratch rows in which column sums gather: they start at 0."""
        loops = [item for item in self.row if isinstance(item, ColumnLoop)]
        stores = [s for loop in loops for s in loop.statements if isinstance(s, Store) and s.add]
        return tuple(dict.fromkeys(store.array for store in stores))

    def __str__(self) -> str:
        return "\n".join(_lines(self)) + "\n"


def _lines(nest: Nest) -> Iterator[str]:
    arrays = ", ".join(
        f"{a.name}: {a.dtype} {a.level.name.lower()}" for a in (*nest.inputs, *nest.outputs)
    )
    yield f"def kernel({arrays}):"
    for array in nest.scratch:
        yield f"    {array.name} = {array.dtype}(columns)"
    yield from _items(nest.once, "    ")
    for fold in nest.totals:
        yield f"    {fold.name} = 0"
    if nest.row:
        yield "    for r in rows:"
        yield from _items(nest.row, "        ")
        for fold in nest.totals:
            yield f"        {fold.name} += {fold.args[0].name}"
    yield from _items(nest.end, "    ")


def _items(items: tuple[Statement | ColumnLoop, ...], indent: str) -> Iterator[str]:
    for item in items:
        if isinstance(item, Let):
            yield f"{indent}{item.scalar!r}"
        elif isinstance(item, Store):
            at = {Level.FULL: "[r, c]", Level.ROW: "[r]", Level.COLUMN: "[c]"}
            place = item.array.name + at.get(item.array.level, "[0]")
            yield f"{indent}{place} {'+=' if item.add else '='} {item.scalar.name}"
        else:
            for fold in item.folds:
                yield f"{indent}{fold.name} = {'0' if fold.op == 'row_sum' else '-inf'}"
            yield f"{indent}for c in columns:"
            yield from _items(item.statements, indent + "    ")
            for fold in item.folds:
                name, x = fold.name, fold.args[0].name
                change = f"{name} += {x}" if fold.op == "row_sum" else f"{name} = max({name}, {x})"
                yield f"{indent}    {change}"
