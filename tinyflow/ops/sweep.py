"""What one kernel can compute: a sweep over rows of columns. Layer: ops.

A kernel visits every element of its *space* once, row by row; the last axis of the space holds the
columns, all axes before it the rows. Each value has a *level*, how often it is computed during the
sweep. That decides what fits: one number per row can be read in all its columns, but a sum over the
rows is known only when the sweep has ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from math import prod

from tinyflow.ir import CONSTANT, Node, Value
from tinyflow.ops.elementwise import cast, exp, sigmoid, tanh
from tinyflow.ops.layout import broadcast_to, reshape
from tinyflow.ops.reduction import reduce_max, reduce_mean, reduce_sum
from tinyflow.ops.rules import normal_axes
from tinyflow.ops.transformer import erf, gelu, gelu_grad
from tinyflow.types import DType, Shape, elements, is_static

__all__ = ["AT_END", "MOVES", "REDUCTIONS", "Group", "Level", "computes", "stretch"]

MOST_INPUTS = 24  # more would spill registers
MOST_NODES = 64  # compilers take more than linear time
REDUCTIONS = (reduce_sum, reduce_mean, reduce_max)
MOVES = (reshape, broadcast_to)
_COSTLY = (exp, tanh, sigmoid, erf, gelu, gelu_grad)


class Level(IntEnum):
    """How often a value is computed: once, per column, per row, per element, or at the end."""

    SCALAR = 0
    COLUMN = 1
    ROW = 2
    FULL = 3
    TOTAL = 4  # a reduction of everything, or made of one
    COLUMN_TOTAL = 5  # a reduction over the rows, or made of one


AT_END = (Level.TOTAL, Level.COLUMN_TOTAL)


def computes(node: Node) -> bool:
    """True for the kinds of ops that kernels can be generated for."""
    return bool(node.op.expr) or node.op in REDUCTIONS or node.op in MOVES


def stretch(small: tuple[int, ...], large: tuple[int, ...]) -> tuple[Level, int] | None:
    """The level of ``small`` where numpy stretches it to ``large``, and the row length it needs.

    0 stands for any length. None if it is stretched along axes that are neither first nor last.

    >>> stretch((3,), (2, 3)), stretch((2, 1), (2, 3)), stretch((2, 1, 3), (2, 4, 3))
    ((<Level.COLUMN: 1>, 3), (<Level.ROW: 2>, 3), None)
    """
    padded = (1,) * (len(large) - len(small)) + small
    if padded == large:
        return Level.FULL, 0
    if prod(small) == 1:
        return Level.SCALAR, 0
    for at in range(len(large)):
        left, right, length = padded[:at], padded[at:], prod(large[at:])
        if prod(left) == 1 and right == large[at:]:
            return Level.COLUMN, length
        if left == large[:at] and prod(right) == 1:
            return Level.ROW, length
    return None


@dataclass(slots=True)
class Group:
    """Nodes that are computed in one sweep over ``space``, and the level of each of their values.

    ``shapes`` and ``dtypes`` tell of all values of the graph; the sweep computes in ``dtype``.
    """

    shapes: Mapping[Value, Shape]
    dtypes: Mapping[Value, DType | None]
    space: tuple[int, ...]
    dtype: DType
    nodes: list[Node] = field(default_factory=list)
    levels: dict[Value, Level] = field(default_factory=dict)
    inputs: dict[tuple[Value, int], None] = field(default_factory=dict)
    ends: dict[Shape, Level] = field(default_factory=dict)  # what is known only at the end

    @staticmethod
    def start(
        node: Node,
        shapes: Mapping[Value, Shape],
        dtypes: Mapping[Value, DType | None],
        dtype: DType | None,
    ) -> Group | None:
        """A group of ``node``, over the space of its result or of what it reduces.

        None if no kernel can begin with it: not floating, not of known size, or empty.
        """
        space = shapes[node.inputs[0] if node.op in REDUCTIONS else node.outputs[0]]
        if dtype not in (DType.float32, DType.float64) or not is_static(space) or 0 in space:
            return None
        group = Group(shapes, dtypes, space, dtype)
        level = group.level(node)
        if level is None:
            return None
        group.add(node, level)
        return group

    def level(self, node: Node) -> Level | None:
        """The level that the result of ``node`` would have in this group; None: it does not fit.

        A node fits if it waits for nothing but data, has one result, all sizes are known, the
        kernel does not grow too large, and its dtypes and the levels of its operands allow it.
        """
        if node.after or len(node.outputs) != 1 or not computes(node):
            return None
        shapes = [self.shapes[value] for value in (*node.inputs, *node.outputs)]
        if not all(map(is_static, shapes)):
            return None
        new = {v for v in node.inputs if v not in self.levels and elements(self.shapes[v]) != 1}
        if len(self.nodes) >= MOST_NODES or len(self.inputs) + len(new) > MOST_INPUTS:
            return None
        if not self._dtypes_fit(node):
            return None
        return self._reduced(node) if node.op in REDUCTIONS else self._elementwise(node)

    def add(self, node: Node, level: Level) -> None:
        """Take ``node`` in."""
        self.nodes.append(node)
        self.levels[node.outputs[0]] = level
        if level in AT_END:
            self.ends[self.shapes[node.outputs[0]]] = level
        for value in node.inputs:
            if value not in self.levels:
                self.inputs[value, value.version] = None

    def reads(self) -> list[Value]:
        """What the kernel is handed, in order: all inputs but numbers that the graph states."""
        return [value for value, _ in self.inputs if not self.is_number(value)]

    def is_number(self, value: Value) -> bool:
        """True for a constant of no axes: it is part of the kernel."""
        return value.node.op is CONSTANT and self.shapes[value] == ()

    def pays(self) -> bool:
        """One op is worth a kernel only where generated polynomials beat the library."""
        costly = any(node.op in _COSTLY for node in self.nodes)
        return costly or sum(node.op not in MOVES for node in self.nodes) > 1

    def _dtypes_fit(self, node: Node) -> bool:
        """One dtype and truths; comparisons and casts read integers, and moves pass them on."""
        made, moves = self.dtypes[node.outputs[0]], node.op in MOVES
        plain = {self.dtype, DType.bool}
        more = plain | {DType.int32, DType.int64}
        reads = more if moves or node.op is cast or made is DType.bool else plain
        makes = more if moves else plain
        return made in makes and {self.dtypes[value] for value in node.inputs} <= reads

    def _lies(self, value: Value) -> Level | None:
        """The level of an operand of elements that fill the space; None: it is not stretched so."""
        shape: tuple[int, ...] = self.shapes[value]  # type: ignore[assignment]  # it is static
        level, columns = stretch(shape, self.space) or (None, 0)
        if self.levels.get(value) is Level.ROW and level is Level.COLUMN:
            return None  # one number per row, (n,), of as many rows as columns
        return level if not columns or columns == self.space[-1] else None

    def _elementwise(self, node: Node) -> Level | None:
        """The level of an elementwise op or a move.

        - FULL if the result fills the space and numpy stretches every operand to it: elements, rows
          (n, 1), columns (m,) or numbers, none known only at the end. A reshape may only change
          axes of size 1 in front.
        - ROW for a reshape of one number per row, (n,) to (n, 1) or back, and for what is computed
          from ROW values of its own shape and numbers.
        - At the end, for what is computed from such values of its own shape, numbers and inputs,
          and for what is computed from inputs alone but has the shape of such a value: an update.
        """
        shapes = [self.shapes[value] for value in node.inputs]
        inside = {self.levels[value] for value in node.inputs if value in self.levels}
        shape = self.shapes[node.outputs[0]]
        if shape == self.space and not inside & set(AT_END):
            levels = {self._lies(value) for value in node.inputs}
            moved = node.op is reshape and levels != {Level.FULL}
            return None if None in levels or moved else Level.FULL
        if node.op is reshape:
            rows = {self.space[:-1], (*self.space[:-1], 1)} if len(self.space) > 1 else set()
            return Level.ROW if inside <= {Level.ROW} and {*shapes, shape} <= rows else None
        if not node.op.expr or not set(shapes) <= {shape, ()}:
            return None
        if inside == {Level.ROW}:
            return Level.ROW
        return max(inside, default=self.ends.get(shape)) if inside <= set(AT_END) else None

    def _reduced(self, node: Node) -> Level | None:
        """The level of a reduction of the space, or of one number per row.

        Over the last axis: ROW. A sum over all axes but the last: COLUMN_TOTAL. A sum or mean of
        everything, or of all rows: TOTAL. Nothing else is computed in one sweep.
        """
        x = node.inputs[0]
        shape, level = self.shapes[x] or (), self.levels.get(x, Level.FULL)
        axes, last = normal_axes(node.attrs["reduction_indices"], len(shape)), len(shape) - 1
        if level is not Level.ROW and (level is not Level.FULL or shape != self.space):
            return None
        if len(axes) == len(shape):
            return None if node.op is reduce_max else Level.TOTAL
        if level is Level.FULL and axes == (last,):
            return Level.ROW
        leading = level is Level.FULL and axes == tuple(range(last))
        return Level.COLUMN_TOTAL if leading and node.op is reduce_sum else None
