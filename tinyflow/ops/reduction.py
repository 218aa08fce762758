"""Ops that take axes away. Layer: ops.

``reduction_indices``: axes, negative ones counted from the end; None means all, () none.
"""

from __future__ import annotations

from tinyflow.errors import ShapeError
from tinyflow.ir.op import Attribute, Op, Shapes
from tinyflow.ops.rules import ANY, FLOATING, NUMBER, Attrs, Family, normal_axes, reduce_shape
from tinyflow.types import DType, show_shape, unify_shape

__all__ = [
    "argmax", "reduce_max", "reduce_mean", "reduce_min", "reduce_prod", "reduce_sum", "size",
]  # fmt: skip

_AXES = Attribute("ints", None, "axes to take away; None: all")
_REDUCTION = {"reduction_indices": _AXES, "keepdims": Attribute("bool", False, "keep as size 1")}

reduce_sum = Op(
    "reduce_sum",
    inputs=("x",),
    attributes=_REDUCTION,
    shape=reduce_shape,
    dtype=NUMBER,
    doc="y = Σ x over the axes; the dtype of x, float32 for bool; 0 over no elements.",
)

reduce_prod = Op(
    "reduce_prod",
    inputs=("x",),
    attributes=_REDUCTION,
    shape=reduce_shape,
    dtype=NUMBER,
    doc="y = Π x over the axes; the dtype of x, float32 for bool; 1 over no elements.",
)

reduce_mean = Op(
    "reduce_mean",
    inputs=("x",),
    attributes=_REDUCTION,
    shape=reduce_shape,
    dtype=FLOATING,
    doc="y = Σ x / n over the n elements along the axes; nan over none.",
)


def _max_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """As every reduction, but nothing has no maximum and no minimum."""
    (x,), outs = reduce_shape(attrs, ins, outs)
    if x is not None and any(x[i] == 0 for i in normal_axes(attrs["reduction_indices"], len(x))):
        raise ShapeError(
            "no maximum, no minimum of no elements", got=show_shape(x), expected="sizes above 0"
        )
    return (x,), outs


reduce_max = Op(
    "reduce_max",
    inputs=("x",),
    attributes=_REDUCTION,
    shape=_max_shape,
    dtype=ANY,
    doc="y = max x over the axes, none of which may have size 0; nan if any is nan.",
)


reduce_min = Op(
    "reduce_min",
    inputs=("x",),
    attributes=_REDUCTION,
    shape=_max_shape,
    dtype=ANY,
    doc="y = min x over the axes, none of which may have size 0; nan if any is nan.",
)


def _argmax_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """A maximum over one axis."""
    return _max_shape({"reduction_indices": (attrs["axis"],), "keepdims": False}, ins, outs)


argmax = Op(
    "argmax",
    inputs=("x",),
    attributes={"axis": Attribute("int", 0, "the axis to take away")},
    shape=_argmax_shape,
    dtype=Family(NUMBER.computes, result=DType.int64),
    doc="Index of the largest element along ``axis``, the first of equals; an int64.",
)


def _size_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """A scalar, whatever x is; the axes are checked as soon as the rank is known."""
    if ins[0] is not None:
        normal_axes(attrs["reduction_indices"], len(ins[0]))
    return ins, (unify_shape(outs[0], ()),)


size = Op(
    "size",
    inputs=("x",),
    attributes={"reduction_indices": _AXES},
    shape=_size_shape,
    dtype=FLOATING,
    shape_only=frozenset({0}),
    doc="""The number of elements along the axes (1 for none), a scalar in the dtype of x (float32
    if that is not a floating one): what a mean divides by.""",
)
