"""``tf.`` functions that are one op each: element by element, and over axes. Layer: frontend.

The op's row says what is computed; here it gets TensorFlow's name and arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from tinyflow import ops
from tinyflow.frontend.tf.tensor import Like, Tensor, apply, unwrap, wrap
from tinyflow.frontend.tf.whole import floor_of, floor_quotient
from tinyflow.ir import CONSTANT, Op
from tinyflow.ops.rules import COMPARISON, FLOATING, NUMBER
from tinyflow.types import DType, as_dtype

__all__ = [
    "abs", "add", "div", "equal", "erf", "exp", "floor", "greater", "greater_equal", "identity",
    "less", "less_equal", "log", "maximum", "minimum", "mul", "multiply", "neg", "negative",
    "not_equal", "ones_like", "pow", "reduce_max", "reduce_mean", "reduce_min", "reduce_prod",
    "reduce_sum", "rsqrt", "sigmoid", "sign", "sqrt", "stop_gradient", "sub", "subtract", "tanh",
    "zeros_like",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Tensor])
_DTYPES = {
    COMPARISON: "bool",
    FLOATING: "the floating dtype that goes in, float32 for integers and bools",
    NUMBER: "the dtype that goes in, float32 for bools",
}


def unary(op: Op) -> Callable[..., Tensor]:
    """The function of one tensor of any shape; the result has this shape."""

    def function(x: Like, name: str | None = None) -> Tensor:
        return apply(op, x, name=name)

    return described(function, op, "x has any shape, the result the same.")


def binary(op: Op) -> Callable[..., Tensor]:
    """The function of two tensors that broadcast."""

    def function(x: Like, y: Like, name: str | None = None) -> Tensor:
        return apply(op, x, y, name=name)

    shapes = "Shapes broadcast as in numpy, dtypes promote: bool, int, float."
    return described(function, op, f"{shapes} A run raises ShapeError if shapes do not fit.")


def reduction(op: Op) -> Callable[..., Tensor]:
    """The function that takes axes away."""

    def function(
        x: Like, axis: Any = None, keepdims: bool = False, name: str | None = None
    ) -> Tensor:
        return apply(op, x, reduction_indices=axis, keepdims=bool(keepdims), name=name)

    shapes = """``axis``: an axis, several, or None for all; ``keepdims`` leaves them with size 1.
    ``reduction_indices`` and ``keep_dims`` are their old names. Raises GraphError if both are
    given; a run raises ShapeError for an axis that x lacks."""
    return described(function, op, shapes)


def _filled_like(op: Op) -> Callable[..., Tensor]:
    """The function that fills the shape of a tensor."""

    def function(tensor: Like, dtype: Any = None, name: str | None = None) -> Tensor:
        like = tensor if dtype is None else apply(ops.cast, tensor, dtype=as_dtype(dtype))
        return apply(op, like, name=name)

    return described(function, op, "With ``dtype``, in that dtype.")


def described(function: F, op: Op, shapes: str) -> F:
    """The function under the op's name, explained by the op's row and by what it takes."""
    kinds = [text for rule, text in _DTYPES.items() if rule is op.dtype]
    function.__name__ = function.__qualname__ = op.name
    function.__doc__ = (
        f"{op.doc}\n\n    {shapes}\n    Result: {(*kinds, 'the dtype that goes in')[0]}."
    )
    return function


add, subtract, multiply = binary(ops.add), binary(ops.sub), binary(ops.mul)
pow = binary(ops.pow)
maximum, minimum = binary(ops.maximum), binary(ops.minimum)
equal, not_equal = binary(ops.equal), binary(ops.not_equal)
less, less_equal = binary(ops.less), binary(ops.less_equal)
greater, greater_equal = binary(ops.greater), binary(ops.greater_equal)
negative, abs, sqrt, rsqrt = unary(ops.neg), unary(ops.abs), unary(ops.sqrt), unary(ops.rsqrt)
exp, log, erf = unary(ops.exp), unary(ops.log), unary(ops.erf)
tanh, sigmoid, relu = unary(ops.tanh), unary(ops.sigmoid), unary(ops.relu)
identity, stop_gradient = unary(ops.identity), unary(ops.stop_gradient)
zeros_like, ones_like = _filled_like(ops.zeros_like), _filled_like(ops.ones_like)
sub, mul, neg = subtract, multiply, negative

reduce_sum, reduce_mean = reduction(ops.reduce_sum), reduction(ops.reduce_mean)
reduce_max, reduce_min = reduction(ops.reduce_max), reduction(ops.reduce_min)
reduce_prod = reduction(ops.reduce_prod)


def floor(x: Like, name: str | None = None) -> Tensor:
    """The largest whole number up to x, in its floating dtype; no gradient passes."""
    return identity(Tensor(floor_of(unwrap(x))), name)


def sign(x: Like, name: str | None = None) -> Tensor:
    """-1, 0 or 1, nan for nan, in the shape and dtype of x; its gradient is 0."""
    x = wrap(unwrap(x))
    above, below = (apply(ops.cast_like, found, x) for found in (x > 0, x < 0))
    return apply(ops.where, apply(ops.not_equal, x, x), x, above - below, name=name)


def div(x: Like, y: Like, name: str | None = None) -> Tensor:
    """x / y, broadcasting; of two integers what TensorFlow 1 makes of them: floor(x / y), an int.

    ``x / y`` itself divides integers as Python 3 does. Whole quotients are exact for integers of up
    to 2 ** 53, and 0 where y is 0, as in numpy. A run raises ShapeError if shapes do not fit.
    """
    x, y = wrap(unwrap(x)), wrap(unwrap(y))
    numbers = [n.value.node.attrs["value"] for n in (x, y) if n.value.node.op is CONSTANT]
    real = any(number.dtype.kind == "f" for number in numbers)  # it may lack a dtype of its own
    dtype = None if real else (x + y).dtype
    if dtype not in (DType.int32, DType.int64):
        return apply(ops.div, x, y, name=name)
    return identity(Tensor(floor_quotient(x.value, y.value, dtype)), name)
