"""Kernels in numpy: the plain ones, and the oracle of all others. Layer: backends.

Everything is computed in the dtype of the inputs (sums of float16 in float32). Division by zero and
the like give inf and nan without a warning, as on every other backend.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyflow import ops
from tinyflow.backends import numpy_array, numpy_conv
from tinyflow.backends.fused import fused_kernel
from tinyflow.backends.numpy_kernel import Axes, direct, plain
from tinyflow.backends.numpy_table import NumpyTable
from tinyflow.backends.table import Array, Kernel, wrong_label
from tinyflow.ops.rules import normal_axes
from tinyflow.types import DType

__all__ = ["NUMPY", "draw_normal", "draw_truncated_normal", "draw_uniform"]


# --- elementwise -------------------------------------------------------------------------------


def _relu(x: Array, out: Array | None = None) -> Array:
    return np.maximum(x, 0, out=out)


def _sigmoid(x: Array) -> Array:
    """exp(-ln(1 + exp(-x))): exact at both ends, where 1 / (1 + exp(-x)) overflows."""
    return np.exp(-np.logaddexp(0, -x))


def _relu_grad(dy: Array, y: Array) -> Array:
    return np.where(y <= 0, 0, dy)  # nan in y lets dy through


def _tanh_grad(dy: Array, y: Array) -> Array:
    return dy * (1 - y * y)


def _sigmoid_grad(dy: Array, y: Array) -> Array:
    return dy * y * (1 - y)


def _cast(x: Array, dtype: DType) -> Array:
    return np.array(x, dtype.numpy)


def _cast_like(x: Array, like: Array) -> Array:
    return np.array(x, np.asarray(like).dtype)


# --- reductions --------------------------------------------------------------------------------


def _reduce_sum(x: Array, reduction_indices: Axes = None, keepdims: bool = False) -> Array:
    """Sum in the dtype of x; truth values count in float32, float16 is summed in float32."""
    x = np.asarray(x)
    wide = np.float32 if x.dtype in (np.bool, np.float16) else x.dtype
    total = np.sum(x, axis=reduction_indices, keepdims=keepdims, dtype=wide)
    return total.astype(np.float16) if x.dtype == np.float16 else total


def _reduce_mean(x: Array, reduction_indices: Axes = None, keepdims: bool = False) -> Array:
    """Σ x / n; nan, without numpy's warning, over no elements."""
    x = _as_floating(x)
    wide = np.float32 if x.dtype == np.float16 else x.dtype
    total = np.sum(x, axis=reduction_indices, keepdims=keepdims, dtype=wide)
    return np.asarray(total / _count(x, reduction_indices), x.dtype)


def _reduce_max(x: Array, reduction_indices: Axes, keepdims: bool) -> Array:
    return np.max(x, axis=reduction_indices, keepdims=keepdims)


def _reduce_min(x: Array, reduction_indices: Axes, keepdims: bool) -> Array:
    return np.min(x, axis=reduction_indices, keepdims=keepdims)


def _size(x: Array, reduction_indices: Axes) -> Array:
    return np.asarray(_count(x, reduction_indices), _as_floating(x).dtype)


def _count(x: Array, axes: Axes) -> int:
    shape = np.shape(x)
    return math.prod(shape[axis] for axis in normal_axes(axes, len(shape)))


def _as_floating(x: Array) -> Array:
    x = np.asarray(x)
    return x if x.dtype.kind == "f" else x.astype(np.float32)


# --- matrices ----------------------------------------------------------------------------------


def _matmul(
    x: Array, y: Array, transpose_a: bool, transpose_b: bool, out: Array | None = None
) -> Array:
    return np.matmul(x.T if transpose_a else x, y.T if transpose_b else y, out=out)


def _gemm(
    c: Array, a: Array, b: Array, alpha: float, beta: float, transpose_a: bool, transpose_b: bool
) -> Array:
    product = alpha * _matmul(a, b, transpose_a, transpose_b)
    return product + beta * c if beta else product  # BLAS: beta 0 does not read c


def _linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    product = np.matmul(x.reshape(len(x), weight.shape[1]), weight.T)
    return product if bias is None else product + bias


# --- layout ------------------------------------------------------------------------------------


def _reshape(x: Array, shape: Sequence[int | None]) -> Array:
    return np.reshape(x, tuple(-1 if dim is None else dim for dim in shape))


def _reshape_like(x: Array, like: Array) -> Array:
    return np.reshape(x, np.shape(like))


def _transpose(x: Array, perm: Axes) -> Array:
    return np.transpose(x, perm).copy()


def _broadcast_to(x: Array, shape: tuple[int, ...]) -> Array:
    return np.broadcast_to(x, shape).copy()


def _broadcast_like(x: Array, like: Array, reduction_indices: Axes, keepdims: bool) -> Array:
    shape = np.shape(like)
    if not keepdims:
        x = np.expand_dims(x, normal_axes(reduction_indices, len(shape)))
    return np.broadcast_to(x, shape).copy()


def _sum_like(x: Array, like: Array) -> Array:
    shape, target = np.shape(x), np.shape(like)
    lead = len(shape) - len(target)
    stretched = [i for i in range(lead, len(shape)) if target[i - lead] == 1 != shape[i]]
    return _reduce_sum(x, (*range(lead), *stretched)).reshape(target)


def _fill(number: int) -> Kernel:
    def fill(shape: tuple[int, ...], dtype: DType) -> Array:
        return np.full(shape, number, dtype.numpy)

    return plain(fill)


def _fill_like(number: int) -> Kernel:
    return plain(lambda x: np.full(np.shape(x), number, np.asarray(x).dtype))


# --- softmax and losses ------------------------------------------------------------------------


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
    return -_reduce_mean(log_p[np.arange(len(index)), index])


def _sparse_grad(dy: Array, logits: Array, labels: Array, normalised: bool = False) -> Array:
    index = _checked(labels, logits.shape[1])
    result = np.exp(logits) if normalised else _softmax(logits, 1)
    result[np.arange(len(index)), index] -= 1
    return result * (dy / logits.dtype.type(len(index)))


def _dense_loss(logits: Array, labels: Array) -> Array:
    return -np.sum(labels * _log_softmax(logits, -1), axis=-1)


def _mean_dense_loss(logits: Array, labels: Array) -> Array:
    return _reduce_mean(_dense_loss(logits, labels))


# --- random ------------------------------------------------------------------------------------


def _generator(key: tuple[int, int], seed: int) -> np.random.Generator:
    """Counter-based numbers: key (session seed, node seed), counter from run count * 2 ** 192.

    Source: Salmon, Moraes, Dror and Shaw, Parallel random numbers: as easy as 1, 2, 3, SC 2011.
    """
    session, run = key
    words = np.array([session % 2**64, seed % 2**64], np.uint64)
    counter = np.array([0, 0, 0, run % 2**64], np.uint64)
    return np.random.Generator(np.random.Philox(key=words, counter=counter))


def draw_normal(
    shape: tuple[int, ...],
    stdev: float,
    mean: float,
    dtype: DType,
    seed: int,
    key: tuple[int, int] = (0, 0),
) -> Array:
    """N(mean, stdev²) as a pure function of key = (session seed, run count) and node seed."""
    exact = np.float64 if dtype is DType.float64 else np.float32
    drawn = _generator(key, seed).standard_normal(shape, exact)
    return np.asarray(drawn * stdev + mean, dtype.numpy)


def draw_truncated_normal(
    shape: tuple[int, ...],
    stdev: float,
    mean: float,
    dtype: DType,
    seed: int,
    key: tuple[int, int] = (0, 0),
) -> Array:
    """N(mean, stdev²) without what is more than two deviations off; key and seed as above.

    Each element is the first of eight draws that fits: all eight fall outside once in 5e10 times,
    and are clipped then. So an element depends on its position only, not on the shape.
    """
    exact = np.float64 if dtype is DType.float64 else np.float32
    drawn = _generator(key, seed).standard_normal((*shape, 8), exact)
    first = np.argmax(np.abs(drawn) <= 2, axis=-1)[..., None]
    kept = np.clip(np.take_along_axis(drawn, first, -1)[..., 0], -2, 2)
    return np.asarray(kept * stdev + mean, dtype.numpy)


def draw_uniform(
    shape: tuple[int, ...],
    low: float,
    high: float,
    dtype: DType,
    seed: int,
    key: tuple[int, int] = (0, 0),
) -> Array:
    """U[low, high) as a pure function of key = (session seed, run count) and node seed."""
    exact = np.float64 if dtype is DType.float64 else np.float32
    drawn = _generator(key, seed).random(shape, exact)
    if (low, high) != (0, 1):
        drawn = drawn * (high - low) + low
    return np.asarray(drawn, dtype.numpy)


def _draw_uniform_like(like: Array, **attrs: Any) -> Array:
    return draw_uniform(np.shape(like), **attrs)


def _assign(variable: Array, value: Array) -> Array:
    return np.array(value, None if variable is None else np.asarray(variable).dtype)


NUMPY = NumpyTable(
    "numpy",
    {
        ops.assign: plain(_assign),
        ops.identity: plain(np.array),
        ops.copy_to: plain(lambda x, device: np.array(x)),
        ops.stop_gradient: plain(np.array),
        ops.with_gradient: plain(lambda y, *xs, backward: np.array(y)),
        ops.normal: plain(draw_normal),
        ops.truncated_normal: plain(draw_truncated_normal),
        ops.uniform: plain(draw_uniform),
        ops.uniform_like: plain(_draw_uniform_like),
        ops.add: direct(np.add),
        ops.sub: direct(np.subtract),
        ops.mul: direct(np.multiply),
        ops.div: direct(np.divide),
        ops.pow: direct(np.power),
        ops.equal: direct(np.equal),
        ops.greater: direct(np.greater),
        ops.neg: direct(np.negative),
        ops.exp: direct(np.exp),
        ops.log: direct(np.log),
        ops.sqrt: direct(np.sqrt),
        ops.tanh: direct(np.tanh),
        ops.sigmoid: plain(_sigmoid),
        ops.relu: direct(_relu),
        ops.relu_grad: plain(_relu_grad),
        ops.tanh_grad: plain(_tanh_grad),
        ops.sigmoid_grad: plain(_sigmoid_grad),
        ops.cast: plain(_cast),
        ops.cast_like: plain(_cast_like),
        ops.zeros_like: _fill_like(0),
        ops.ones_like: _fill_like(1),
        ops.reduce_sum: plain(_reduce_sum),
        ops.reduce_mean: plain(_reduce_mean),
        ops.reduce_max: plain(_reduce_max),
        ops.reduce_min: plain(_reduce_min),
        ops.argmax: direct(np.argmax),
        ops.size: plain(_size),
        ops.matmul: direct(_matmul),
        ops.gemm: plain(_gemm),
        ops.linear: plain(_linear),
        ops.reshape: plain(_reshape),
        ops.reshape_like: plain(_reshape_like),
        ops.transpose: plain(_transpose),
        ops.broadcast_to: plain(_broadcast_to),
        ops.broadcast_like: plain(_broadcast_like),
        ops.sum_like: plain(_sum_like),
        ops.zeros: _fill(0),
        ops.ones: _fill(1),
        ops.softmax: plain(_softmax),
        ops.log_softmax: plain(_log_softmax),
        ops.softmax_grad: plain(_softmax_grad),
        ops.log_softmax_grad: plain(_log_softmax_grad),
        ops.checked_labels: plain(_checked_labels),
        ops.mean_sparse_softmax_cross_entropy_with_logits: plain(_sparse_loss),
        ops.sparse_softmax_cross_entropy_grad: plain(_sparse_grad),
        ops.softmax_cross_entropy_with_logits: plain(_dense_loss),
        ops.mean_softmax_cross_entropy_with_logits: plain(_mean_dense_loss),
        **numpy_conv.KERNELS,
        **numpy_array.KERNELS,
    },
    {"copyto": np.copyto},
)
NUMPY.add(ops.fused, fused_kernel(NUMPY))
