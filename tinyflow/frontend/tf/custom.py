"""``tf.custom_gradient``: a function whose derivative the user writes. Layer: frontend."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from tinyflow import ops
from tinyflow.errors import GradientError
from tinyflow.frontend.tf.scope import current_scope
from tinyflow.frontend.tf.tensor import Like, Tensor, unwrap, wrap
from tinyflow.ir import Graph, Value
from tinyflow.types import DType

__all__ = ["custom_gradient"]


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Tensor]:
    """Decorate a function that returns (y, grad): grad(dy) gives one dx per argument, or None.

    ``tf.gradients`` and the optimizers then use ``grad`` in place of the derivatives of the ops
    in ``f``. Keyword arguments go to ``f`` as they are. Raises GradientError if ``f`` does not
    return such a pair, or ``grad`` not one tensor per argument.

    Example, log(1 + exp(x)) whose gradient does not overflow::

        @tf.custom_gradient
        def log1pexp(x):
            e = tf.exp(x)
            return tf.log(1 + e), lambda dy: dy * (1 - 1 / (1 + e))
    """

    @wraps(f)
    def decorated(*args: Like, **options: Any) -> Tensor:
        xs = [wrap(unwrap(argument)) for argument in args]
        made = f(*xs, **options)
        if not (isinstance(made, tuple) and len(made) == 2 and isinstance(made[0], Tensor)):
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
    return Graph((dy, *values))
