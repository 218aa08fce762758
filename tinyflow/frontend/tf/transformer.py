"""``tf.nn`` functions of transformers, and what regularises them. Layer: frontend."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyflow import ops
from tinyflow.errors import GraphError, ShapeError
from tinyflow.frontend.tf.scope import current_scope
from tinyflow.frontend.tf.tensor import Like, Tensor, Variable, apply, unwrap
from tinyflow.types import show_shape

__all__ = ["dropout", "embedding_lookup", "gelu", "l2_loss", "l2_normalize", "layer_norm"]


def gelu(features: Like, name: str | None = None) -> Tensor:
    """x times the share of the normal distribution below x; exact, not the tanh formula.

    In the shape and floating dtype of x.
    """
    return apply(ops.gelu, features, name=name)


def layer_norm(
    x: Tensor,
    gamma: Like | None = None,
    beta: Like | None = None,
    epsilon: float = 1e-5,
    name: str | None = None,
) -> Tensor:
    """x (..., d), to mean 0 and variance 1 along the last axis, times gamma (d,) plus beta (d,).

    What is not given becomes a variable, ``<name>_gamma`` of ones or ``<name>_beta`` of zeros.
    Raises ShapeError if d is needed for that and not known.
    """
    scope = current_scope()
    name = scope.unique_name(name or "layer_norm")
    if gamma is None:
        gamma = Variable(np.ones(_width(x), np.float32), name=f"{name}_gamma")
    if beta is None:
        beta = Variable(np.zeros(_width(x), np.float32), name=f"{name}_beta")
    inputs = map(unwrap, (x, gamma, beta))
    return Tensor(ops.layer_norm(*inputs, epsilon=epsilon, name=name, after=scope.waits))


def _width(x: Tensor) -> tuple[int]:
    shape = x.shape
    if not shape or shape[-1] is None:
        what, got = "the size of the last axis is not known", show_shape(shape)
        fix = "Give the placeholder a shape, or give gamma and beta."
        raise ShapeError(what, node=x.value.node, got=got, expected="[..., d]", fix=fix)
    return (shape[-1],)


def embedding_lookup(params: Like, ids: Like, name: str | None = None) -> Tensor:
    """Rows of a table (v, d) by number: ids (...) -> (..., d), as ``tf.gather`` along axis 0."""
    return apply(ops.gather, params, ids, axis=0, name=name)


def dropout(
    x: Like,
    keep_prob: Like | None = None,
    noise_shape: Any = None,
    seed: int | None = None,
    name: str | None = None,
    rate: Like | None = None,
) -> Tensor:
    """Each element of x kept with probability ``keep_prob`` and divided by it, or set to 0.

    New elements fall in every run; the gradient passes where the element stayed. ``keep_prob`` may
    be a tensor of one number, such as a placeholder; ``rate`` is 1 - keep_prob. In the shape of x.
    Raises GraphError if a number is outside of (0, 1]; a run raises ShapeError for several numbers.
    """
    if (keep_prob is None) == (rate is None) or noise_shape is not None:
        expected = "keep_prob or rate, no noise_shape"
        raise GraphError("not a dropout", got="neither or another argument", expected=expected)
    keep: Any = keep_prob if rate is None else 1 - rate  # type: ignore[operator]
    if isinstance(keep, int | float) and not 0 < keep <= 1:
        raise GraphError("wrong keep_prob", got=keep, expected="more than 0, at most 1")
    if keep == 1:
        return apply(ops.identity, x, name=name)
    if isinstance(keep, Tensor) and keep.shape != ():
        keep = apply(ops.reshape, keep, shape=())  # whose shape may be unknown
    seed = current_scope().next_seed() if seed is None else seed
    drawn = apply(ops.uniform_like, x, seed=seed)
    stays = apply(ops.cast_like, drawn < keep, x)
    return apply(ops.mul, x, stays / keep, name=name)


def l2_loss(t: Like, name: str | None = None) -> Tensor:
    """sum(t * t) / 2 over all elements, a scalar of the dtype of t."""
    total = apply(ops.reduce_sum, apply(ops.mul, t, t))
    return apply(ops.mul, total, 0.5, name=name)


def l2_normalize(
    x: Like, axis: Any = None, epsilon: float = 1e-12, name: str | None = None
) -> Tensor:
    """x / sqrt(max(sum(x * x), epsilon)), the sum along ``axis`` (``dim`` is its old name).

    In the shape and floating dtype of x; a run raises ShapeError for an axis that x lacks.
    """
    squares = apply(ops.reduce_sum, apply(ops.mul, x, x), reduction_indices=axis, keepdims=True)
    length = apply(ops.maximum, squares, epsilon)
    return apply(ops.mul, x, apply(ops.rsqrt, length), name=name)
