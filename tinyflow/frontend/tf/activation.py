"""``tf.nn`` functions that are made of other ops. Layer: frontend."""

from __future__ import annotations

from tinyflow.frontend.tf.array import where
from tinyflow.frontend.tf.maths import exp, identity, log, zeros_like
from tinyflow.frontend.tf.tensor import Like, Tensor, unwrap, wrap

__all__ = ["softplus"]


def softplus(features: Like, name: str | None = None) -> Tensor:
    """log(1 + exp(x)), which does not overflow: max(x, 0) + log(1 + exp(-|x|)).

    Its derivative is sigmoid(x), at 0 too, where those of max and |x| would give 0.
    """
    x = wrap(unwrap(features))
    positive, zero = x >= 0.0, zeros_like(x)
    rest = log(1.0 + exp(where(positive, zero - x, x)))
    return identity(where(positive, x, zero) + rest, name)
