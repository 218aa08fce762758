"""Softmax and cross entropies in numpy. Layer: backends."""

from __future__ import annotations

import numpy as np

from tinyflow import ops
from tinyflow.backends.numpy_kernel import plain
from tinyflow.backends.numpy_math import reduce_mean
from tinyflow.backends.table import Array, Kernels, wrong_label

__all__ = ["KERNELS"]


def _softmax(x: Array, axis: int) -> Array:
    powers = np.exp(x - np.max(x, axis=axis, keepdims=True, initial=-np.inf))
    return powers / np.sum(powers, axis=axis, keepdims=True)


def _log_softmax(x: Array, axis: int) -> Array:
    x = x - np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    return x - np.log(np.sum(np.exp(x), axis=axis, keepdims=True))


def _softmax_grad(dy: Array, y: Array, axis: int) -> Array:
    return y * (dy - np.sum(dy * y, axis=axis, keepdims=True))


def _log_softmax_grad(dy: Array, y: Array, axis: int) -> Array:
    return dy - np.exp(y) * np.sum(dy, axis=axis, keepdims=True)


def _checked(labels: Array, classes: int) -> Array:
    error = wrong_label(labels, classes)
    if error:
        raise error
    return labels.astype(np.int64)


def _checked_labels(x: Array, hits: Array, labels: Array, classes: int) -> Array:
    if hits != len(labels):
        _checked(labels, classes)
    return x


def _sparse_loss(logits: Array, labels: Array, normalised: bool = False) -> Array:
    index = _checked(labels, logits.shape[1])
    log_p = logits if normalised else _log_softmax(logits, 1)
    return -reduce_mean(log_p[np.arange(len(index)), index])


def _sparse_grad(dy: Array, logits: Array, labels: Array, normalised: bool = False) -> Array:
    index = _checked(labels, logits.shape[1])
    result = np.exp(logits) if normalised else _softmax(logits, 1)
    result[np.arange(len(index)), index] -= 1
    return result * (dy / logits.dtype.type(len(index)))


def _dense_loss(logits: Array, labels: Array) -> Array:
    return -np.sum(labels * _log_softmax(logits, -1), axis=-1)


def _mean_dense_loss(logits: Array, labels: Array) -> Array:
    return reduce_mean(_dense_loss(logits, labels))


KERNELS: Kernels = {
    ops.softmax: plain(_softmax),
    ops.log_softmax: plain(_log_softmax),
    ops.softmax_grad: plain(_softmax_grad),
    ops.log_softmax_grad: plain(_log_softmax_grad),
    ops.checked_labels: plain(_checked_labels),
    ops.mean_sparse_softmax_cross_entropy_with_logits: plain(_sparse_loss),
    ops.sparse_softmax_cross_entropy_grad: plain(_sparse_grad),
    ops.softmax_cross_entropy_with_logits: plain(_dense_loss),
    ops.mean_softmax_cross_entropy_with_logits: plain(_mean_dense_loss),
}
