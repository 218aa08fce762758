"""``tf.nn``: layers and losses. Layer: frontend."""

from __future__ import annotations

from collections.abc import Callable

from tinyflow import ops
from tinyflow.frontend.tf.activation import *  # noqa: F403
from tinyflow.frontend.tf.activation import __all__ as _activation
from tinyflow.frontend.tf.conv import avg_pool, bias_add, conv2d, flatten_layer, max_pool, pad
from tinyflow.frontend.tf.losses import (
    sigmoid_cross_entropy_with_logits,
    sparse_softmax_cross_entropy_with_logits,
)
from tinyflow.frontend.tf.maths import described, relu, sigmoid, tanh
from tinyflow.frontend.tf.norm import batch_norm, batch_normalization, inference
from tinyflow.frontend.tf.scope import current_scope
from tinyflow.frontend.tf.tensor import Like, Tensor, Variable, apply
from tinyflow.frontend.tf.transformer import *  # noqa: F403
from tinyflow.frontend.tf.transformer import __all__ as _transformer
from tinyflow.ir import Op

__all__ = [
    "avg_pool", "batch_norm", "batch_normalization", "bias_add", "conv2d", "flatten_layer",
    "inference", "linear", "log_softmax", "max_pool", "mean_softmax_cross_entropy_with_logits",
    "mean_sparse_softmax_cross_entropy_with_logits", "pad", "relu", "sigmoid",
    "sigmoid_cross_entropy_with_logits", "softmax", "softmax_cross_entropy_with_logits",
    "softmax_cross_entropy_with_logits_v2", "sparse_softmax_cross_entropy_with_logits", "tanh",
]  # fmt: skip
__all__ += [*_activation, *_transformer]


def linear(
    x: Like,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    num_hidden: int | None = None,
    no_bias: bool = True,
    name: str | None = None,
) -> Tensor:
    """x (n, k) -> x @ weight.T + bias, shape (n, num_hidden); x of higher rank is flattened.

    Weight (num_hidden, k) and, unless ``no_bias``, bias (num_hidden,) are created as float32
    ``<name>_weight`` and ``<name>_bias`` when they are not given; k is inferred. A run raises
    ShapeError for sizes that do not fit.
    """
    name = name or current_scope().unique_name("linear")
    if weight is None:
        weight = Variable.implicit(f"{name}_weight", (num_hidden, None))
    if bias is None and not no_bias:
        bias = Variable.implicit(f"{name}_bias", (num_hidden,))
    inputs = (x, weight) if bias is None else (x, weight, bias)
    return apply(ops.linear, *inputs, name=name)


def softmax(logits: Like, axis: int | None = None, name: str | None = None) -> Tensor:
    """exp(x) / sum(exp(x)) along ``axis``, the last one if None.

    In the shape and floating dtype of x. A run raises ShapeError for an axis that x lacks.
    """
    return apply(ops.softmax, logits, axis=-1 if axis is None else axis, name=name)


def log_softmax(logits: Like, axis: int | None = None, name: str | None = None) -> Tensor:
    """x - log(sum(exp(x))) along ``axis``, the last one if None.

    In the shape and floating dtype of x. A run raises ShapeError for an axis that x lacks.
    """
    return apply(ops.log_softmax, logits, axis=-1 if axis is None else axis, name=name)


def _loss(op: Op, shapes: str) -> Callable[..., Tensor]:
    """The function that compares logits (n, c) to labels."""

    def loss(logits: Like, labels: Like, name: str | None = None) -> Tensor:
        return apply(op, logits, labels, name=name)

    return described(loss, op, f"logits (n, c), {shapes}. A run raises ShapeError if they differ.")


mean_sparse_softmax_cross_entropy_with_logits = _loss(
    ops.mean_sparse_softmax_cross_entropy_with_logits,
    "labels (n,) class numbers, also as floats without fraction -> scalar",
)
softmax_cross_entropy_with_logits = softmax_cross_entropy_with_logits_v2 = _loss(
    ops.softmax_cross_entropy_with_logits, "labels (n, c) -> (n,)"
)
mean_softmax_cross_entropy_with_logits = _loss(
    ops.mean_softmax_cross_entropy_with_logits, "labels (n, c) -> scalar"
)
