"""Waking neighbours finds what running all rules finds, again and again until nothing changes."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from tinyflow import ops
from tinyflow.ir import Graph, Value
from tinyflow.passes import KNOWN_SHAPES, SHAPES, infer
from tinyflow.types import Shape, unify_shape

Known = tuple[Value, tuple[int, ...]]  # a value, and the shape that it truly has


def naive(graph: Graph, known: Mapping[Value, Shape]) -> dict[Value, Shape]:
    found = {value: known.get(value) for node in graph.nodes for value in node.outputs}
    before: dict[Value, Shape] = {}
    while found != before:
        before = dict(found)
        for node in graph.nodes:
            ins, outs = [found[v] for v in node.inputs], [found[v] for v in node.outputs]
            parts = node.op.shape(node.attrs, ins, outs)
            for value, shape in zip((*node.inputs, *node.outputs), (*parts[0], *parts[1])):
                found[value] = unify_shape(found[value], shape)
    return found


def holes(draw: st.DrawFn, shape: tuple[int, ...]) -> Shape:
    """What somebody may know of a shape: nothing, some sizes or all."""
    if draw(st.booleans()):
        return None
    return tuple(None if draw(st.booleans()) else size for size in shape)


def grow(draw: st.DrawFn, made: list[Known]) -> None:
    """One op more, on what is there."""
    x, shape = draw(st.sampled_from(made))
    same = [value for value, other in made if other == shape]
    y = draw(st.sampled_from(same))
    kind = draw(st.integers(0, 8))
    if kind == 0:
        made.append((ops.tanh_grad(x, y), shape))
    elif kind == 1:
        made.append((ops.mul(x, y), shape))
    elif kind == 2 and len(shape) == 2:
        made.append((ops.matmul(x, y, transpose_b=True), (shape[0], shape[0])))
    elif kind == 3 and len(shape) == 2:
        made.append((ops.transpose(x), shape[::-1]))
    elif kind == 4 and 0 not in shape:
        rest = ops.reshape(x, shape=(-1, 1))
        size = shape[0] * shape[-1] if len(shape) == 2 else shape[0]
        made.append((rest, (size, 1)))
    elif kind == 5:
        first, second = ops.split(ops.concat(x, y, axis=0), num=2, axis=0)
        made.extend([(first, shape), (second, shape)])
    elif kind == 6 and len(shape) == 2:
        made.append((ops.reduce_sum(x, reduction_indices=(0,), keepdims=False), shape[1:]))
    elif kind == 7 and len(shape) == 2:
        w = ops.variable(dtype="float32", shape=holes(draw, (3, shape[1])), name=f"w{len(made)}")
        made.extend([(w, (3, shape[1])), (ops.linear(x, w), (shape[0], 3))])
    else:
        made.append((ops.reshape_like(ops.exp(x), y), shape))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_waking_neighbours_is_enough(data: st.DataObject) -> None:
    draw = data.draw
    made: list[Known] = []
    for index in range(draw(st.integers(1, 3))):
        shape = draw(st.sampled_from([(2, 3), (3, 2), (1, 1), (0, 2), (4,)]))
        x = ops.placeholder(dtype="float32", shape=holes(draw, shape), name=f"x{index}")
        made.append((x, shape))
    for _ in range(draw(st.integers(1, 10))):
        grow(draw, made)
    known = {value: holes(draw, shape) for value, shape in draw(st.lists(st.sampled_from(made)))}
    graph = Graph(tuple(value for value, _ in made))
    found = infer(graph.with_fact(KNOWN_SHAPES, known)).fact(SHAPES)
    assert found == naive(graph, known)
    for value, shape in made:
        assert unify_shape(found[value], shape) == shape
