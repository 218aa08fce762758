"""Leaves, and what reads and writes them. Layer: ops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyflow.errors import DTypeError
from tinyflow.ir.node import Value, user_line
from tinyflow.ir.op import CONSTANT, Attribute, DTypes, Op, Operand, as_value
from tinyflow.ops.rules import ANY, Attrs, Family, attribute_dtype, attribute_shape, same_shape
from tinyflow.types import DType, Shape, as_dtype, default_dtype, unify_shape

__all__ = [
    "CONSTANT",
    "assign",
    "constant",
    "group",
    "identity",
    "placeholder",
    "shows_variable",
    "stop_gradient",
    "variable",
    "with_gradient",
]

_LEAF = {
    "dtype": Attribute("dtype", doc="element type"),
    "shape": Attribute("shape", None, "None, or sizes of which some may be None"),
}

placeholder = Op(
    "placeholder",
    inputs=(),
    attributes=_LEAF,
    shape=attribute_shape,
    dtype=attribute_dtype,
    leaf=True,
    doc="An input that every run is fed. What ``shape`` leaves open may be inferred.",
)

variable = Op(
    "variable",
    inputs=(),
    attributes=_LEAF,
    shape=attribute_shape,
    dtype=attribute_dtype,
    leaf=True,
    doc="""State that lives in the session under the name of the node, from run to run. What
    ``shape`` leaves open is inferred from its use: ``linear`` knows its weight from its input.""",
)


def constant(value: Operand | Sequence[Any], dtype: DType | str | None = None) -> Value:
    """A constant node.

    A number without ``dtype`` is weak: it takes the dtype that it meets. A list without ``dtype``
    is bool, int32 or float32; an array keeps its own. Raises DTypeError for other contents, and for
    numbers that the dtype would change: a fraction or too large a number among integers.
    """
    if isinstance(value, Value) or (dtype is None and isinstance(value, bool | int | float)):
        return as_value(value)
    try:
        array = np.asarray(value)
    except ValueError:  # rows of different lengths
        array = np.asarray(None)
    if dtype is not None:
        target = as_dtype(dtype)
    else:
        target = as_dtype(array.dtype)
        if not isinstance(value, np.ndarray | np.generic):
            target = default_dtype(array)
    if array.dtype.kind not in "biuf" or not target.holds(array):
        got = "no array of numbers" if array.dtype.kind not in "biuf" else f"{value!r:.80}"
        raise DTypeError("the content does not fit", node=user_line(), got=got, expected=target)
    if target is not DType.bfloat16:  # numpy has none: the backend casts
        array = array.astype(target.numpy)
    return Value(CONSTANT.node((), {"value": array, "dtype": target}))


class _AssignedDType(Family):
    """The variable decides; the value is cast, but a fraction does not fit into an integer."""

    __slots__ = ()

    def __call__(self, attrs: Attrs, ins: DTypes, outs: DTypes) -> tuple[DTypes, DTypes]:
        variable, value = ins
        if variable and value and value.is_floating and not variable.is_floating:
            raise DTypeError("cannot assign", got=value, expected=variable, fix="Cast the value.")
        return Family.__call__(self, attrs, ins, outs)


assign = Op(
    "assign",
    inputs=("variable", "value"),
    shape=same_shape,
    dtype=_AssignedDType(ANY.computes, decides=(0,), converts=(0, 1)),
    mutates=frozenset({0}),
    aliases=((0, 0),),
    doc="Write ``value`` into ``variable``; the output is the variable after the write.",
)


def shows_variable(value: Value) -> bool:
    """True for a variable, a view of one, and what an assign returns: a write changes them."""
    node = value.node
    while node.op.aliases:
        node = node.inputs[0].node
    return node.op is variable


def _group_shape(attrs: Attrs, ins: Sequence[Shape], outs: Sequence[Shape]) -> Any:
    return ins, ((),)


def _group_dtype(attrs: Attrs, ins: DTypes, outs: DTypes) -> tuple[DTypes, DTypes]:
    return ins, (DType.bool,)


group = Op(
    "group",
    inputs=(),
    shape=_group_shape,
    dtype=_group_dtype,
    doc="""Run the nodes in ``after``: ``group(after=(a, b))``. Its value, a bool scalar, means
    nothing; a session fetches it as None.""",
)

identity = Op(
    "identity",
    inputs=("x",),
    shape=same_shape,
    dtype=ANY,
    inplace=((0, 0),),
    expr="x",
    doc="y = x, a copy: the value of a variable before a later write.",
)

stop_gradient = Op(
    "stop_gradient",
    inputs=("x",),
    shape=same_shape,
    dtype=ANY,
    inplace=((0, 0),),
    expr="x",
    doc="y = x, through which no gradient flows.",
)


def _passed_shape(attrs: Attrs, ins: Sequence[Shape], outs: Sequence[Shape]) -> Any:
    shape = unify_shape(ins[0], outs[0])
    return (shape, *ins[1:]), (shape,)


def _passed_dtype(attrs: Attrs, ins: DTypes, outs: DTypes) -> tuple[DTypes, DTypes]:
    dtype = ins[0] or outs[0]
    return (dtype, *ins[1:]), (dtype,)


with_gradient = Op(
    "with_gradient",
    inputs=("y", "x"),
    variadic=True,
    attributes={
        "backward": Attribute("graph", doc="outputs dy, a placeholder, and a dx for each x")
    },
    shape=_passed_shape,
    dtype=_passed_dtype,
    inplace=((0, 0),),
    doc="""y, through which the gradient dy flows not to y but to each x, as the dx that
    ``backward`` computes from dy. What is not among the x gets no gradient.""",
)
