"""Ops that compare and choose, element by element. Layer: ops.

The arithmetic ones stand in ``elementwise``. Truth values are compared too: ``minimum`` of two
bools is their conjunction, ``maximum`` their disjunction.
"""

from __future__ import annotations

from tinyflow.errors import DTypeError
from tinyflow.ir.op import DTypes, Op
from tinyflow.ops.rules import (
    ANY,
    COMPARISON,
    NUMBER,
    Attrs,
    Family,
    broadcast_shape,
    same_shape,
)
from tinyflow.types import DType

__all__ = [
    "abs",
    "greater_equal",
    "less",
    "less_equal",
    "maximum",
    "minimum",
    "not_equal",
    "where",
]


def _comparison(name: str, sign: str) -> Op:
    doc = f"True where x {sign} y, broadcasting; a bool."
    return Op(name, ("x", "y"), broadcast_shape, COMPARISON, expr=f"x {sign} y", doc=doc)


less = _comparison("less", "<")
less_equal = _comparison("less_equal", "<=")
greater_equal = _comparison("greater_equal", ">=")
not_equal = _comparison("not_equal", "!=")


def _extreme(name: str, doc: str) -> Op:
    places = ((0, 0), (1, 0))
    expr = f"{name}(x, y)"
    return Op(name, ("x", "y"), broadcast_shape, ANY, inplace=places, expr=expr, doc=doc)


maximum = _extreme("maximum", "z = x where x > y, else y, broadcasting; nan if either is nan.")
minimum = _extreme("minimum", "z = x where x < y, else y, broadcasting; nan if either is nan.")

abs = Op("abs", ("x",), same_shape, NUMBER, inplace=((0, 0),), expr="abs(x)", doc="y = |x|.")


class _ChosenDType(Family):
    """The condition is a bool; x and y have one dtype, and the result has it too."""

    __slots__ = ()

    def __call__(self, attrs: Attrs, ins: DTypes, outs: DTypes) -> tuple[DTypes, DTypes]:
        if ins[0] not in (None, DType.bool):
            fix = "Compare it with something, or cast it to tf.bool."
            raise DTypeError("the condition is not bool", got=ins[0], expected=DType.bool, fix=fix)
        return Family.__call__(self, attrs, (DType.bool, *ins[1:]), outs)


where = Op(
    "where",
    inputs=("condition", "x", "y"),
    shape=broadcast_shape,
    dtype=_ChosenDType(ANY.computes, decides=(1, 2)),
    inplace=((1, 0), (2, 0)),
    expr="where(condition, x, y)",
    doc="z = x where ``condition`` is True, else y; all three broadcast.",
)
