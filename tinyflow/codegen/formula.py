"""Turn the nodes of a fused body into scalars. Layer: codegen.

Each value becomes the scalar of one of its elements; a reduction becomes a fold, and a mean a fold
and a division. Equal formulas of different nodes are one scalar.
"""

from __future__ import annotations

from collections.abc import Mapping

from tinyflow.codegen.expression import TRUTH, Builder, Scalar, Unsupported, evaluate
from tinyflow.codegen.space import Space, reduced
from tinyflow.ir import Graph, Node, Value
from tinyflow.ops.sweep import AT_END, MOVES, REDUCTIONS, Level
from tinyflow.passes import DTYPES, SHAPES
from tinyflow.types import DType

__all__ = ["Formulas"]

_OF_INTEGERS = frozenset({"where"})
_OF_TRUTH = TRUTH | {"where", "cast"}


class Formulas:
    """The scalar of each value of the body."""

    def __init__(self, body: Graph, space: Space) -> None:
        self.space, self.builder = space, Builder()
        self.dtypes = {v: _known(body.fact(DTYPES)[v]) for n in body.nodes for v in n.outputs}
        self.sizes = {value: _sizes(body, value) for value in self.dtypes}
        self.scalar: dict[Value, Scalar] = {}
        for node in body.nodes:
            try:
                made = self._lower(node)
            except Unsupported as error:
                raise error.at(node) from None
            self.scalar[Value(node)] = made

    def _lower(self, node: Node) -> Scalar:
        value, make = Value(node), self.builder.make
        dtype, level = self.dtypes[value], self.space.level[value]
        name = node.op.name
        if name == "placeholder":
            return make("load", (), dtype, level, node.name)
        if name in ("constant", "zeros", "ones"):
            number = node.attrs["value"].item() if name == "constant" else int(name == "ones")
            return self._number(number, dtype)
        inputs = [self.scalar[x] for x in node.inputs]
        if node.op in MOVES:
            return inputs[0]
        if node.op in REDUCTIONS:
            return self._reduction(node, inputs[0])
        names = {**_numbers(node.attrs), **dict(zip(node.op.inputs, inputs))}
        before = len(self.builder.order)
        result = self._cast(evaluate(node.op.expr or "", names, self.builder, dtype), dtype)
        for x in self.builder.order[before:]:
            if not x.dtype.is_floating and x.op not in (
                _OF_TRUTH if x.dtype is DType.bool else _OF_INTEGERS
            ):
                raise Unsupported("arithmetic on integers", got=f"{x.op} in {x.dtype}")
        return result

    def _number(self, number: bool | float, dtype: DType) -> Scalar:
        """A number; 1 / n and 2 / n, as means leave them, such that the kernel serves every n."""
        exact = dtype.numpy.type
        for what, n in (("rows", self.space.rows), ("columns", self.space.columns)):
            for top in (1.0, -1.0, 2.0, -2.0) if dtype.is_floating and n > 2 else ():
                if exact(top) / exact(n) == exact(number):
                    size = self.builder.make("size", (), dtype, Level.SCALAR, what)
                    return self.builder.apply("div", (top, size), dtype)
        return self.builder.constant(number, dtype)

    def _cast(self, x: Scalar, dtype: DType) -> Scalar:
        if dtype is DType.bool and x.dtype is not DType.bool:
            return self.builder.apply("ne", (x, 0), x.dtype)
        return self.builder.cast(x, dtype)

    def _reduction(self, node: Node, x: Scalar) -> Scalar:
        """A fold, and for a mean its division by the number of elements."""
        kind, _ = reduced(node, self.sizes[node.inputs[0]])
        dtype, level = self.dtypes[Value(node)], self.space.level[node.inputs[0]]
        if kind == "none":
            return self._cast(x, dtype)
        if not dtype.is_floating:
            raise Unsupported("a reduction of integers", got=dtype)
        x, name = self._cast(x, dtype), node.op.name
        counted: tuple[str, ...] = ("columns",)
        if kind == "rows":
            total, counted = self._fold("column_sum", x, Level.COLUMN_TOTAL), ("rows",)
        elif kind == "all" and level is Level.ROW:
            total, counted = self._fold("total_sum", x, Level.TOTAL), ("rows",)
        elif level is not Level.FULL:
            raise Unsupported("a reduction of part of the space")
        else:
            total = self._fold("row_max" if name == "reduce_max" else "row_sum", x, Level.ROW)
            if kind == "all" and self.space.rows > 1:
                total, counted = self._fold("total_sum", total, Level.TOTAL), ("rows", "columns")
        if name == "reduce_max" and total.op != "row_max":
            raise Unsupported("a maximum over rows")
        if name == "reduce_mean":
            for what in counted:
                size = self.builder.make("size", (), dtype, Level.SCALAR, what)
                total = self.builder.apply("div", (total, size), dtype)
        return total

    def _fold(self, op: str, x: Scalar, level: Level) -> Scalar:
        if x.level in AT_END:
            raise Unsupported("a reduction of a reduction over all rows")
        return self.builder.make(op, (x,), x.dtype, level)


def _known(dtype: DType | None) -> DType:
    if dtype is None:
        raise Unsupported("a dtype is not known")
    return dtype


def _sizes(body: Graph, value: Value) -> tuple[int, ...]:
    return tuple(size or 0 for size in body.fact(SHAPES)[value] or ())


def _numbers(attrs: Mapping[str, object]) -> dict[str, bool | int | float]:
    return {key: x for key, x in attrs.items() if isinstance(x, bool | int | float)}
