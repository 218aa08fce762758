"""``tf.nn`` functions that are made of other ops. Layer: frontend."""

from __future__ import annotations

from typing import Any

from tinyflow.errors import ShapeError
from tinyflow.frontend.tf.api import cast, square
from tinyflow.frontend.tf.array import one_hot, squeeze, where
from tinyflow.frontend.tf.maths import (
    exp,
    identity,
    log,
    minimum,
    reduce_max,
    reduce_mean,
    reduce_sum,
    zeros_like,
)
from tinyflow.frontend.tf.tensor import Like, Tensor, unwrap, wrap
from tinyflow.types import DType, show_shape

__all__ = ["elu", "in_top_k", "leaky_relu", "moments", "softplus"]


def elu(features: Like, name: str | None = None) -> Tensor:
    """x where x >= 0, else exp(x) - 1; in the shape and floating dtype of x."""
    x = wrap(unwrap(features))
    return where(x >= 0.0, x, exp(minimum(x, 0.0)) - 1.0, name)


def leaky_relu(features: Like, alpha: Like = 0.2, name: str | None = None) -> Tensor:
    """x where x > 0, else alpha * x; in the shape and floating dtype of x."""
    x = wrap(unwrap(features))
    return where(x > 0.0, x, x * alpha, name)


def softplus(features: Like, name: str | None = None) -> Tensor:
    """log(1 + exp(x)), which does not overflow: max(x, 0) + log(1 + exp(-|x|)).

    Its derivative is sigmoid(x), at 0 too, where those of max and |x| would give 0.
    """
    x = wrap(unwrap(features))
    positive, zero = x >= 0.0, zeros_like(x)
    rest = log(1.0 + exp(where(positive, zero - x, x)))
    return identity(where(positive, x, zero) + rest, name)


def moments(
    x: Like, axes: Any, keepdims: bool = False, name: str | None = None
) -> tuple[Tensor, Tensor]:
    """Mean of x over ``axes``, and the mean of the squares of what differs from it."""
    mean = reduce_mean(x, axes, True)
    variance = reduce_mean(square(wrap(unwrap(x)) - mean), axes, keepdims, name)
    return (mean if keepdims else squeeze(mean, axes)), variance


def in_top_k(predictions: Like, targets: Like, k: int, name: str | None = None) -> Tensor:
    """(n, c) scores, (n,) class numbers -> (n,) bools: fewer than k classes have a higher score.

    Raises ShapeError if c is not known.
    """
    scores = wrap(unwrap(predictions))
    if not scores.shape or scores.shape[-1] is None:
        got = show_shape(scores.shape)
        raise ShapeError("the number of classes is needed", got=got, expected="scores [?, c]")
    here = one_hot(cast(targets, DType.int64), scores.shape[-1], True, False, None, DType.bool)
    mine = reduce_max(where(here, scores, float("-inf")), 1, True)
    return identity(reduce_sum(cast(scores > mine, DType.int32), 1) < k, name)
