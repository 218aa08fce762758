"""Ops that work element by element. Layer: ops.

Binary ops broadcast as numpy does. ``expr`` is the same formula as a Python expression of the input
names; fused kernels are generated from it.
"""

from __future__ import annotations

from tinyflow.ir.op import Attribute, DTypes, Op, Shapes
from tinyflow.ops.rules import (
    ANY,
    COMPARISON,
    FLOATING,
    NUMBER,
    Attrs,
    Family,
    attribute_dtype,
    broadcast_shape,
    same_shape,
)

__all__ = [
    "add", "cast", "cast_like", "div", "equal", "exp", "greater", "log", "mul", "neg", "ones_like",
    "pow", "relu", "relu_grad", "sigmoid", "sigmoid_grad", "sqrt", "sub", "tanh", "tanh_grad",
    "zeros_like",
]  # fmt: skip


def _binary(name: str, dtype: Family, expr: str, doc: str) -> Op:
    """An op of two inputs that broadcast; x or y may share storage with the result."""
    places = ((0, 0), (1, 0)) if dtype.result is None else ()
    return Op(name, ("x", "y"), broadcast_shape, dtype, inplace=places, expr=expr, doc=doc)


def _unary(name: str, dtype: Family, expr: str, doc: str) -> Op:
    """An op of one input and a result of its shape, which may share its storage."""
    return Op(name, ("x",), same_shape, dtype, inplace=((0, 0),), expr=expr, doc=doc)


def _backward(name: str, expr: str, doc: str) -> Op:
    """dx from dy and the y that the forward op returned; all of one shape."""
    places = ((0, 0), (1, 0))
    return Op(name, ("dy", "y"), same_shape, FLOATING, inplace=places, expr=expr, doc=doc)


add = _binary("add", NUMBER, "x + y", "z = x + y, broadcasting.")
sub = _binary("sub", NUMBER, "x - y", "z = x - y, broadcasting.")
mul = _binary("mul", NUMBER, "x * y", "z = x * y, element by element, broadcasting.")
div = _binary("div", FLOATING, "x / y", "z = x / y, broadcasting; of two integers, a float32.")
pow = _binary("pow", FLOATING, "x ** y", "z = x ** y, broadcasting; of two integers, a float32.")
equal = _binary("equal", COMPARISON, "x == y", "True where x equals y, broadcasting; a bool.")
greater = _binary("greater", COMPARISON, "x > y", "True where x > y, broadcasting; a bool.")

neg = _unary("neg", NUMBER, "-x", "y = -x.")
exp = _unary("exp", FLOATING, "exp(x)", "y = e ** x.")
log = _unary("log", FLOATING, "log(x)", "y = ln x; -inf at 0, nan below.")
sqrt = _unary("sqrt", FLOATING, "sqrt(x)", "y = √x; nan below 0.")
tanh = _unary("tanh", FLOATING, "tanh(x)", "y = tanh x.")
sigmoid = _unary("sigmoid", FLOATING, "1 / (1 + exp(-x))", "y = 1 / (1 + e ** -x).")
relu = _unary("relu", NUMBER, "0 if x <= 0 else x", "y = max(x, 0); nan stays nan.")

relu_grad = _backward(
    "relu_grad", "0 if y <= 0 else dy", "y = relu(x)  =>  dx = dy where y > 0, else 0."
)
tanh_grad = _backward("tanh_grad", "dy * (1 - y * y)", "y = tanh(x)  =>  dx = dy * (1 - y²).")
sigmoid_grad = _backward(
    "sigmoid_grad", "dy * y * (1 - y)", "y = sigmoid(x)  =>  dx = dy * y * (1 - y)."
)

cast = Op(
    "cast",
    inputs=("x",),
    attributes={"dtype": Attribute("dtype", doc="element type of the result")},
    shape=same_shape,
    dtype=attribute_dtype,
    expr="x",
    doc="x as another dtype: fractions are cut towards 0; to bool, True where x is not 0.",
)


def _like_dtype(attrs: Attrs, ins: DTypes, outs: DTypes) -> tuple[DTypes, DTypes]:
    """The output has the dtype of ``like``; x may have any."""
    like = ins[1] or outs[0]
    return (ins[0], like), (like,)


def _x_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """The output has the shape of x; that of ``like`` is free."""
    (x,), outs = same_shape(attrs, ins[:1], outs)
    return (x, *ins[1:]), outs


cast_like = Op(
    "cast_like",
    inputs=("x", "like"),
    shape=_x_shape,
    dtype=_like_dtype,
    shape_only=frozenset({1}),
    doc="x as the dtype of ``like``, whose shape is free: a cast for when the dtype is not known.",
)

zeros_like = Op(
    "zeros_like",
    inputs=("x",),
    shape=same_shape,
    dtype=ANY,
    shape_only=frozenset({0}),
    doc="0 in the shape and dtype of x.",
)

ones_like = Op(
    "ones_like",
    inputs=("x",),
    shape=same_shape,
    dtype=ANY,
    shape_only=frozenset({0}),
    doc="1 in the shape and dtype of x.",
)
