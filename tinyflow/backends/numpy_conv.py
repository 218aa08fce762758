"""Convolution, pooling and batch normalisation in numpy: the definitions. Layer: backends.

A view of all windows turns a convolution into one matrix product for each group of channels; its
adjoint adds the products up where the windows were. float16 is computed in float32.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tinyflow import ops
from tinyflow.backends.numpy_kernel import plain
from tinyflow.backends.table import Array, Kernels
from tinyflow.ops.window import reach, resolve_padding

__all__ = ["KERNELS"]

Ints = tuple[int, ...]
_PLANE = (0, 2, 3)  # all axes but that of the channels


def _wide(x: Array) -> Array:
    return x.astype(np.float32) if x.dtype == np.float16 else x


def _padded(x: Array, pads: Ints, value: float = 0) -> Array:
    top, bottom, left, right = pads
    return np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=value)


def _inner(x: Array, pads: Ints) -> Array:
    """The image without its padding."""
    top, bottom, left, right = pads
    return x[:, :, top : x.shape[2] - bottom, left : x.shape[3] - right]


def _windows(x: Array, window: Sequence[int], strides: Ints, dilations: Ints = (1, 1)) -> Array:
    """(n, c, h', w', kh, kw): the window at each place of a padded image; a view."""
    places = sliding_window_view(x, tuple(reach(window, dilations)), (2, 3), writeable=True)
    down, right = dilations
    return places[:, :, :: strides[0], :: strides[1], ::down, ::right]


def _add_windows(
    parts: Array, shape: Ints, pads: Ints, strides: Ints, dilations: Ints = (1, 1)
) -> Array:
    """Adjoint of ``_windows`` and padding: parts (n, c, h', w', kh, kw) -> image of ``shape``."""
    n, c, h, w = shape
    top, bottom, left, right = pads
    image = np.zeros((n, c, h + top + bottom, w + left + right), parts.dtype)
    places = _windows(image, parts.shape[4:], strides, dilations)
    for a, b in np.ndindex(*parts.shape[4:]):  # windows overlap, their equal places do not
        places[..., a, b] += parts[..., a, b]
    return _inner(image, pads)


def _pads(x: Array, weight: Array, window: Mapping[str, Any]) -> Ints:
    inside = reach(weight.shape[2:], window["dilations"])
    return resolve_padding(window["padding"], window["strides"], x.shape[2:], inside)


def _seen(x: Array, weight: Array, window: Mapping[str, Any]) -> Sequence[Array]:
    """What the filters see, (n, c/g, h', w', kh, kw), for each group of channels."""
    padded, groups = _padded(_wide(x), _pads(x, weight, window)), window["groups"]
    seen = _windows(padded, weight.shape[2:], window["strides"], window["dilations"])
    return np.split(seen, groups, 1)


def _conv2d(x: Array, weight: Array, bias: Array | None = None, **window: Any) -> Array:
    pairs = zip(_seen(x, weight, window), np.split(_wide(weight), window["groups"]))
    y = np.concatenate([np.tensordot(s, w, ((1, 4, 5), (1, 2, 3))) for s, w in pairs], 3)
    y = np.moveaxis(y, 3, 1)
    y = y if bias is None else y + _wide(bias)[:, None, None]
    return np.ascontiguousarray(y, x.dtype)


def _input_grad(dy: Array, weight: Array, x: Array, **window: Any) -> Array:
    groups = window["groups"]
    pairs = zip(np.split(_wide(dy), groups, 1), np.split(_wide(weight), groups))
    parts = [np.tensordot(d, w, ((1,), (0,))) for d, w in pairs]  # (n, h', w', c/g, kh, kw)
    whole, pads = np.moveaxis(np.concatenate(parts, 3), 3, 1), _pads(x, weight, window)
    image = _add_windows(whole, x.shape, pads, window["strides"], window["dilations"])
    return np.ascontiguousarray(image, dy.dtype)


def _weight_grad(
    dy: Array, x: Array, weight: Array, bias: bool, **window: Any
) -> Array | tuple[Array, Array]:
    pairs = zip(np.split(_wide(dy), window["groups"], 1), _seen(x, weight, window))
    parts = [np.tensordot(d, s, (_PLANE, _PLANE)) for d, s in pairs]
    dweight = np.concatenate(parts).astype(dy.dtype)
    if not bias:
        return dweight
    return dweight, np.sum(_wide(dy), _PLANE).astype(dy.dtype)


def _max_pool(x: Array, ksize: Ints, strides: Ints, padding: Ints | None) -> tuple[Array, Array]:
    pads = resolve_padding(padding, strides, x.shape[2:], ksize)
    places = np.arange(math.prod(x.shape[2:])).reshape(1, 1, *x.shape[2:])
    where = _flat(_windows(_padded(places, pads, -1), ksize, strides), 4)
    seen = _flat(_windows(_padded(x, pads, -np.inf), ksize, strides), 4)
    best = np.argmax(seen, -1)[..., None]
    index = np.take_along_axis(np.broadcast_to(where, seen.shape), best, -1)[..., 0]
    first = np.min(where, -1, initial=places.size, where=where >= 0)  # if all of it is -inf
    return np.take_along_axis(seen, best, -1)[..., 0], np.where(index < 0, first, index)


def _flat(x: Array, axis: int) -> Array:
    """The axes from ``axis`` on as one."""
    return x.reshape(*x.shape[:axis], math.prod(x.shape[axis:]))


def _max_pool_grad(
    dy: Array, index: Array, x: Array, ksize: Ints, strides: Ints, padding: Ints | None
) -> Array:
    n, c, h, w = x.shape
    image = np.zeros((n, c, h * w), _wide(dy).dtype)
    batch, channel, _ = np.ogrid[:n, :c, :1]
    np.add.at(image, (batch, channel, _flat(index, 2)), _flat(dy, 2))
    return image.reshape(x.shape).astype(dy.dtype)


def _max_pool_take(
    x: Array, index: Array, ksize: Ints, strides: Ints, padding: Ints | None
) -> Array:
    return np.take_along_axis(_flat(x, 2), _flat(index, 2), 2).reshape(index.shape)


def _counts(shape: Ints, ksize: Ints, strides: Ints, pads: Ints, count_padding: bool) -> Array:
    """How many elements each window is the mean of, (1, 1, h', w')."""
    ones = _padded(np.ones((1, 1, *shape[2:])), pads, float(count_padding))
    return np.sum(_windows(ones, ksize, strides), (4, 5))


def _avg_pool(
    x: Array, ksize: Ints, strides: Ints, padding: Ints | None, count_padding: bool
) -> Array:
    pads = resolve_padding(padding, strides, x.shape[2:], ksize)
    total = np.sum(_windows(_padded(_wide(x), pads), ksize, strides), (4, 5))
    return (total / _counts(x.shape, ksize, strides, pads, count_padding)).astype(x.dtype)


def _avg_pool_grad(
    dy: Array, x: Array, ksize: Ints, strides: Ints, padding: Ints | None, count_padding: bool
) -> Array:
    pads = resolve_padding(padding, strides, x.shape[2:], ksize)
    share = _wide(dy) / _counts(x.shape, ksize, strides, pads, count_padding)
    parts = np.broadcast_to(share[..., None, None], (*dy.shape, *ksize))
    return np.ascontiguousarray(_add_windows(parts, x.shape, pads, strides), dy.dtype)


def _each(vector: Array) -> Array:
    """A number for each channel, beside images."""
    return vector[:, None, None]


def _mean(x: Array) -> Array:
    """Mean of each channel; nan, without numpy's warning, over no elements."""
    total = np.sum(x, _PLANE)
    return total / total.dtype.type(x.size // x.shape[1] if x.shape[1] else 0)


def _batch_norm(
    x: Array,
    gamma: Array,
    beta: Array,
    moving_mean: Array,
    moving_variance: Array,
    training: bool,
    epsilon: float,
) -> Array | tuple[Array, Array, Array]:
    wide = _wide(x)
    mean = _mean(wide) if training else moving_mean
    centred = wide - _each(mean)
    variance = _mean(centred * centred) if training else moving_variance
    scale = gamma / np.sqrt(_wide(variance) + wide.dtype.type(epsilon))
    y = (centred * _each(scale) + _each(beta)).astype(x.dtype)
    return (y, mean.astype(x.dtype), variance.astype(x.dtype)) if training else y


def _batch_norm_grad(
    dy: Array, x: Array, gamma: Array, mean: Array, variance: Array, epsilon: float
) -> tuple[Array, Array, Array]:
    wide, slope = _wide(x), _wide(dy)
    scale = 1 / np.sqrt(_wide(variance) + wide.dtype.type(epsilon))
    normal = (wide - _each(mean)) * _each(scale)
    along = slope - _each(_mean(slope)) - normal * _each(_mean(slope * normal))
    dx = along * _each(gamma * scale)
    dgamma, dbeta = np.sum(slope * normal, _PLANE), np.sum(slope, _PLANE)
    return dx.astype(x.dtype), dgamma.astype(x.dtype), dbeta.astype(x.dtype)


def _strip(x: Array, dim: int, pad: int) -> Array:
    amount = [(0, 0)] * x.ndim
    amount[dim] = (max(-pad, 0), max(pad, 0))
    return np.pad(x, amount)


def _crop(x: Array, dim: int, pad: int) -> Array:
    size = x.shape[dim]
    kept = [slice(None)] * x.ndim
    kept[dim] = slice(max(-pad, 0), size - max(pad, 0))
    return x[tuple(kept)].copy()


KERNELS: Kernels = {
    ops.conv2d: plain(_conv2d),
    ops.conv2d_input_grad: plain(_input_grad),
    ops.conv2d_weight_grad: plain(_weight_grad),
    ops.max_pool2d: plain(_max_pool),
    ops.max_pool2d_grad: plain(_max_pool_grad),
    ops.max_pool2d_take: plain(_max_pool_take),
    ops.avg_pool2d: plain(_avg_pool),
    ops.avg_pool2d_grad: plain(_avg_pool_grad),
    ops.batch_norm: plain(_batch_norm),
    ops.batch_norm_grad: plain(_batch_norm_grad),
    ops.pad: plain(_strip),
    ops.crop: plain(_crop),
    ops.flatten_layer: plain(lambda x: _flat(x, 1)),
}
