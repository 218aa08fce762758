"""Random applications of the ops on images, and their definitions as plain loops."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from hypothesis import strategies as st

Made = tuple[list[np.ndarray], dict]


# --- random applications ------------------------------------------------------------------------


def _window(d: Any, pooled: bool = False) -> tuple[tuple[int, ...], tuple[int, ...], dict]:
    """Shape of an image, a window that fits into it, strides and padding."""
    h, w = d.draw(st.integers(1, 6)), d.draw(st.integers(1, 6))
    kh, kw = d.draw(st.integers(1, 3)), d.draw(st.integers(1, 3))
    padding = None
    if d.draw(st.booleans()):
        most = [k - 1 if pooled else 2 for k in (kh, kh, kw, kw)]
        padding = tuple(d.draw(st.integers(0, m)) for m in most)
        h, w = max(h, kh - sum(padding[:2])), max(w, kw - sum(padding[2:]))
    strides = (d.draw(st.integers(1, 3)), d.draw(st.integers(1, 3)))
    shape = (d.draw(st.integers(0, 2)), d.draw(st.integers(1, 3)), h, w)
    return shape, (kh, kw), {"strides": strides, "padding": padding}


def _result(shape: tuple[int, ...], window: Any, attrs: dict) -> tuple[int, ...]:
    return tuple(len(set(rows)) for rows in _starts(shape, window, **attrs))


def _conv(d: Any) -> Made:
    shape, window, attrs = _window(d)
    groups, dilations = d.draw(st.integers(1, 3)), d.draw(st.sampled_from([(1, 1), (2, 1), (1, 3)]))
    h, w = (max(a, b) for a, b in zip(shape[2:], _reach(window, dilations)))
    n, c, o = shape[0], groups * d.draw(st.integers(1, 2)), groups * d.draw(st.integers(1, 2))
    arrays = [d.array((n, c, h, w)), d.array((o, c // groups, *window)), d.array((o,))]
    attrs = {**attrs, "dilations": dilations, "groups": groups}
    return arrays[: d.draw(st.integers(2, 3))], attrs


def _reach(window: Any, dilations: Any) -> list[int]:
    return [(k - 1) * d + 1 for k, d in zip(window, dilations)]


def _input_grad(d: Any) -> Made:
    (x, weight, *_), attrs = _conv(d)
    window = {"strides": attrs["strides"], "padding": attrs["padding"]}
    reach = _reach(weight.shape[2:], attrs["dilations"])
    dy = (len(x), len(weight), *_result(x.shape, reach, window))
    return [d.array(dy), weight, x], attrs


def _weight_grad(d: Any) -> Made:
    (dy, weight, x), attrs = _input_grad(d)
    return [dy, x, weight], {**attrs, "bias": d.draw(st.booleans())}


def _max_pool(d: Any) -> Made:
    shape, ksize, attrs = _window(d, pooled=True)
    return [d.array(shape)], {"ksize": ksize, **attrs}


def _max_pool_grad(d: Any) -> Made:
    (x,), attrs = _max_pool(d)
    y, index = max_pool(x.astype(float), **attrs)
    return [d.array(y.shape), index.astype("int64"), x], attrs


def _max_pool_take(d: Any) -> Made:
    (_, index, x), attrs = _max_pool_grad(d)
    return [x, index], attrs


def _avg_pool(d: Any) -> Made:
    (x,), attrs = _max_pool(d)
    return [x], {**attrs, "count_padding": d.draw(st.booleans())}


def _avg_pool_grad(d: Any) -> Made:
    (x,), attrs = _avg_pool(d)
    window = {"strides": attrs["strides"], "padding": attrs["padding"]}
    return [d.array((*x.shape[:2], *_result(x.shape, attrs["ksize"], window))), x], attrs


def _channels(d: Any) -> tuple[tuple[int, ...], int]:
    c = d.draw(st.integers(1, 3))
    return (d.draw(st.integers(2, 4)), c, d.draw(st.integers(1, 3)), 2), c


def _batch_norm(d: Any) -> Made:
    shape, c = _channels(d)
    attrs = {"training": d.draw(st.booleans()), "epsilon": 0.1}
    vectors = [d.array((c,)), d.array((c,)), d.array((c,)), d.apart((c,))]
    return [d.array(shape), *vectors], attrs


def _batch_norm_grad(d: Any) -> Made:
    shape, c = _channels(d)
    vectors = [d.array((c,)), d.array((c,)), d.apart((c,))]
    return [d.array(shape), d.array(shape), *vectors], {"epsilon": 0.1}


def _pad(d: Any) -> Made:
    shape = d.draw(st.lists(st.integers(0, 4), min_size=1, max_size=3).map(tuple))
    dim = d.draw(st.integers(-len(shape), len(shape) - 1))
    return [d.array(shape)], {"dim": dim, "pad": d.draw(st.integers(-3, 3))}


def _crop(d: Any) -> Made:
    (x,), attrs = _pad(d)
    return [d.array(pad(x, **attrs).shape)], attrs


def _flatten(d: Any) -> Made:
    return [d.array(d.draw(st.lists(st.integers(0, 3), min_size=1, max_size=4).map(tuple)))], {}


MADE: dict[str, Callable[[Any], Made]] = {
    "conv2d": _conv,
    "conv2d_input_grad": _input_grad,
    "conv2d_weight_grad": _weight_grad,
    "max_pool2d": _max_pool,
    "max_pool2d_grad": _max_pool_grad,
    "max_pool2d_take": _max_pool_take,
    "avg_pool2d": _avg_pool,
    "avg_pool2d_grad": _avg_pool_grad,
    "batch_norm": _batch_norm,
    "batch_norm_grad": _batch_norm_grad,
    "pad": _pad,
    "crop": _crop,
    "flatten_layer": _flatten,
}


# --- definitions --------------------------------------------------------------------------------


def _starts(shape: Any, window: Any, strides: Any, padding: Any) -> list[list[int]]:
    """Where the windows begin, in rows and columns of the image; negative: in the padding."""
    found = []
    for axis, (size, reach, stride) in enumerate(zip(shape[-2:], window, strides)):
        if padding is None:
            count = -(-size // stride)
            before = max((count - 1) * stride + reach - size, 0) // 2
        else:
            before, after = padding[2 * axis : 2 * axis + 2]
            count = (size + before + after - reach) // stride + 1
        found.append([i * stride - before for i in range(count)])
    return found


def _places(x: Any, window: Any, **attrs: Any) -> Iterator[tuple[int, int, list]]:
    """For each place (i, j) of the result: (a, b, row, column) of the window inside the image."""
    rows, columns = _starts(x.shape, window, **attrs)
    for (i, top), (j, left) in itertools.product(enumerate(rows), enumerate(columns)):
        inside = [
            (a, b, top + a, left + b)
            for a, b in np.ndindex(*window)
            if 0 <= top + a < x.shape[2] and 0 <= left + b < x.shape[3]
        ]
        yield i, j, inside


def _empty(x: np.ndarray, channels: int, window: Any, **attrs: Any) -> np.ndarray:
    return np.zeros((len(x), channels, *map(len, _starts(x.shape, window, **attrs))))


def whole(weight: Any, dilations: Any, groups: int) -> np.ndarray:
    """The filter over all channels and places: zeros where it does not look."""
    o, part, *window = weight.shape
    wide = np.zeros((o, part * groups, *_reach(window, dilations)))
    for f in range(o):
        first = f // (o // groups) * part
        wide[f, first : first + part, :: dilations[0], :: dilations[1]] = weight[f]
    return wide


def narrow(wide: Any, like: Any, dilations: Any, groups: int) -> np.ndarray:
    """The part of a filter over all channels and places that ``like`` has."""
    o, part = like.shape[:2]
    rows = [wide[f, f // (o // groups) * part :][:part] for f in range(o)]
    return np.array(rows)[:, :, :: dilations[0], :: dilations[1]].reshape(like.shape)


def conv(
    x: Any, weight: Any, bias: Any = None, dilations: Any = (1, 1), groups: int = 1, **attrs: Any
) -> np.ndarray:
    weight = whole(weight, dilations, groups)
    y = _empty(x, len(weight), weight.shape[2:], **attrs)
    for i, j, inside in _places(x, weight.shape[2:], **attrs):
        for a, b, row, column in inside:
            y[:, :, i, j] += x[:, :, row, column] @ weight[:, :, a, b].T
    return y if bias is None else y + bias.reshape(1, -1, 1, 1)


def input_grad(
    dy: Any, weight: Any, x: Any, dilations: Any = (1, 1), groups: int = 1, **attrs: Any
) -> np.ndarray:
    weight = whole(weight, dilations, groups)
    dx = np.zeros(x.shape)
    for i, j, inside in _places(x, weight.shape[2:], **attrs):
        for a, b, row, column in inside:
            dx[:, :, row, column] += dy[:, :, i, j] @ weight[:, :, a, b]
    return dx


def weight_grad(
    dy: Any,
    x: Any,
    weight: Any,
    bias: bool,
    dilations: Any = (1, 1),
    groups: int = 1,
    **attrs: Any,
) -> Any:
    dweight = np.zeros_like(whole(weight, dilations, groups))
    for i, j, inside in _places(x, dweight.shape[2:], **attrs):
        for a, b, row, column in inside:
            dweight[:, :, a, b] += dy[:, :, i, j].T @ x[:, :, row, column]
    dweight = narrow(dweight, weight, dilations, groups)
    return (dweight, np.einsum("noij->o", dy)) if bias else dweight


def max_pool(x: Any, ksize: Any, **attrs: Any) -> tuple[np.ndarray, np.ndarray]:
    y, index = (_empty(x, x.shape[1], ksize, **attrs) for _ in range(2))
    for i, j, inside in _places(x, ksize, **attrs):
        for n, c in np.ndindex(*x.shape[:2]):
            best, place = max((x[n, c, r, k], -(r * x.shape[3] + k)) for _, _, r, k in inside)
            y[n, c, i, j], index[n, c, i, j] = best, -place
    return y, index


def max_pool_grad(dy: Any, index: Any, x: Any, **attrs: Any) -> np.ndarray:
    dx = np.zeros(x.shape)
    for n, c, i, j in np.ndindex(*dy.shape):
        row, column = divmod(int(index[n, c, i, j]), x.shape[3])
        dx[n, c, row, column] += dy[n, c, i, j]
    return dx


def max_pool_take(x: Any, index: Any, **attrs: Any) -> np.ndarray:
    y = np.zeros(index.shape)
    for n, c, i, j in np.ndindex(*index.shape):
        y[n, c, i, j] = x[n, c].flat[int(index[n, c, i, j])]
    return y


def avg_pool(x: Any, ksize: Any, count_padding: bool, **attrs: Any) -> np.ndarray:
    y = _empty(x, x.shape[1], ksize, **attrs)
    for i, j, inside in _places(x, ksize, **attrs):
        total = sum(x[:, :, row, column] for _, _, row, column in inside)
        y[:, :, i, j] = total / (ksize[0] * ksize[1] if count_padding else len(inside))
    return y


def avg_pool_grad(dy: Any, x: Any, ksize: Any, count_padding: bool, **attrs: Any) -> np.ndarray:
    dx = np.zeros(x.shape)
    for i, j, inside in _places(x, ksize, **attrs):
        for _, _, row, column in inside:
            share = ksize[0] * ksize[1] if count_padding else len(inside)
            dx[:, :, row, column] += dy[:, :, i, j] / share
    return dx


def batch_norm(
    x: Any, gamma: Any, beta: Any, mean: Any, variance: Any, training: bool, epsilon: float
) -> Any:
    channels = x.swapaxes(0, 1).reshape(x.shape[1], -1)
    if training:
        mean, variance = channels.mean(1), channels.var(1)
    y = np.empty(x.shape)
    for c in range(x.shape[1]):
        y[:, c] = gamma[c] * (x[:, c] - mean[c]) / (variance[c] + epsilon) ** 0.5 + beta[c]
    return (y, mean, variance) if training else y


def batch_norm_grad(dy: Any, x: Any, gamma: Any, mean: Any, variance: Any, epsilon: float) -> Any:
    dx, dgamma, dbeta = np.empty(x.shape), np.empty(len(gamma)), np.empty(len(gamma))
    for c in range(len(gamma)):
        s = (variance[c] + epsilon) ** -0.5
        z = (x[:, c] - mean[c]) * s
        dgamma[c], dbeta[c] = np.vdot(dy[:, c], z), dy[:, c].sum()
        dx[:, c] = gamma[c] * s * (dy[:, c] - (dbeta[c] + z * dgamma[c]) / z.size)
    return dx, dgamma, dbeta


def pad(x: np.ndarray, dim: int, pad: int) -> np.ndarray:
    shape = list(x.shape)
    shape[dim] = abs(pad)
    parts = [np.zeros(shape), x] if pad < 0 else [x, np.zeros(shape)]
    return np.concatenate(parts, dim)


def crop(x: np.ndarray, dim: int, pad: int) -> np.ndarray:
    kept = range(-pad, x.shape[dim]) if pad < 0 else range(x.shape[dim] - pad)
    return np.take(x, list(kept), dim)


def flatten(x: np.ndarray) -> np.ndarray:
    return np.array([row.ravel() for row in x]).reshape(len(x), int(np.prod(x.shape[1:])))


ORACLES: dict[str, Callable[..., Any]] = {
    "conv2d": conv,
    "conv2d_input_grad": input_grad,
    "conv2d_weight_grad": weight_grad,
    "max_pool2d": max_pool,
    "max_pool2d_grad": max_pool_grad,
    "max_pool2d_take": max_pool_take,
    "avg_pool2d": avg_pool,
    "avg_pool2d_grad": avg_pool_grad,
    "batch_norm": batch_norm,
    "batch_norm_grad": batch_norm_grad,
    "pad": pad,
    "crop": crop,
    "flatten_layer": flatten,
}
