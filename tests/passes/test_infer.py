"""Inference goes both ways, to a fixed point, and names the node at which findings contradict."""

from __future__ import annotations

import pytest

from tinyflow import ops
from tinyflow.errors import DTypeError, ShapeError
from tinyflow.ir import Graph, Value
from tinyflow.passes import DTYPES, KNOWN_SHAPES, SHAPES, infer
from tinyflow.types import DType, Shape


def leaf(shape: Shape = None, dtype: str = "float32", name: str = "x") -> Value:
    return ops.placeholder(dtype=dtype, shape=shape, name=name)


def shapes(*outputs: Value) -> dict[Value, Shape]:
    return dict(infer(Graph(outputs)).fact(SHAPES))


def test_a_weight_is_inferred_from_the_input_of_its_layer() -> None:
    x = leaf()
    w = ops.variable(dtype="float32", shape=(100, None), name="w")
    b = ops.variable(dtype="float32", name="b")
    y = ops.linear(x, w, b)
    graph = Graph((y,)).with_fact(KNOWN_SHAPES, {x: (32, 784)})
    found = infer(graph).fact(SHAPES)
    assert (found[w], found[b], found[y]) == ((100, 784), (100,), (32, 100))


def test_knowledge_flows_backwards_through_a_long_chain() -> None:
    first = value = leaf()
    for _ in range(500):
        value = ops.exp(value)
    ends = ops.add(ops.reshape(value, shape=(6,)), 1.0)
    graph = Graph((ends,)).with_fact(KNOWN_SHAPES, {value: (2, 3)})
    assert infer(graph).fact(SHAPES)[first] == (2, 3)


def test_parts_known_on_two_sides_meet() -> None:
    a, b = leaf((None, 4)), leaf((5, None))
    y = ops.tanh_grad(a, b)  # all of one shape
    assert set(shapes(y).values()) == {(5, 4)}


def test_broadcasting_never_guesses_backwards() -> None:
    a, b = leaf(), leaf((3, 4))
    assert shapes(ops.add(a, b))[a] is None


def test_unknown_stays_unknown_and_zero_is_a_size() -> None:
    a = leaf((None, 0))
    assert shapes(ops.exp(a))[a] == (None, 0)


def test_inference_is_idempotent() -> None:
    y = ops.matmul(leaf((2, 3)), leaf((3, 4)))
    once = infer(Graph((y,)))
    assert infer(once).fact(SHAPES) == once.fact(SHAPES)


def test_contradicting_shapes_name_the_node_and_the_users_line() -> None:
    y = ops.matmul(leaf((2, 3)), leaf((4, 5)), name="h1")
    with pytest.raises(ShapeError, match=r"matmul 'h1' \(test_infer.py:\d+\)"):
        infer(Graph((y,)))


def test_a_number_takes_the_dtype_it_meets() -> None:
    x = leaf(dtype="float64")
    y = ops.mul(x, 2)
    found = infer(Graph((y,))).fact(DTYPES)
    assert found[y] is DType.float64
    assert found[y.node.inputs[1]] is DType.float64


def test_a_number_that_meets_nothing_is_float32_or_int32() -> None:
    a, b = ops.constant(2.5), ops.constant(2)
    found = infer(Graph((a, b))).fact(DTYPES)
    assert (found[a], found[b]) == (DType.float32, DType.int32)


def test_a_fraction_does_not_fit_an_integer() -> None:
    with pytest.raises(
        DTypeError, match="does not fit the dtype it meets; got 0.5; expected int32"
    ):
        infer(Graph((ops.add(leaf(dtype="int32"), 0.5),)))


def test_comparisons_are_bool_and_sums_of_bools_are_float32() -> None:
    same = ops.equal(leaf(dtype="int64"), leaf(dtype="float32"))
    mean = ops.reduce_mean(same)
    found = infer(Graph((mean,))).fact(DTYPES)
    assert (found[same], found[mean]) == (DType.bool, DType.float32)
