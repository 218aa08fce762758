"""``tf.losses``, and the losses of ``tf.nn`` that are made of other ops. Layer: frontend."""

from __future__ import annotations

from tinyflow import ops
from tinyflow.errors import ShapeError
from tinyflow.frontend.tf.activation import softplus
from tinyflow.frontend.tf.api import cast, reshape, square
from tinyflow.frontend.tf.array import one_hot
from tinyflow.frontend.tf.maths import reduce_mean, reduce_sum
from tinyflow.frontend.tf.tensor import Like, Tensor, apply, unwrap, wrap
from tinyflow.types import DType, show_shape

__all__ = [
    "mean_squared_error", "sigmoid_cross_entropy", "sigmoid_cross_entropy_with_logits",
    "softmax_cross_entropy", "sparse_softmax_cross_entropy",
    "sparse_softmax_cross_entropy_with_logits",
]  # fmt: skip


def sparse_softmax_cross_entropy_with_logits(
    labels: Like, logits: Like, name: str | None = None
) -> Tensor:
    """-log softmax(logits)[label] per row: labels (...) class numbers, logits (..., c) -> (...).

    A label that is no class number gives NaN, as TensorFlow gives on a GPU; the mean,
    ``tf.losses.sparse_softmax_cross_entropy``, raises. Raises ShapeError if c is not known, or
    more than one other size of logits that are no matrix.
    """
    scores = wrap(unwrap(logits))
    shape = scores.shape
    if not shape or shape[-1] is None or (len(shape) != 2 and shape.count(None) > 1):
        got = show_shape(shape)
        raise ShapeError("the number of classes is needed", got=got, expected="logits [?, c]")
    if len(shape) != 2:
        flat = (reshape(labels, (-1,)), reshape(scores, (-1, shape[-1])))
        outer = [-1 if size is None else size for size in shape[:-1]]
        return reshape(sparse_softmax_cross_entropy_with_logits(*flat), outer, name)
    chosen = one_hot(cast(labels, DType.int64), shape[-1])
    loss = apply(ops.softmax_cross_entropy_with_logits, scores, chosen)
    return apply(ops.div, loss, reduce_sum(chosen, 1), name=name)  # 0 / 0 where no class fits


def sigmoid_cross_entropy_with_logits(
    labels: Like, logits: Like, name: str | None = None
) -> Tensor:
    """-z log(sigmoid(x)) - (1 - z) log(1 - sigmoid(x)) elementwise, for labels z and logits x.

    Shapes broadcast, the dtype is that of the logits. Computed as softplus(x) - x z, which does not
    overflow.
    """
    return apply(ops.sub, softplus(logits), apply(ops.mul, logits, labels), name=name)


def mean_squared_error(labels: Like, predictions: Like) -> Tensor:
    """Mean over all elements of (labels - predictions)², which broadcast; a scalar."""
    return reduce_mean(square(apply(ops.sub, labels, predictions)))


def softmax_cross_entropy(onehot_labels: Like, logits: Like) -> Tensor:
    """Mean over n of -sum(labels * log softmax(logits)); both (n, c) -> scalar."""
    return apply(ops.mean_softmax_cross_entropy_with_logits, logits, onehot_labels)


def sparse_softmax_cross_entropy(labels: Like, logits: Like) -> Tensor:
    """Mean over n of -log softmax(logits)[label]; labels (n,), logits (n, c) -> scalar."""
    return apply(ops.mean_sparse_softmax_cross_entropy_with_logits, logits, labels)


def sigmoid_cross_entropy(multi_class_labels: Like, logits: Like) -> Tensor:
    """Mean over all elements of the sigmoid cross-entropy; a scalar."""
    return reduce_mean(sigmoid_cross_entropy_with_logits(multi_class_labels, logits))
