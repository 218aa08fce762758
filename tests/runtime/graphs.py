"""Random graphs for comparing every road from graph to numbers. Values stay small and smooth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from tinyflow import ops
from tinyflow.ir import Graph, Value
from tinyflow.passes import gradient

__all__ = ["Case", "cases"]

LEAVES = ((2, 3), (3, 2), (3,), (1, 3), (2, 1), ())
UNARY = (ops.neg, ops.tanh, ops.sigmoid, ops.relu, ops.gelu, ops.erf, ops.identity)
ALONG_AN_AXIS = (ops.softmax, ops.log_softmax, ops.cumsum)
BINARY = (ops.add, ops.sub, ops.mul)


@dataclass(frozen=True)
class Case:
    """A graph with the arrays it runs on."""

    graph: Graph
    feeds: dict[Value, np.ndarray]
    variables: dict[str, np.ndarray]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A graph of 3 to 14 ops on placeholders and variables, maybe with gradients and updates."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values: list[tuple[Value, tuple[int, ...]]] = []
    feeds: dict[Value, np.ndarray] = {}
    variables: dict[str, np.ndarray] = {}
    leaves: list[Value] = []
    for index in range(draw(st.integers(1, 3))):
        shape = draw(st.sampled_from(LEAVES))
        x = ops.placeholder(dtype="float64", shape=shape, name=f"x{index}")
        feeds[x] = rng.uniform(-1, 1, shape)
        leaves.append(x)
        values.append((x, shape))
    for index in range(draw(st.integers(0, 2))):
        shape = draw(st.sampled_from(LEAVES))
        w = ops.variable(dtype="float64", shape=shape, name=f"w{index}")
        variables[f"w{index}"] = rng.uniform(-1, 1, shape)
        leaves.append(w)
        values.append((w, shape))
    for _ in range(draw(st.integers(3, 14))):
        values.append(_step(draw, values))
    outputs = [value for value, _ in values[-draw(st.integers(1, 3)) :]]
    graph = Graph(tuple(outputs))
    if draw(st.booleans()):
        graph = _with_gradients(graph, leaves, draw(st.booleans()))
    used = set(graph.nodes)
    feeds = {value: array for value, array in feeds.items() if value.node in used}
    return Case(graph, feeds, variables)


def _step(
    draw: st.DrawFn, values: list[tuple[Value, tuple[int, ...]]]
) -> tuple[Value, tuple[int, ...]]:
    x, shape = draw(st.sampled_from(values))
    kind = draw(st.integers(0, 7))
    if kind == 0:
        return draw(st.sampled_from(UNARY + (ALONG_AN_AXIS if shape else ())))(x), shape
    if kind == 1:
        y, other = draw(st.sampled_from(values))
        try:
            return draw(st.sampled_from(BINARY))(x, y), np.broadcast_shapes(shape, other)
        except ValueError:
            return ops.mul(x, 0.5), shape
    if kind == 2 and len(shape) == 2:
        twice = ops.matmul(x, x, transpose_a=draw(st.booleans()), transpose_b=True)
        if twice.node.attrs["transpose_a"]:
            twice = ops.matmul(x, x, transpose_a=True)
            return twice, (shape[1], shape[1])
        return twice, (shape[0], shape[0])
    if kind == 3 and shape:
        axis = draw(st.integers(-len(shape), len(shape) - 1))
        keep = draw(st.booleans())
        op = draw(st.sampled_from((ops.reduce_sum, ops.reduce_mean, ops.reduce_max)))
        reduced = np.sum(np.empty(shape), axis=axis, keepdims=keep).shape
        return op(x, reduction_indices=(axis,), keepdims=keep), reduced
    if kind == 4:
        flat = ops.reshape(x, shape=(-1,))
        return flat, (int(np.prod(shape)),)
    if kind > 5 and shape:
        return _parts(draw, x, shape)
    number = draw(st.sampled_from((2.0, -0.5, 3, 1)))
    op = draw(st.sampled_from((ops.add, ops.sub, ops.mul, ops.div)))
    return (op(x, number), shape) if draw(st.booleans()) else (ops.sub(number, x), shape)


def _parts(draw: st.DrawFn, x: Value, shape: tuple[int, ...]) -> tuple[Value, tuple[int, ...]]:
    """Join, cut or pick along the last axis."""
    *lead, size = shape
    how = draw(st.sampled_from(("concat", "split", "slice", "gather", "norm")))
    if how == "concat":
        return ops.concat(x, ops.tanh(x), axis=-1), (*lead, 2 * size)
    if how == "split" and size > 1:
        first = draw(st.integers(1, size - 1))
        which, sizes = draw(st.integers(0, 1)), (first, size - first)
        return ops.split(x, sizes=sizes, axis=-1)[which], (*lead, sizes[which])
    if how in ("slice", "split"):
        step = draw(st.sampled_from((1, 2, -1)))
        ends = {"begin": (0,), "end": (2**62,)} if step > 0 else {"begin": (-1,), "end": (-9,)}
        return ops.slice(x, **ends, axes=(-1,), strides=(step,)), (*lead, -(-size // abs(step)))
    if how == "gather":
        ids = np.array([size - 1, 0, size - 1])
        return ops.gather(x, ops.constant(ids), axis=-1), (*lead, 3)
    row = ops.constant(np.arange(1.0, size + 1))
    return ops.layer_norm(x, row, row, epsilon=0.5), shape


def _with_gradients(graph: Graph, leaves: list[Value], update: bool) -> Graph:
    """Add gradients of all outputs, and gradient-descent writes to the variables among them."""
    used = set(graph.nodes)
    xs = [leaf for leaf in leaves if leaf.node in used]
    slopes = gradient(graph, xs).outputs
    extra = list(slopes)
    if update:
        for x, slope in zip(xs, slopes):
            if x.node.op is ops.variable:
                extra.append(ops.assign(x, ops.sub(x, ops.mul(slope, 0.1))))
    return Graph((*graph.outputs, *extra))
