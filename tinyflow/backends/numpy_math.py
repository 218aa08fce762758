"""Elementwise functions, reductions and matrix products in numpy. Layer: backends."""

from __future__ import annotations

import math

import numpy as np

from tinyflow import ops
from tinyflow.backends.numpy_kernel import Axes, direct, plain
from tinyflow.backends.table import Array, Kernels
from tinyflow.ops.rules import normal_axes
from tinyflow.types import DType

__all__ = ["KERNELS", "reduce_mean", "reduce_sum"]


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


def reduce_sum(x: Array, reduction_indices: Axes = None, keepdims: bool = False) -> Array:
    """Sum in the dtype of x; truth values count in float32, float16 is summed in float32."""
    x = np.asarray(x)
    wide = np.float32 if x.dtype in (np.bool, np.float16) else x.dtype
    total = np.sum(x, axis=reduction_indices, keepdims=keepdims, dtype=wide)
    return total.astype(np.float16) if x.dtype == np.float16 else total


def reduce_mean(x: Array, reduction_indices: Axes = None, keepdims: bool = False) -> Array:
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


KERNELS: Kernels = {
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
    ops.reduce_sum: plain(reduce_sum),
    ops.reduce_mean: plain(reduce_mean),
    ops.reduce_max: plain(_reduce_max),
    ops.reduce_min: plain(_reduce_min),
    ops.argmax: direct(np.argmax),
    ops.size: plain(_size),
    ops.matmul: direct(_matmul),
    ops.gemm: plain(_gemm),
    ops.linear: plain(_linear),
}
