"""Numpy kernels of comparisons, of ops on parts of arrays, and of transformers. Layer: backends."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinyflow import ops
from tinyflow.backends.numpy_kernel import direct, plain
from tinyflow.backends.table import Array, Kernels, wrong_id
from tinyflow.ops.rules import picked

__all__ = ["KERNELS"]

_erf = np.frompyfunc(math.erf, 1, 1)
_ROOT_HALF = math.sqrt(0.5)


def _like(x: Array, result: Any) -> Array:
    return np.asarray(result, np.asarray(x).dtype)


# --- parts -------------------------------------------------------------------------------------


def _concat(*parts: Array, axis: int) -> Array:
    return np.concatenate(parts, axis)


def _cut(x: Array, sizes: Sequence[int], axis: int) -> Any:
    """Copies of the parts of x; the part itself if it is the only one."""
    ends = np.cumsum(sizes)[:-1]
    parts = tuple(part.copy() for part in np.split(x, ends, axis))
    return parts if len(parts) > 1 else parts[0]


def _split(x: Array, num: int, sizes: Sequence[int] | None, axis: int) -> Any:
    return _cut(x, (x.shape[axis] // num,) * num if sizes is None else sizes, axis)


def _split_like(x: Array, *likes: Array, num: int, axis: int) -> Any:
    return _cut(x, [np.shape(like)[axis] for like in likes], axis)


def _where_picked(shape: Sequence[int], attrs: Mapping[str, Any]) -> tuple[slice, ...]:
    """The index expression of a slice."""
    index = [slice(None)] * len(shape)
    for axis, taken in picked(shape, attrs):
        if taken is not None:
            index[axis] = slice(taken.start, taken.stop if taken.stop >= 0 else None, taken.step)
    return tuple(index)


def _slice(x: Array, **attrs: Any) -> Array:
    return x[_where_picked(x.shape, attrs)].copy()


def _slice_grad(dy: Array, like: Array = None, *, shape: Any, **attrs: Any) -> Array:
    result = np.zeros(np.shape(like) if shape is None else shape, dy.dtype)
    result[_where_picked(result.shape, attrs)] = dy
    return result


def _checked(ids: Array, size: int) -> Array:
    error = wrong_id(ids, size)
    if error:
        raise error
    return ids.astype(np.int64)


def _gather(x: Array, ids: Array, axis: int) -> Array:
    return np.take(x, _checked(ids, x.shape[axis]), axis)


def _gather_grad(dy: Array, ids: Array, like: Array = None, *, axis: int, shape: Any) -> Array:
    result = np.zeros(np.shape(like) if shape is None else shape, dy.dtype)
    axis %= result.ndim
    index: Any = (*(slice(None),) * axis, _checked(ids, result.shape[axis]))
    np.add.at(result, index, dy)
    return result


def _cumsum(x: Array, axis: int, exclusive: bool, reverse: bool) -> Array:
    """Sums of float16 in float32."""
    y = np.moveaxis(x, axis, 0)
    y = y[::-1] if reverse else y
    if exclusive:
        y = np.concatenate([np.zeros_like(y[:1]), y[:-1]])
    y = np.cumsum(y, 0, np.float32 if x.dtype == np.float16 else x.dtype)
    return np.moveaxis(y[::-1] if reverse else y, 0, axis).astype(x.dtype)


def _recurrence(a: Array, b: Array, axis: int, reverse: bool) -> Array:
    """After a sweep, a[i] and y[i] stand for twice as many steps that end in i."""
    wide = np.float32 if b.dtype == np.float16 else b.dtype
    a, y = (np.moveaxis(x, axis, 0)[:: -1 if reverse else 1].astype(wide) for x in (a, b))
    steps = 1
    while steps < len(y):
        y[steps:] = y[steps:] + a[steps:] * y[:-steps]
        a[steps:] = a[steps:] * a[:-steps]
        steps *= 2
    return np.moveaxis(y[::-1] if reverse else y, 0, axis).astype(b.dtype)


def _reduce_prod(x: Array, reduction_indices: tuple[int, ...] | None, keepdims: bool) -> Array:
    """In the dtype of x; of truth values and float16 in float32."""
    wide = np.float32 if x.dtype in (np.bool, np.float16) else x.dtype
    y = np.prod(x, axis=reduction_indices, keepdims=keepdims, dtype=wide)
    return y.astype(np.float16) if x.dtype == np.float16 else y


def _expand_dims(x: Array, axis: int) -> Array:
    return np.expand_dims(x, axis)


def _squeeze(x: Array, axes: tuple[int, ...] | None) -> Array:
    return np.squeeze(x, axes)


# --- transformers ------------------------------------------------------------------------------


def _batch_matmul(
    x: Array, y: Array, transpose_a: bool, transpose_b: bool, out: Array | None = None
) -> Array:
    x = np.swapaxes(x, -1, -2) if transpose_a else x
    y = np.swapaxes(y, -1, -2) if transpose_b else y
    return np.matmul(x, y, out=out)


def _mean(x: Array) -> Array:
    return np.sum(x, axis=-1, keepdims=True) / x.shape[-1]


def _normal(x: Array, epsilon: float) -> tuple[Array, Array]:
    """(x - mean) / deviation along the last axis, and 1 / deviation; float16 in float32."""
    x = x.astype(np.float32) if x.dtype == np.float16 else x
    centred = x - _mean(x)
    scale = 1 / np.sqrt(_mean(centred * centred) + epsilon)
    return centred * scale, scale


def _layer_norm(x: Array, gamma: Array, beta: Array, epsilon: float) -> Array:
    return _like(x, _normal(x, epsilon)[0] * gamma + beta)


def _layer_norm_grad(dy: Array, x: Array, gamma: Array, epsilon: float) -> tuple[Array, ...]:
    normal, scale = _normal(x, epsilon)
    wide, rows = dy.astype(normal.dtype), tuple(range(dy.ndim - 1))
    g = wide * gamma
    dx = scale * (g - _mean(g) - normal * _mean(g * normal))
    dgamma, dbeta = np.sum(wide * normal, axis=rows), np.sum(wide, axis=rows)
    return _like(x, dx), _like(x, dgamma), _like(x, dbeta)


def _rsqrt(x: Array) -> Array:
    return 1 / np.sqrt(x)


def _gelu(x: Array) -> Array:
    return _like(x, x * (0.5 * (1 + _like(x, _erf(x * _ROOT_HALF)))))


def _gelu_grad(dy: Array, x: Array) -> Array:
    below = 0.5 * (1 + _like(x, _erf(x * _ROOT_HALF)))
    return _like(x, dy * (below + x * np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)))


KERNELS: Kernels = {
    ops.less: direct(np.less),
    ops.less_equal: direct(np.less_equal),
    ops.greater_equal: direct(np.greater_equal),
    ops.not_equal: direct(np.not_equal),
    ops.maximum: direct(np.maximum),
    ops.minimum: direct(np.minimum),
    ops.abs: direct(np.absolute),
    ops.where: plain(np.where),
    ops.concat: plain(_concat),
    ops.split: plain(_split),
    ops.split_like: plain(_split_like),
    ops.slice: plain(_slice),
    ops.slice_grad: plain(_slice_grad),
    ops.gather: plain(_gather),
    ops.gather_grad: plain(_gather_grad),
    ops.cumsum: plain(_cumsum),
    ops.recurrence: plain(_recurrence),
    ops.reduce_prod: plain(_reduce_prod),
    ops.expand_dims: plain(_expand_dims),
    ops.squeeze: plain(_squeeze),
    ops.batch_matmul: direct(_batch_matmul),
    ops.layer_norm: plain(_layer_norm),
    ops.layer_norm_grad: plain(_layer_norm_grad),
    ops.erf: plain(lambda x: _like(x, _erf(x))),
    ops.rsqrt: plain(_rsqrt),
    ops.gelu: plain(_gelu),
    ops.gelu_grad: plain(_gelu_grad),
}
