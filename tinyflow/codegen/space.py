"""The iteration space of a fused group: rows of columns. Layer: codegen.

The space has n rows of m columns. What element e of a value belongs to does not depend on its
shape, so a reshape never matters: FULL values have n * m elements and e = r * m + c, ROW values n
and e = r, COLUMN values m and e = c, SCALAR values one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from tinyflow import ops
from tinyflow.codegen.expression import Unsupported
from tinyflow.ir import CONSTANT, Graph, Node, Value
from tinyflow.ops.rules import normal_axes
from tinyflow.ops.sweep import REDUCTIONS, Level, computes, stretch
from tinyflow.passes import DTYPES, SHAPES
from tinyflow.types import DType, elements, is_static, show_shape

__all__ = ["Space", "iteration_space", "reduced"]

_LOADED = (DType.bool, DType.int32, DType.int64, DType.float32, DType.float64)
_SOURCES = (CONSTANT, ops.placeholder, ops.zeros, ops.ones)
Sizes = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Space:
    """n ``rows`` of m ``columns``, the ``level`` of each value and its number of elements."""

    rows: int
    columns: int
    level: Mapping[Value, Level]


def iteration_space(body: Graph) -> Space:
    """Find the space of a body with facts SHAPES and DTYPES.

    Raises Unsupported: unknown or zero sizes, another op or dtype, a broadcast or a reduction that
    is not along whole rows or columns.
    """
    shapes = {value: _sizes(body, value) for node in body.nodes for value in node.outputs}
    for node in body.nodes:
        _check(node)
    size = max(prod(shape) for shape in shapes.values())
    lengths = {k for node in body.nodes if (k := _row_length(node, shapes, size)) is not None}
    if len(lengths) > 1:
        raise Unsupported("rows of different lengths", got=sorted(lengths))
    columns = lengths.pop() if lengths else size
    rows = size // columns
    level = _Levels(rows, columns, shapes)
    while level.sweep(body):
        pass
    return Space(rows, columns, level.final())


def _sizes(body: Graph, value: Value) -> Sizes:
    shape, dtype = body.fact(SHAPES)[value], body.fact(DTYPES)[value]
    if not is_static(shape) or dtype not in _LOADED:
        raise Unsupported("a shape or dtype no kernel is made for", got=f"{dtype}{shape}")
    if elements(shape) == 0:
        raise Unsupported("no elements", node=value.node, got=show_shape(shape))
    return tuple(size or 0 for size in shape or ())


def _check(node: Node) -> None:
    if not computes(node) and node.op not in _SOURCES:
        raise Unsupported("the op has no scalar expression", node=node)
    if node.op is CONSTANT and node.attrs["value"].size != 1:
        raise Unsupported("a constant array", node=node, fix="Make it an input.")


def _stretched(small: Sizes, large: Sizes) -> tuple[Level, int]:
    found = stretch(small, large)
    if found is None:
        shown = f"{show_shape(small)} to {show_shape(large)}"
        raise Unsupported("a broadcast along an axis in the middle", got=shown)
    return found


def reduced(node: Node, shape: Sizes) -> tuple[str, int]:
    """What a reduction of ``shape`` folds: "none", "rows" (it leaves columns), "columns" or "all".

    With it comes the row length, 0 where any would do.
    """
    axes = normal_axes(node.attrs["reduction_indices"], len(shape))
    gone = [axis for axis in axes if shape[axis] > 1]
    kept = [axis for axis in range(len(shape)) if axis not in gone and shape[axis] > 1]
    if not gone or not kept:
        return ("all" if gone else "none"), 0
    if max(kept) < min(gone):
        return "columns", prod(shape[i] for i in gone)
    if max(gone) < min(kept):
        return "rows", prod(shape[i] for i in kept)
    raise Unsupported("a reduction of axes that are neither first nor last", node=node)


def _row_length(node: Node, shapes: Mapping[Value, Sizes], size: int) -> int | None:
    """m, where this node tells; raises Unsupported if it stretches to less than the full space."""
    if node.op in REDUCTIONS:
        shape = shapes[node.inputs[0]]
        return reduced(node, shape)[1] or None if prod(shape) == size else None
    if node.op is ops.reshape:
        return None
    found = None
    for value in node.inputs:
        level, length = _stretched(shapes[value], shapes[Value(node)])
        if level in (Level.ROW, Level.COLUMN):
            if prod(shapes[Value(node)]) != size:
                raise Unsupported("a broadcast to less than the full space", node=node)
            if found not in (None, length):
                raise Unsupported("rows of different lengths", node=node)
            found = length
    return found


class _Levels:
    """Levels by numbers of elements; where n = m, by the way a value is used."""

    def __init__(self, rows: int, columns: int, shapes: Mapping[Value, Sizes]) -> None:
        self.shapes, self.found = shapes, dict[Value, Level]()
        counts = {columns: Level.COLUMN, rows: Level.ROW, 1: Level.SCALAR}
        counts[rows * columns] = Level.FULL
        for value, shape in shapes.items():
            count = prod(shape)
            if count not in counts:
                got = f"{show_shape(shape)} in {rows} rows of {columns}"
                raise Unsupported("a size that is not of the space", node=value.node, got=got)
            if rows != columns or count != rows or counts[count] in (Level.SCALAR, Level.FULL):
                self.found[value] = counts[count]

    def sweep(self, body: Graph) -> bool:
        """Look at every node once; True if something new was found."""
        before = len(self.found)
        for node in body.nodes:
            if node.op in REDUCTIONS:
                kind, _ = reduced(node, self.shapes[node.inputs[0]])
                if kind in ("rows", "columns"):
                    full = self.found.get(node.inputs[0]) is Level.FULL
                    if not full:
                        raise Unsupported("a reduction of part of the space", node=node)
                    self._set(Value(node), Level.COLUMN if kind == "rows" else Level.ROW)
                elif kind == "none":
                    self._same(node.inputs[0], Value(node))
                continue
            for value in node.inputs:
                if node.op is ops.reshape:
                    self._same(value, Value(node))
                    continue
                level, _ = _stretched(self.shapes[value], self.shapes[Value(node)])
                if level is Level.FULL:
                    self._same(value, Value(node))
                elif level is not Level.SCALAR:
                    self._set(value, level)
        return len(self.found) > before

    def final(self) -> Mapping[Value, Level]:
        """All levels; what nothing tells is a ROW value."""
        return {value: self.found.get(value, Level.ROW) for value in self.shapes}

    def _set(self, value: Value, level: Level) -> None:
        if prod(self.shapes[value]) > 1 and self.found.setdefault(value, level) is not level:
            raise Unsupported("one value along both rows and columns", node=value.node)

    def _same(self, a: Value, b: Value) -> None:
        for x, y in ((a, b), (b, a)):
            if x in self.found:
                self._set(y, self.found[x])
