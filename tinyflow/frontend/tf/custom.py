"""Derivatives that the user writes: of a function, or of TensorFlow's ops. Layer: frontend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from tinyflow import ops
from tinyflow.errors import GradientError, ShapeError
from tinyflow.frontend.tf.scope import REGISTERED, current_scope
from tinyflow.frontend.tf.tensor import Like, Operation, Tensor, unwrap, wrap
from tinyflow.ir import Graph, Value
from tinyflow.types import DType, Shape, show_shape, unify_shape

__all__ = ["RegisterGradient", "custom_gradient"]

Slope = Callable[..., Any]  # (operation, dy) -> one dx per input, or a list of them


def RegisterGradient(op_type: str) -> Callable[[Slope], Slope]:
    """Decorate a gradient for ``tf.Graph.gradient_override_map``: ``f(op, dy)`` gives one dx per
    input of ``op``, in the shape of that input, or None.

    Raises GradientError if it is no function, its name no text, or another function has the name;
    when an operation is made under the map, if ``f`` does not return one tensor per input,
    or one of another shape.
    """

    def register(f: Slope) -> Slope:
        if not (isinstance(op_type, str) and callable(f)):
            got, expected = f"{op_type!r} for {f!r}"[:80], "a name for a function of (op, dy)"
            raise GradientError("cannot register a gradient", got=got, expected=expected)

        @wraps(f)
        def replace(made: Value, inputs: Sequence[Value]) -> Value:
            node, scope, xs = made.node, current_scope(), [wrap(x) for x in inputs]
            op = Operation(node.name or "", node.op.name, tuple(xs), (Tensor(made),))
            with scope.changed(overrides={}):
                backward = _backward(Tensor(made), lambda dy: f(op, dy), xs)
            value: Value = ops.with_gradient(made, *inputs, backward=backward, after=scope.waits)
            return value

        known = REGISTERED.setdefault(op_type, replace)
        if (known.__module__, known.__qualname__) != (replace.__module__, replace.__qualname__):
            fix = "Choose another name."
            raise GradientError(f"there is a gradient '{op_type}' already", fix=fix)
        REGISTERED[op_type] = replace  # a cell of a notebook that runs again
        return f

    return register


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Tensor]:
    """Decorate a function that returns (y, grad): grad(dy) gives one dx per argument, or None.

    ``tf.gradients`` and the optimizers then use ``grad`` in place of the derivatives of the ops
    in ``f``. Keyword arguments go to ``f`` as they are. Raises GradientError if ``f`` does not
    return such a pair, or ``grad`` not one tensor per argument in its shape.

    Example, log(1 + exp(x)) whose gradient does not overflow::

        @tf.custom_gradient
        def log1pexp(x):
            e = tf.exp(x)
            return tf.log(1 + e), lambda dy: dy * (1 - 1 / (1 + e))
    """

    if not callable(f):
        raise GradientError("cannot decorate", got=repr(f), expected="a function of tensors")

    @wraps(f)
    def decorated(*args: Like, **options: Any) -> Tensor:
        xs = [wrap(unwrap(argument)) for argument in args]
        made = f(*xs, **options)
        pair = isinstance(made, tuple) and len(made) == 2
        if not (pair and isinstance(made[0], Tensor) and callable(made[1])):
            name = getattr(f, "__name__", "f")
            raise GradientError(
                f"'{name}' must return its result and its gradient",
                got=type(made).__name__,
                expected="(tensor, function of dy)",
            )
        y, grad = made
        backward = _backward(y, grad, xs)
        inputs = [x.value for x in (y, *xs)]
        return wrap(ops.with_gradient(*inputs, backward=backward, after=current_scope().waits))

    return decorated


def _backward(y: Tensor, grad: Callable[[Tensor], Any], xs: list[Tensor]) -> Graph:
    """dy, a placeholder, and what ``grad`` makes of it."""
    dy = ops.placeholder(dtype=y.dtype or DType.float32, shape=y.shape, name="dy")
    slopes = grad(Tensor(dy))
    slopes = list(slopes) if isinstance(slopes, list | tuple) else [slopes]
    if len(slopes) != len(xs):
        expected = f"{len(xs)}, one per argument"
        raise GradientError(
            "wrong number of gradients", node=y.value.node, got=len(slopes), expected=expected
        )
    values: list[Value] = [
        ops.zeros_like(x.value) if slope is None else unwrap(slope) for x, slope in zip(xs, slopes)
    ]
    for x, value in zip(xs, values):
        _check_shape(y, wrap(value).shape, x.shape)
    return Graph((dy, *values))


def _check_shape(y: Tensor, got: Shape, expected: Shape) -> None:
    try:
        unify_shape(got, expected)
    except ShapeError:
        what, shapes = "a gradient has another shape than its input", (got, expected)
        have, want = map(show_shape, shapes)
        raise GradientError(what, node=y.value.node, got=have, expected=want) from None
