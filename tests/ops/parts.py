"""Cases and oracles of comparisons, of ops on parts of arrays, and of what a transformer needs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinyflow.ops.rules import END
from tinyflow.types import as_dtype

Made = tuple[list[np.ndarray], dict[str, Any]]
SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)
IDS = ("int32", "int64", "float32", "float64")


def _binary(d: Any) -> Made:
    a, b = d.stretched(2)
    return [d.array(a), d.array(b)], {}


def _where(d: Any) -> Made:
    c, a, b = d.stretched(3)
    return [d.array(c, ("bool",)), d.array(a), d.array(b)], {}


def _positive(d: Any) -> Made:
    return [d.apart(d.draw(SHAPES))], {}


def _pair(d: Any) -> Made:
    shape = d.draw(SHAPES)
    return [d.array(shape), d.array(shape)], {}


def _axis(d: Any, rank: int) -> int:
    return d.draw(st.integers(-rank, rank - 1))


def _resized(shape: tuple[int, ...], axis: int, size: int) -> tuple[int, ...]:
    return tuple(size if i == axis % len(shape) else dim for i, dim in enumerate(shape))


def _concat(d: Any) -> Made:
    shape = d.draw(SHAPES)
    axis = _axis(d, len(shape))
    parts = [_resized(shape, axis, d.size()) for _ in range(d.size(1))]
    return [d.array(part) for part in parts], {"axis": axis}


def _split(d: Any) -> Made:
    shape = d.draw(SHAPES)
    axis = _axis(d, len(shape))
    if d.draw(st.booleans()):
        sizes = tuple(d.size() for _ in range(d.size(1)))
        return [d.array(_resized(shape, axis, sum(sizes)))], {"sizes": sizes, "axis": axis}
    num = d.size(1)
    return [d.array(_resized(shape, axis, num * d.size()))], {"num": num, "axis": axis}


def _split_like(d: Any) -> Made:
    likes, attrs = _concat(d)
    total = sum(like.shape[attrs["axis"]] for like in likes)
    x = d.array(_resized(likes[0].shape, attrs["axis"], total))
    return [x, *likes], {**attrs, "num": len(likes)}


def _ranges(d: Any, shape: tuple[int, ...]) -> dict[str, Any]:
    axes = sorted(d.draw(st.sets(st.integers(0, len(shape) - 1)))) if shape else []
    begin, end, strides = [], [], []
    exact = d.draw(st.booleans())
    for axis in axes:
        size = shape[axis]
        low = d.draw(st.integers(0, size)) if exact else d.draw(st.integers(-5, 5))
        high = (
            d.draw(st.integers(low, size) | st.just(END))
            if exact
            else d.draw(st.integers(-5, 5) | st.sampled_from([END, -END]))
        )
        begin.append(low)
        end.append(high)
        strides.append(d.draw(st.sampled_from([1, 2] if exact else [1, 2, -1, -2])))
    shown = tuple(a - len(shape) * d.draw(st.integers(0, 1)) for a in axes)
    if axes == list(range(len(axes))) and d.draw(st.booleans()):
        shown = None
    ranges = {"begin": tuple(begin), "end": tuple(end), "axes": shown, "exact": exact}
    return {**ranges, "strides": tuple(strides) if d.draw(st.booleans()) else None}


def _slice(d: Any) -> Made:
    x = d.array(d.draw(SHAPES | st.just(())))
    return [x], _ranges(d, x.shape)


def _sliced(x: np.ndarray, begin: Any, end: Any, axes: Any, strides: Any, exact: bool) -> Any:
    """Take the indices one axis after the other."""
    axes = range(len(begin)) if axes is None else axes
    for axis, first, last, step in zip(axes, begin, end, strides or [1] * len(begin)):
        every = list(range(x.shape[axis]))
        x = np.take(x, np.array(every[first:last:step], int), axis)
    return x


def _slice_grad(d: Any) -> Made:
    (x,), attrs = _slice(d)
    dy = d.array(_sliced(x, **attrs).shape)
    return ([dy, x], attrs) if d.draw(st.booleans()) else ([dy], {**attrs, "shape": x.shape})


def _put_back(dy: np.ndarray, like: Any = None, *, shape: Any, **attrs: Any) -> np.ndarray:
    """Number the elements, slice the numbers, and look where each came from."""
    result = np.zeros(shape if like is None else like.shape)
    numbers = _sliced(np.arange(result.size).reshape(result.shape), **attrs)
    result.reshape(-1)[numbers.ravel()] = dy.ravel()
    return result


def _gather(d: Any) -> Made:
    shape = d.draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4))
    axis = _axis(d, len(shape))
    ids = d.random.integers(0, shape[axis], d.draw(hnp.array_shapes(min_dims=0, max_dims=2)))
    return [d.array(shape), np.asarray(ids, d.draw(st.sampled_from(IDS)))], {"axis": axis}


def _one_hot(ids: np.ndarray, size: int) -> np.ndarray:
    return np.equal.outer(ids, np.arange(size)).astype(float)


def _gathered(x: np.ndarray, ids: np.ndarray, axis: int) -> np.ndarray:
    """A product with one-hot rows."""
    axis %= x.ndim
    y = np.tensordot(_one_hot(ids, x.shape[axis]), x, ([-1], [axis]))
    return np.moveaxis(y, range(ids.ndim), range(axis, axis + ids.ndim))


def _gather_grad(d: Any) -> Made:
    (x, ids), attrs = _gather(d)
    dy = d.array(_gathered(x.astype(float), ids, **attrs).shape)
    shaped = d.draw(st.booleans())
    return ([dy, ids, x], attrs) if shaped else ([dy, ids], {**attrs, "shape": x.shape})


def _scattered(dy: Any, ids: Any, like: Any = None, *, axis: int, shape: Any) -> np.ndarray:
    shape = like.shape if shape is None else shape
    axis %= len(shape)
    moved = np.moveaxis(dy, range(axis, axis + ids.ndim), range(ids.ndim))
    axes = list(range(ids.ndim))
    return np.moveaxis(np.tensordot(_one_hot(ids, shape[axis]), moved, (axes, axes)), 0, axis)


def _cumsum(d: Any) -> Made:
    x = d.array(d.draw(SHAPES))
    flags = {key: d.draw(st.booleans()) for key in ("exclusive", "reverse")}
    return [x], {"axis": _axis(d, x.ndim), **flags}


def _recurrence(d: Any) -> Made:
    (x,), attrs = _cumsum(d)
    return [d.apart(x.shape), x], {"axis": attrs["axis"], "reverse": attrs["reverse"]}


def _stepped(a: Any, b: Any, axis: int, reverse: bool) -> np.ndarray:
    """Step by step."""
    y, rows = np.zeros(b.shape), range(b.shape[axis])
    whole, last = [slice(None)] * b.ndim, np.zeros(np.delete(b.shape, axis))
    for row in reversed(rows) if reverse else rows:
        whole[axis] = row
        y[tuple(whole)] = last = a[tuple(whole)] * last + b[tuple(whole)]
    return y


def _running(x: np.ndarray, axis: int, exclusive: bool, reverse: bool) -> np.ndarray:
    """A product with a triangle of ones."""
    ones = np.ones((x.shape[axis],) * 2)
    triangle = (np.triu if reverse else np.tril)(ones, exclusive * (1 if reverse else -1))
    return np.moveaxis(np.tensordot(triangle, x, ([1], [axis])), 0, axis)


def _expand(d: Any) -> Made:
    x = d.array(d.draw(SHAPES))
    return [x], {"axis": d.draw(st.integers(-x.ndim - 1, x.ndim))}


def _squeeze(d: Any) -> Made:
    shape = [d.draw(st.sampled_from([1, 1, 0, 3])) for _ in range(d.size())]
    ones = [i for i, dim in enumerate(shape) if dim == 1]
    if d.draw(st.booleans()):
        return [d.array(tuple(shape))], {}
    axes = sorted(d.draw(st.sets(st.sampled_from(ones)))) if ones else []
    signed = tuple(a - len(shape) * d.draw(st.integers(0, 1)) for a in axes)
    return [d.array(tuple(shape))], {"axes": signed}


def _squeezed(x: np.ndarray, axes: Any) -> np.ndarray:
    gone = range(x.ndim) if axes is None else {a % x.ndim for a in axes}
    return x.reshape([d for i, d in enumerate(x.shape) if i not in gone or d != 1])


def _batch_matmul(d: Any) -> Made:
    lead = d.draw(hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3))
    n, k, m = d.size(), d.size(), d.size()
    ta, tb = d.draw(st.booleans()), d.draw(st.booleans())
    x = d.array((*lead, k, n) if ta else (*lead, n, k))
    y = d.array((*lead, m, k) if tb else (*lead, k, m))
    return [x, y], {"transpose_a": ta, "transpose_b": tb}


def _products(x: np.ndarray, y: np.ndarray, transpose_a: bool, transpose_b: bool) -> np.ndarray:
    a, b = "ki" if transpose_a else "ik", "jk" if transpose_b else "kj"
    return np.einsum(f"...{a},...{b}->...ij", x, y)


def _layer_norm(d: Any) -> Made:
    shape = (*d.draw(hnp.array_shapes(min_dims=0, max_dims=2, min_side=0)), d.size(2))
    arrays = [d.array(shape), d.array(shape[-1:]), d.array(shape[-1:])]
    return arrays, {"epsilon": d.draw(st.sampled_from([1e-5, 0.1, 1.0]))}


def _layer_norm_grad(d: Any) -> Made:
    (x, gamma, _), _ = _layer_norm(d)  # a tiny epsilon loses all digits of a float16
    return [d.array(x.shape), x, gamma], {"epsilon": d.draw(st.sampled_from([0.1, 1.0]))}


def _normalised(x: np.ndarray, gamma: Any, beta: Any, epsilon: float) -> np.ndarray:
    """Row by row: a row is centred by a matrix, and divided by its length."""
    result, d = np.empty(x.shape), x.shape[-1]
    for index in np.ndindex(x.shape[:-1]):
        row = (np.eye(d) - 1 / d) @ x[index]
        result[index] = row / math.hypot(*row, math.sqrt(d * epsilon)) * math.sqrt(d)
    return result * gamma + beta


def _normalised_grad(dy: np.ndarray, x: np.ndarray, gamma: np.ndarray, epsilon: float) -> Any:
    """The Jacobian of each row: that of v / |v|, after centring, with epsilon one more element."""
    dx, d = np.empty(x.shape), x.shape[-1]
    for index in np.ndindex(x.shape[:-1]):
        centre = np.eye(d) - 1 / d
        row = centre @ x[index]
        length = math.hypot(*row, math.sqrt(d * epsilon))
        jacobian = (np.eye(d) / length - np.outer(row, row) / length**3) * math.sqrt(d)
        dx[index] = centre @ jacobian.T @ (dy[index] * gamma)
    normal = _normalised(x, np.ones(d), np.zeros(d), epsilon)
    dgamma = np.einsum("nd,nd->d", dy.reshape(-1, d), normal.reshape(-1, d))
    return dx, dgamma, np.einsum("nd->d", dy.reshape(-1, d))


def erf(x: np.ndarray) -> np.ndarray:
    """2/√π ∫ exp(-t²) dt from 0 to x, by Gauss and Legendre."""
    points, weights = np.polynomial.legendre.leggauss(60)
    half = np.asarray(x)[..., None] / 2
    return (
        np.sum(weights * half * np.exp(-((half * (points + 1)) ** 2)), -1) * 2 / math.sqrt(math.pi)
    )


def _density(x: np.ndarray) -> np.ndarray:
    return np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def _below(x: np.ndarray) -> np.ndarray:
    return (1 + erf(x / math.sqrt(2))) / 2


def _uniform_like(d: Any) -> Made:
    dtype = as_dtype(d.draw(st.sampled_from(["float16", "float32", "float64"])))
    return [d.array(d.draw(SHAPES))], {"low": -2.0, "high": 3.0, "dtype": dtype, "seed": 3}


def _reduction(d: Any) -> Made:
    x = d.array(d.draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=1, max_side=4)))
    return [x], {"reduction_indices": d.axes(x.ndim), "keepdims": d.draw(st.booleans())}


MADE: dict[str, Callable[[Any], Made]] = {
    **dict.fromkeys(("less", "less_equal", "greater_equal", "not_equal"), _binary),
    **dict.fromkeys(("maximum", "minimum"), _binary),
    "where": _where,
    "concat": _concat,
    "split": _split,
    "split_like": _split_like,
    "slice": _slice,
    "slice_grad": _slice_grad,
    "gather": _gather,
    "gather_grad": _gather_grad,
    "cumsum": _cumsum,
    "recurrence": _recurrence,
    "expand_dims": _expand,
    "squeeze": _squeeze,
    "batch_matmul": _batch_matmul,
    "layer_norm": _layer_norm,
    "layer_norm_grad": _layer_norm_grad,
    "rsqrt": _positive,
    "gelu_grad": _pair,
    "uniform_like": _uniform_like,
    "reduce_min": _reduction,
}

ORACLES: dict[str, Callable[..., Any]] = {
    "less": lambda x, y: ~(x >= y),
    "less_equal": lambda x, y: (x < y) | (x == y),
    "greater_equal": lambda x, y: ~(x < y),
    "not_equal": lambda x, y: (x < y) | (x > y),
    "maximum": lambda x, y: (x + y + np.sqrt((x - y) ** 2)) / 2,
    "minimum": lambda x, y: (x + y - np.sqrt((x - y) ** 2)) / 2,
    "abs": lambda x: np.sqrt(x * x),
    "where": lambda c, x, y: c * x + (1 - c) * y,
    "concat": lambda *parts, axis: np.moveaxis(
        np.array([row for part in parts for row in np.moveaxis(part, axis, 0)]).reshape(
            sum(part.shape[axis] for part in parts), *np.moveaxis(parts[0], axis, 0).shape[1:]
        ),
        0,
        axis,
    ),
    "split": lambda x, num, sizes, axis: _taken(x, sizes or (x.shape[axis] // num,) * num, axis),
    "split_like": lambda x, *likes, num, axis: _taken(x, [y.shape[axis] for y in likes], axis),
    "slice": _sliced,
    "slice_grad": _put_back,
    "gather": _gathered,
    "gather_grad": _scattered,
    "cumsum": _running,
    "recurrence": _stepped,
    "expand_dims": lambda x, axis: x.reshape(
        np.insert(np.array(x.shape, int), axis if axis >= 0 else axis + x.ndim + 1, 1)
    ),
    "squeeze": _squeezed,
    "batch_matmul": _products,
    "layer_norm": _normalised,
    "layer_norm_grad": _normalised_grad,
    "erf": erf,
    "rsqrt": lambda x: x**-0.5,
    "gelu": lambda x: x * _below(x),
    "gelu_grad": lambda dy, x: dy * (_below(x) + x * _density(x)),
}


def _taken(x: np.ndarray, sizes: Any, axis: int) -> Any:
    """Parts by counting through the axis; one part as it is."""
    start, parts = 0, []
    for size in sizes:
        parts.append(
            np.take(x, range(start, start + size), axis)
            if size
            else np.take(x, np.array([], int), axis)
        )
        start += size
    return parts if len(parts) > 1 else parts[0]
