"""Random applications of every op: what the tests of rules and kernels draw from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinyflow import ops
from tinyflow.ir import Graph, Op
from tinyflow.ops.rules import kernel_dtypes
from tinyflow.types import DType, as_dtype

from .images import MADE as IMAGES
from .parts import MADE as PARTS

DTYPES = ("bool", "int32", "int64", "float16", "float32", "float64")
FLOATS = ("float16", "float32", "float64")
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
WITH_AXES = hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4) | st.just((40, 3))
FULL = hnp.array_shapes(min_dims=0, max_dims=3, min_side=1, max_side=4)


@dataclass(frozen=True)
class Case:
    """One application: arrays and attributes, all of them filled in."""

    op: Op
    arrays: tuple[np.ndarray, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def dtypes(self) -> list[DType]:
        """What goes in."""
        return [as_dtype(array.dtype) for array in self.arrays]

    @property
    def outputs(self) -> int:
        """How many results there are."""
        return self.op.output_count(self.attrs)

    @property
    def out_dtypes(self) -> list[DType]:
        """What the dtype rule says comes out."""
        return list(self.op.dtype(self.attrs, self.dtypes, [None] * self.outputs)[1])

    @property
    def out_shapes(self) -> list[tuple[int, ...]]:
        """What the shape rule says comes out."""
        shapes = [array.shape for array in self.arrays]
        return list(self.op.shape(self.attrs, shapes, [None] * self.outputs)[1])

    @property
    def inputs(self) -> tuple[np.ndarray, ...]:
        """The arrays as the kernel needs them."""
        needed = kernel_dtypes(self.op, self.attrs, self.dtypes, self.out_dtypes)
        return tuple(np.array(a, dtype.numpy) for a, dtype in zip(self.arrays, needed))

    @property
    def kwargs(self) -> dict[str, Any]:
        """Keyword arguments of the kernel."""
        return {**self.attrs, **({"key": (5, 1)} if self.op.random else {})}


class Draw:
    """Draws the parts of a case."""

    def __init__(self, draw: Callable[..., Any]) -> None:
        self.draw = draw
        self.random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def array(self, shape: tuple[int, ...], dtypes: tuple[str, ...] = DTYPES) -> np.ndarray:
        """Small numbers, some of them equal."""
        return np.round(self.random.normal(size=shape) * 2, 1).astype(
            self.draw(st.sampled_from(dtypes))
        )

    def apart(self, shape: tuple[int, ...], dtypes: tuple[str, ...] = DTYPES) -> np.ndarray:
        """Numbers of 0.5 to 2: what can be divided by, or raised to a power."""
        return self.random.uniform(0.5, 2, shape).astype(self.draw(st.sampled_from(dtypes)))

    def axes(self, rank: int) -> tuple[int, ...] | None:
        """None, or some axes, counted from either end."""
        if self.draw(st.booleans()):
            return None
        chosen = self.draw(st.sets(st.integers(0, rank - 1))) if rank else set()
        return tuple(axis - rank * self.draw(st.integers(0, 1)) for axis in sorted(chosen))

    def stretched(self, count: int) -> tuple[tuple[int, ...], ...]:
        """Shapes that broadcast."""
        return self.draw(
            hnp.mutually_broadcastable_shapes(num_shapes=count, max_dims=3, min_side=0, max_side=3)
        ).input_shapes

    def smaller(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """A shape that broadcasts to ``shape``."""
        dims = [1 if self.draw(st.booleans()) else dim for dim in shape]
        return tuple(dims[self.draw(st.integers(0, len(dims))) :])

    def size(self, least: int = 0) -> int:
        return self.draw(st.integers(least, 4))


def _unary(d: Draw) -> tuple[list[np.ndarray], dict]:
    return [d.array(d.draw(SHAPES))], {}


def _binary(d: Draw) -> tuple[list[np.ndarray], dict]:
    a, b = d.stretched(2)
    return [d.array(a), d.array(b)], {}


def _apart(d: Draw) -> tuple[list[np.ndarray], dict]:
    a, b = d.stretched(2)
    return [d.apart(a), d.apart(b)], {}


def _pair(d: Draw) -> tuple[list[np.ndarray], dict]:
    shape = d.draw(SHAPES)
    return [d.array(shape), d.array(shape)], {}


def _cast(d: Draw) -> tuple[list[np.ndarray], dict]:
    return [d.array(d.draw(SHAPES))], {"dtype": as_dtype(d.draw(st.sampled_from(DTYPES)))}


def _reduction(d: Draw, shapes: st.SearchStrategy = SHAPES) -> tuple[list[np.ndarray], dict]:
    x = d.array(d.draw(shapes))
    return [x], {"reduction_indices": d.axes(x.ndim), "keepdims": d.draw(st.booleans())}


def _maximum(d: Draw) -> tuple[list[np.ndarray], dict]:
    return _reduction(d, FULL)


def _argmax(d: Draw) -> tuple[list[np.ndarray], dict]:
    x = d.array(d.draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4)))
    return [x], {"axis": d.draw(st.integers(-x.ndim, x.ndim - 1))}


def _size(d: Draw) -> tuple[list[np.ndarray], dict]:
    x = d.array(d.draw(SHAPES))
    return [x], {"reduction_indices": d.axes(x.ndim)}


def _matmul(d: Draw) -> tuple[list[np.ndarray], dict]:
    n, k, m = d.size(), d.size(), d.size()
    ta, tb = d.draw(st.booleans()), d.draw(st.booleans())
    x, y = d.array((k, n) if ta else (n, k)), d.array((m, k) if tb else (k, m))
    return [x, y], {"transpose_a": ta, "transpose_b": tb}


def _gemm(d: Draw) -> tuple[list[np.ndarray], dict]:
    (x, y), attrs = _matmul(d)
    n = x.shape[1] if attrs["transpose_a"] else x.shape[0]
    m = y.shape[0] if attrs["transpose_b"] else y.shape[1]
    factors = {
        "alpha": d.draw(st.sampled_from([1.0, -0.5])),
        "beta": d.draw(st.sampled_from([0.0, 1.0, 2.0])),
    }
    return [d.array((n, m)), x, y], {**factors, **attrs}


def _copy_to(d: Draw) -> tuple[list[np.ndarray], dict]:
    return [d.array(d.draw(SHAPES))], {"device": d.draw(st.sampled_from(["cpu:1", "gpu:0"]))}


def _linear(d: Draw) -> tuple[list[np.ndarray], dict]:
    n, m, rest = d.size(), d.size(), d.draw(WITH_AXES)
    arrays = [d.array((n, *rest)), d.array((m, int(np.prod(rest)))), d.array((m,))]
    return arrays[: d.draw(st.integers(2, 3))], {}


def _reshape(d: Draw) -> tuple[list[np.ndarray], dict]:
    x = d.array(d.draw(SHAPES))
    shape = [*d.draw(st.permutations(x.shape)), 1]
    if x.size and d.draw(st.booleans()):
        shape[d.draw(st.integers(0, len(shape) - 1))] = None
    return [x], {"shape": tuple(shape)}


def _reshape_like(d: Draw) -> tuple[list[np.ndarray], dict]:
    x = d.array(d.draw(SHAPES))
    return [x, d.array(tuple(d.draw(st.permutations(x.shape))))], {}


def _transpose(d: Draw) -> tuple[list[np.ndarray], dict]:
    x = d.array(d.draw(SHAPES))
    perm = d.draw(st.none() | st.permutations(range(x.ndim)).map(tuple))
    return [x], {"perm": perm}


def _broadcast_to(d: Draw) -> tuple[list[np.ndarray], dict]:
    shape = d.draw(SHAPES)
    return [d.array(d.smaller(shape))], {"shape": shape}


def _broadcast_like(d: Draw) -> tuple[list[np.ndarray], dict]:
    like, keepdims = d.array(d.draw(SHAPES)), d.draw(st.booleans())
    axes = d.axes(like.ndim)
    if keepdims:
        return [d.array(d.smaller(like.shape)), like], {"reduction_indices": axes, "keepdims": True}
    gone = {a % like.ndim for a in axes} if axes is not None else set(range(like.ndim))
    x = d.array(tuple(dim for i, dim in enumerate(like.shape) if i not in gone))
    return [x, like], {"reduction_indices": axes, "keepdims": False}


def _sum_like(d: Draw) -> tuple[list[np.ndarray], dict]:
    shape = d.draw(SHAPES)
    return [d.array(shape), d.array(d.smaller(shape))], {}


def _fill(d: Draw) -> tuple[list[np.ndarray], dict]:
    return [], {"shape": d.draw(SHAPES), "dtype": as_dtype(d.draw(st.sampled_from(DTYPES)))}


def _axis(d: Draw) -> tuple[list[np.ndarray], dict]:
    x = d.array(d.draw(WITH_AXES))
    return [x], {"axis": d.draw(st.integers(-x.ndim, x.ndim - 1))}


def _axis_grad(d: Draw) -> tuple[list[np.ndarray], dict]:
    (x,), attrs = _axis(d)
    return [d.array(x.shape), x], attrs


def _sparse(d: Draw) -> tuple[list[np.ndarray], dict]:
    n, c = d.draw(st.integers(0, 4) | st.just(40)), d.size(1)  # 40 rows: torch transposes them
    dtype = d.draw(st.sampled_from(["int32", "int64", "float32", "float64"]))
    logits, labels = d.array((n, c)), d.random.integers(0, c, n).astype(dtype)
    if d.draw(st.booleans()):
        return [logits, labels], {}
    logits = logits.astype("float64")
    logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return [logits, labels], {"normalised": True}


def _labels(d: Draw) -> tuple[list[np.ndarray], dict]:
    (_, labels), _ = _sparse(d)
    hits = np.array(len(labels), "float32")
    return [d.array((2, 3)), hits, labels], {"classes": int(labels.max(initial=0)) + 1}


def _sparse_grad(d: Draw) -> tuple[list[np.ndarray], dict]:
    arrays, attrs = _sparse(d)
    return [d.array(()), *arrays], attrs


def _dense(d: Draw) -> tuple[list[np.ndarray], dict]:
    shape = d.draw(WITH_AXES)
    return [d.array(shape), d.array(shape)], {}


def _assign(d: Draw) -> tuple[list[np.ndarray], dict]:
    shape = d.draw(SHAPES)
    value = d.array(shape)
    return [d.array(shape, FLOATS if value.dtype.kind == "f" else DTYPES), value], {}


def _with_gradient(d: Draw) -> tuple[list[np.ndarray], dict]:
    dy = ops.placeholder(dtype="float32", name="dy")
    return [d.array(d.draw(SHAPES)), d.array(d.draw(SHAPES))], {"backward": Graph((dy, dy))}


def _normal(d: Draw) -> tuple[list[np.ndarray], dict]:
    dtype = as_dtype(d.draw(st.sampled_from(FLOATS)))
    return [], {"shape": d.draw(SHAPES), "stdev": 2.0, "mean": 1.0, "dtype": dtype, "seed": 3}


def _uniform(d: Draw) -> tuple[list[np.ndarray], dict]:
    dtype = as_dtype(d.draw(st.sampled_from(FLOATS)))
    return [], {"shape": d.draw(SHAPES), "low": -2.0, "high": 3.0, "dtype": dtype, "seed": 3}


def _fused(d: Draw) -> tuple[list[np.ndarray], dict]:
    """tanh(x0 * x1) - x0, x1 stretched to x0 where it is smaller; sometimes summed by rows."""
    shape, dtype = d.draw(WITH_AXES), d.draw(st.sampled_from(["float32", "float64"]))
    arrays = [d.array(shape, (dtype,)), d.array(d.smaller(shape), (dtype,))]
    x0, x1 = (
        ops.placeholder(dtype=dtype, shape=array.shape, name=f"x{i}")
        for i, array in enumerate(arrays)
    )
    y = ops.sub(ops.tanh(ops.mul(x0, x1)), x0)
    if d.draw(st.booleans()):
        y = ops.reduce_sum(y, reduction_indices=(-1,))
    return arrays, {"body": Graph((y,))}


_MADE: dict[str, Callable[[Draw], tuple[list[np.ndarray], dict]]] = {
    **dict.fromkeys(("add", "sub", "mul", "equal", "greater"), _binary),
    **dict.fromkeys(("div", "pow"), _apart),
    **dict.fromkeys(("relu_grad", "tanh_grad", "sigmoid_grad", "cast_like"), _pair),
    **dict.fromkeys(("reduce_sum", "reduce_mean", "reduce_prod"), _reduction),
    **dict.fromkeys(("zeros", "ones"), _fill),
    **dict.fromkeys(("softmax", "log_softmax"), _axis),
    **dict.fromkeys(("softmax_grad", "log_softmax_grad"), _axis_grad),
    "cast": _cast,
    "reduce_max": _maximum,
    "argmax": _argmax,
    "size": _size,
    "matmul": _matmul,
    "gemm": _gemm,
    "linear": _linear,
    "copy_to": _copy_to,
    "reshape": _reshape,
    "with_gradient": _with_gradient,
    "reshape_like": _reshape_like,
    "transpose": _transpose,
    "broadcast_to": _broadcast_to,
    "broadcast_like": _broadcast_like,
    "sum_like": _sum_like,
    "mean_sparse_softmax_cross_entropy_with_logits": _sparse,
    "sparse_softmax_cross_entropy_grad": _sparse_grad,
    "checked_labels": _labels,
    "softmax_cross_entropy_with_logits": _dense,
    "mean_softmax_cross_entropy_with_logits": _dense,
    "assign": _assign,
    "fused": _fused,
    **dict.fromkeys(("normal", "truncated_normal"), _normal),
    "uniform": _uniform,
    **IMAGES,
    **PARTS,
}


@st.composite
def _cases(draw: Callable[..., Any], op: Op) -> Case:
    arrays, attrs = _MADE.get(op.name, _unary)(Draw(draw))
    return Case(op, tuple(arrays), op.check_attrs(attrs))


@pytest.fixture(scope="session")
def cases() -> Callable[[Op], st.SearchStrategy[Case]]:
    """Strategy of random applications of an op."""
    return _cases
