"""Stand-ins become concrete where shapes are known, and stay where they are not."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinyflow import ops
from tinyflow.backends.numpy_ import NUMPY
from tinyflow.ir import Graph, Value, text
from tinyflow.passes import infer, specialise
from tinyflow.runtime.interpreter import interpret

SHAPE = st.lists(st.integers(1, 3), max_size=4).map(tuple)


def value(shape: tuple[int | None, ...], name: str, dtype: str = "float32") -> Value:
    return ops.placeholder(dtype=dtype, shape=shape, name=name)


def concrete(*outputs: Value) -> Graph:
    return specialise(infer(Graph(outputs)))


def names(graph: Graph) -> list[str]:
    return [node.op.name for node in graph.nodes if not node.op.leaf]


def test_a_stand_in_becomes_the_ops_that_it_stands_for() -> None:
    x, like = value((2, 3), "x"), value((3, 1), "like")
    graph = concrete(ops.broadcast_like(like, value((4, 3, 2), "y"), keepdims=True))
    assert names(graph) == ["broadcast_to"]
    assert text(concrete(ops.sum_like(x, value((1, 3), "row")))) == (
        '%0 = placeholder(dtype=float32, shape=[2, 3]) "x"\n'
        "%1 = reduce_sum(%0, reduction_indices=[0])\n"
        "%2 = reshape(%1, shape=[1, 3])\n"
        "return %2\n"
    )
    assert names(concrete(ops.zeros_like(x), ops.reshape_like(x, value((6,), "flat")))) == [
        "zeros",
        "reshape",
    ]


def test_what_is_not_known_yet_stays() -> None:
    x, like = value((None, 3), "x"), value((None, 3), "like")
    kept = [ops.sum_like(x, like), ops.zeros_like(x), ops.size(x), ops.reshape_like(x, like)]
    assert names(concrete(*kept)) == [made.node.op.name for made in kept]


def test_a_stand_in_for_what_is_there_already_vanishes() -> None:
    x, like = value((2, 3), "x"), value((2, 3), "like")
    made = (ops.sum_like(x, like), ops.reshape_like(x, like), ops.cast_like(x, like))
    assert concrete(*made, ops.identity(x)).outputs == (x,) * 4


def test_an_identity_of_a_variable_keeps_the_old_value() -> None:
    w = ops.variable(dtype="float32", shape=(2,), name="w")
    assert names(concrete(ops.identity(w))) == ["identity"]


def test_inputs_are_cast_to_what_the_kernel_needs() -> None:
    graph = concrete(ops.add(value((2,), "n", "int32"), value((2,), "x")))
    assert names(graph) == ["cast", "add"]


@given(shape=SHAPE, data=st.data())
def test_sum_like_and_broadcast_like_mean_what_numpy_does(
    shape: tuple[int, ...], data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(shape)))
    small = tuple(data.draw(st.sampled_from((1, n))) for n in shape[start:])
    x, like = value(shape, "x"), value(small, "like")
    graph = concrete(ops.sum_like(x, like), ops.broadcast_like(like, x, keepdims=True))
    rng = np.random.default_rng(0)
    arrays = {v: rng.integers(-9, 9, s).astype(np.float32) for v, s in ((x, shape), (like, small))}
    feeds = {v: a for v, a in arrays.items() if v.node in graph.nodes}
    total, stretched = interpret(graph, feeds, {}, NUMPY)
    np.testing.assert_array_equal(stretched, np.broadcast_to(arrays[like], shape))
    ones = np.ones(small, np.float32)
    # Σ x * broadcast(e) = Σ sum_like(x) * e for every e: each is the other's adjoint
    for place in np.ndindex(*small):
        ones[...] = 0
        ones[place] = 1
        assert np.sum(arrays[x] * np.broadcast_to(ones, shape)) == total[place]
