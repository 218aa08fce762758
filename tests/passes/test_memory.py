"""Memory plans: live storages never overlap, and no plan is far from what any plan needs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinyflow as tf
from tinyflow import ops
from tinyflow.errors import PassError
from tinyflow.ir import Graph, Value
from tinyflow.passes import PLAN, STANDARD, STORAGE, infer
from tinyflow.passes.memory import (
    STRATEGIES,
    Interval,
    MemoryPlan,
    check_plan,
    lower_bound,
)
from tinyflow.passes.storage import Kind

X = ops.placeholder(dtype="float32", shape=(64,), name="x")


@st.composite
def interval_lists(draw: st.DrawFn) -> list[Interval]:
    found = []
    for _ in range(draw(st.integers(0, 40))):
        start = draw(st.integers(0, 50))
        end = start + draw(st.integers(0, 20))
        found.append(Interval((X,), 64 * draw(st.integers(1, 9)), start, end))
    return found


def plan(intervals: list[Interval], offsets: list[int]) -> MemoryPlan:
    ends = [offset + item.size_bytes for offset, item in zip(offsets, intervals)]
    bound = lower_bound(intervals)
    return MemoryPlan(tuple(intervals), tuple(offsets), {}, max(ends, default=0), bound, "test")


@pytest.mark.parametrize("strategy", STRATEGIES)
@settings(max_examples=150, deadline=None)
@given(intervals=interval_lists())
def test_a_strategy_never_lets_live_storages_overlap(
    strategy: str, intervals: list[Interval]
) -> None:
    offsets = STRATEGIES[strategy](intervals)
    made = plan(intervals, offsets)
    for i, a in enumerate(intervals):  # the quadratic definition, beside the fast check
        for j, b in enumerate(intervals[:i]):
            if a.start <= b.end and b.start <= a.end:
                apart = offsets[i] + a.size_bytes <= offsets[j]
                assert apart or offsets[j] + b.size_bytes <= offsets[i]
    check_plan(made)
    assert made.arena_bytes >= made.bound_bytes


@given(interval_lists(), st.data())
@settings(max_examples=100, deadline=None)
def test_overlapping_plans_are_found(intervals: list[Interval], data: st.DataObject) -> None:
    offsets = [64 * data.draw(st.integers(0, 12)) for _ in intervals]
    overlap = any(
        a.start <= b.end and b.start <= a.end
        and offsets[i] < offsets[j] + b.size_bytes and offsets[j] < offsets[i] + a.size_bytes
        for i, a in enumerate(intervals)
        for j, b in enumerate(intervals[:i])
    )  # fmt: skip
    if overlap:
        with pytest.raises(PassError, match="two live storages overlap"):
            check_plan(plan(intervals, offsets))
    else:
        check_plan(plan(intervals, offsets))


def planned(*outputs: Value) -> Graph:
    return STANDARD(Graph(outputs))


def test_a_chain_of_elementwise_ops_runs_in_place() -> None:
    value = ops.neg(X)
    for _ in range(10):
        value = ops.exp(value)
    made = planned(value).fact(PLAN)
    assert len(made.intervals) == 1
    assert made.arena_bytes == made.bound_bytes == 256


def test_an_input_with_another_reader_is_not_overwritten() -> None:
    a = ops.neg(X)
    made = planned(ops.exp(a), ops.mul(a, 2.0)).fact(PLAN)
    assert len(made.intervals) == 2


def test_outputs_live_to_the_end() -> None:
    first = ops.neg(X)
    value = ops.exp(first)
    for _ in range(5):
        value = ops.tanh(value)
    graph = planned(first, value)
    made = graph.fact(PLAN)
    assert len(made.intervals) == 2
    assert all(item.end >= len(graph.nodes) for item in made.intervals)


def test_each_output_of_a_group_takes_over_an_input_of_its_own() -> None:
    a, b = (ops.placeholder(dtype="float32", shape=(64,), name=f"x{i}") for i in range(2))
    body = infer(Graph((ops.add(a, b), ops.mul(a, b))))
    total, product = ops.fused.node([ops.neg(X), ops.abs(X)], {"body": body}).outputs
    made = planned(ops.reduce_sum(total), ops.reduce_sum(product)).fact(PLAN)
    assert sorted(len(item.values) for item in made.intervals if item.size_bytes == 256) == [2, 2]


def test_views_live_with_the_value_they_show() -> None:
    graph = planned(ops.reshape(ops.neg(X), shape=(8, 8)))
    homes = graph.fact(STORAGE)
    view = graph.outputs[0]
    assert homes[view].owner == view.node.inputs[0]


def test_what_depends_on_constants_alone_is_a_constant() -> None:
    graph = planned(ops.mul(ops.exp(ops.add(ops.ones(shape=(3,)), 1.0)), 2.0))
    kinds = {home.kind for home in graph.fact(STORAGE).values()}
    assert kinds == {Kind.CONSTANT}


def test_an_update_is_computed_straight_into_its_variable() -> None:
    tf.reset_default_graph()
    x = tf.placeholder(tf.float32, [4, 3])
    w = tf.Variable(np.ones((3, 2), np.float32), name="w")
    loss = tf.reduce_sum(tf.matmul(x, w))
    step = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    sess = tf.Session()
    sess.run(tf.initialize_all_variables())
    sess.run(step, {x: np.ones((4, 3))})
    assert "-> w" in str(sess.program())
    assert "copy" not in sess.source()
    np.testing.assert_allclose(sess.run(w), np.full((3, 2), 0.6), rtol=1e-6)


def test_a_variable_may_be_given_its_own_content() -> None:
    tf.reset_default_graph()
    w = tf.Variable(np.full((3,), 2.0, np.float32), name="w")
    sess = tf.Session()
    sess.run(tf.initialize_all_variables())
    np.testing.assert_array_equal(sess.run(tf.assign(w, w)), np.full((3,), 2.0))
    np.testing.assert_array_equal(sess.run(w), np.full((3,), 2.0))


def test_the_plan_of_a_training_step_meets_the_lower_bound() -> None:
    tf.reset_default_graph()
    x, y = tf.placeholder(tf.float32, [100, 784]), tf.placeholder(tf.int64, [100])
    h = tf.nn.relu(tf.nn.linear(x, num_hidden=100, name="fc1", no_bias=False))
    loss = tf.nn.mean_sparse_softmax_cross_entropy_with_logits(
        tf.nn.linear(h, num_hidden=10, name="fc2"), y
    )
    step = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    sess = tf.Session()
    for v, _, shape in tf.infer_variable_shapes(loss, {x: [100, 784], y: [100]}):
        sess.run(tf.assign(v, tf.zeros(shape)))
    sess.run([loss, step], {x: np.ones((100, 784)), y: np.zeros(100, np.int64)})
    made = sess.memory_plan()
    assert made.arena_bytes <= 1.01 * made.bound_bytes
    assert "at least" in str(made)
