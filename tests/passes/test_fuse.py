"""Fusion: fewer launches, the same numbers, groups that can run as one."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest

import tinyflow as tf
from tinyflow import ops
from tinyflow.codegen.scalar import supported
from tinyflow.errors import GraphError, RunError
from tinyflow.ir import Graph, Node, Value, text
from tinyflow.ops.sweep import MOST_INPUTS, MOST_NODES, Group, Level
from tinyflow.passes import describe, infer, order
from tinyflow.passes.expand import expand
from tinyflow.passes.fuse import forward_assigned, fuse
from tinyflow.passes.grow import grow_groups

X = ops.placeholder(dtype="float32", shape=(4, 3), name="x")
W = ops.variable(dtype="float32", shape=(4, 3), name="w")


def fused(*outputs: Value) -> Graph:
    return fuse(infer(Graph(outputs)))


def launches(graph: Graph) -> list[str]:
    return [node.op.name for node in graph.nodes if not node.op.leaf]


def bodies(graph: Graph) -> list[Graph]:
    return [node.attrs["body"] for node in graph.nodes if node.op is ops.fused]


def test_a_chain_becomes_one_kernel() -> None:
    graph = fused(ops.tanh(ops.add(ops.mul(X, X), 1.0)))
    assert launches(graph) == ["fused"]
    assert text(bodies(graph)[0]) == (
        '%0 = placeholder(dtype=float32, shape=[4, 3]) "x0"\n'
        "%1 = mul(%0, %0)\n"
        "%2 = constant(value=1.0)\n"
        "%3 = add(%1, %2)\n"
        "%4 = tanh(%3)\n"
        "return %4\n"
    )


def test_a_single_op_keeps_its_own_kernel_unless_generated_code_is_faster() -> None:
    assert launches(fused(ops.sqrt(X))) == ["sqrt"]
    assert launches(fused(ops.tanh(X))) == ["fused"]


def test_a_value_read_outside_is_an_output_of_the_group() -> None:
    y = ops.exp(X)
    graph = fused(y, ops.matmul(ops.add(y, y), X, transpose_b=True))
    assert sorted(launches(graph)) == ["fused", "matmul"]
    assert len(bodies(graph)[0].outputs) == 2


def test_no_path_leaves_a_group_and_comes_back() -> None:
    """sqrt and add could fuse, but a product stands between them on one of two ways."""
    y = ops.sqrt(X)
    product = ops.matmul(ops.matmul(y, X, transpose_b=True), X)
    graph = fused(ops.tanh(ops.add(y, product)))
    assert launches(graph) == ["sqrt", "matmul", "matmul", "fused"]


def test_reductions_over_the_last_axis_stay_inside() -> None:
    total = ops.reduce_sum(ops.exp(X), reduction_indices=(1,), keepdims=True)
    graph = fused(ops.div(ops.exp(X), total))
    assert launches(graph) == ["fused"]


def test_nothing_in_a_group_reads_a_sum_over_its_rows() -> None:
    total = ops.reduce_sum(ops.exp(X), reduction_indices=(0,), keepdims=True)
    graph = fused(ops.neg(ops.neg(ops.div(ops.exp(X), total))))
    for body in bodies(graph):
        sums = [n for n in body.nodes if n.op is ops.reduce_sum]
        assert all(Value(n) in body.outputs for n in sums)
        assert not any(Value(n) in m.inputs for n in sums for m in body.nodes)


def test_integers_and_unknown_shapes_are_left_alone() -> None:
    numbers = ops.placeholder(dtype="int32", shape=(4,), name="n")
    assert "fused" not in launches(fused(ops.mul(ops.add(numbers, numbers), numbers)))
    open_ = ops.placeholder(dtype="float32", shape=(None,), name="open")
    assert "fused" not in launches(fused(ops.tanh(ops.exp(open_))))


def test_a_group_takes_no_more_arrays_than_a_kernel_can_hold() -> None:
    total: Any = X
    for index in range(2 * MOST_INPUTS):
        total = ops.add(total, ops.placeholder(dtype="float32", shape=(4, 3), name=f"y{index}"))
    graph = fused(total)
    assert len(bodies(graph)) > 1
    assert all(len(n.inputs) <= MOST_INPUTS for n in graph.nodes if n.op is ops.fused)


def test_two_versions_of_a_variable_are_two_inputs() -> None:
    write = ops.assign(W, X)
    old, new = ops.exp(Value(W.node, 0, 0)), ops.exp(Value(W.node, 0, 1))
    graph = fused(ops.neg(old), write, ops.neg(new))
    versions = [v.version for n in graph.nodes if n.op is ops.fused for v in n.inputs]
    assert versions == [0, 1]


def test_groups_share_a_body_if_and_only_if_their_bodies_are_the_same() -> None:
    made: list[Value] = []
    for number, dtype, size in product((2.0, 3.0), ("float32", "float64"), (4, 5)):
        v = ops.placeholder(dtype=dtype, shape=(size, size), name=f"x{len(made)}")
        factor = ops.constant(number, dtype=dtype)
        w = ops.matmul(v, v)  # which keeps what reads v and what reads w apart
        made += [ops.tanh(ops.mul(v, factor)), ops.tanh(ops.mul(w, factor))]
        made += [ops.tanh(ops.mul(factor, ops.matmul(w, w)))]  # not the same: in the other order
    found = bodies(fused(*made))
    printed = [text(body, describe(body)) for body in found]
    assert len(found) == 24 and len(set(printed)) == 16
    for a, b in combinations(range(24), 2):
        assert (found[a] is found[b]) == (printed[a] == printed[b]), printed[a] + printed[b]


def test_readers_of_a_write_read_what_was_written() -> None:
    write = ops.assign(W, ops.exp(X))
    graph = forward_assigned(infer(Graph((ops.tanh(write), ops.group(after=(write.node,))))))
    tanh = next(node for node in graph.nodes if node.op is ops.tanh)
    assert tanh.inputs[0].node.op is ops.exp
    assert "assign" in launches(graph)


def test_a_write_that_only_its_reader_asks_for_is_not_lost() -> None:
    graph = forward_assigned(infer(Graph((ops.tanh(ops.assign(W, ops.exp(X))),))))
    assert "assign" in launches(graph)


def test_every_group_is_one_that_kernels_can_be_made_for() -> None:
    rows = ops.reduce_sum(ops.mul(X, X), reduction_indices=(1,), keepdims=False)
    scaled = ops.mul(ops.broadcast_to(ops.reshape(rows, shape=(4, 1)), shape=(4, 3)), X)
    mean = ops.reduce_mean(ops.tanh(rows), reduction_indices=None, keepdims=False)
    columns = ops.reduce_sum(scaled, reduction_indices=(0,), keepdims=False)
    for body in bodies(fused(scaled, mean, columns)):
        assert supported(body) is None


def test_a_long_chain_is_cut_into_groups_that_compile() -> None:
    y: Any = X
    for _ in range(3000):
        y = ops.tanh(y)
    runs = grow_groups(infer(Graph((y,))))
    groups = ["Group"] * -(-3000 // MOST_NODES)
    assert [type(run).__name__ for run in runs] == ["Node", *groups]


def test_growing_looks_at_each_of_many_siblings_a_few_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked = 0
    level = Group.level

    def counted(group: Group, node: Node) -> Level | None:
        nonlocal looked
        looked += 1
        return level(group, node)

    monkeypatch.setattr(Group, "level", counted)
    others = [ops.placeholder(dtype="float32", shape=(4, 3)) for _ in range(1000)]
    shared = ops.tanh(X)
    runs = grow_groups(infer(Graph(tuple(ops.mul(shared, other) for other in others))))
    assert sum(isinstance(run, Group) for run in runs) > 1000 // MOST_NODES
    assert looked < 10 * 1000


def adam_step(config: str) -> tuple[list[np.ndarray], list[float], tf.Session]:
    """Five steps of a small classifier: weights, losses and the session."""
    tf.reset_default_graph()
    rng = np.random.default_rng(0)
    x = tf.placeholder(tf.float32, [6, 8])
    y = tf.placeholder(tf.int64, [6])
    w = tf.Variable(rng.standard_normal((5, 8)).astype(np.float32), name="w")
    b = tf.Variable(np.zeros(5, np.float32), name="b")
    logits = tf.nn.linear(x, w, b)
    loss = tf.nn.mean_sparse_softmax_cross_entropy_with_logits(logits, y)
    train = tf.train.AdamOptimizer(0.1).minimize(loss)
    feeds = {x: rng.standard_normal((6, 8)).astype(np.float32), y: np.arange(6) % 5}
    session = tf.Session(config)
    session.run(tf.initialize_all_variables())
    losses = [float(session.run([loss, train], feeds)[0]) for _ in range(5)]
    return [session.variable("w"), session.variable("b")], losses, session


def test_a_training_step_is_the_same_with_fewer_launches() -> None:
    weights, losses, session = adam_step("cpu fusion")
    plain_weights, plain_losses, plain = adam_step("cpu")
    np.testing.assert_allclose(losses, plain_losses, rtol=1e-5)
    for got, expected in zip(weights, plain_weights):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)
    assert len(session.program().instructions) < len(plain.program().instructions) / 3


def test_updates_are_computed_straight_into_variables() -> None:
    source = adam_step("cpu fusion")[2].source()
    writes = [line for line in source.splitlines() if "fused" in line and "v" in line]
    assert writes
    assert source.count(".copy_(") <= 1  # only the step counter, which labels that fail must spare


def test_the_source_shows_the_loops_and_what_was_compiled() -> None:
    session = adam_step("cpu fusion")[2]
    assert "for c in columns:" in session.source()
    assert len(session.source(kernels=True)) > 2 * len(session.source())


@pytest.mark.parametrize("wrong", [np.array([0, 1, 2, 3, 4, 5]), np.array([0, -1, 2, 3, 4, 0])])
def test_wrong_labels_are_refused_before_anything_is_written(wrong: np.ndarray) -> None:
    session = adam_step("cpu fusion")[2]
    before = session.variable("w")
    tf.reset_default_graph()
    x, y = tf.placeholder(tf.float32, [6, 8]), tf.placeholder(tf.int64, [6])
    w = tf.Variable(before, name="w")
    loss = tf.nn.mean_sparse_softmax_cross_entropy_with_logits(tf.nn.linear(x, w), y)
    train = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    with pytest.raises(RunError, match="a label is not a class number"):
        session.run([loss, train], {x: np.ones((6, 8), np.float32), y: wrong})
    np.testing.assert_array_equal(session.variable("w"), before)


EXPANDED: list[Callable[[Value, Value], Value]] = [
    lambda x, y: ops.softmax(x, axis=-1),
    lambda x, y: ops.log_softmax(x, axis=1),
    lambda x, y: ops.softmax_grad(x, y, axis=1),
    lambda x, y: ops.log_softmax_grad(x, y, axis=-1),
    lambda x, y: ops.softmax_cross_entropy_with_logits(x, y),
    lambda x, y: ops.mean_softmax_cross_entropy_with_logits(x, y),
    lambda x, y: ops.mean_sparse_softmax_cross_entropy_with_logits(x, np.array([0, 2, 1, 0])),
    lambda x, y: ops.sparse_softmax_cross_entropy_grad(2.0, x, np.array([0, 2, 1, 0])),
]


@pytest.mark.parametrize("make", EXPANDED)
def test_composite_ops_expand_to_what_they_are(make: Callable[[Value, Value], Value]) -> None:
    y = ops.placeholder(dtype="float32", shape=(4, 3), name="y")
    composite = make(X, y)
    graph = expand(infer(Graph((composite,))))
    assert composite.node.op.name not in launches(graph)
    rng = np.random.default_rng(1)
    feeds = {v: rng.standard_normal((4, 3)).astype(np.float32) for v in (X, y)}
    used = {v: a for v, a in feeds.items() if v.node in Graph((composite,)).nodes}
    results = []
    for config in ("numpy", "cpu", "cpu fusion"):
        session = tf.Session(config)
        results.append(session.run_values([composite], list(used), list(used.values()))[0])
    np.testing.assert_allclose(results[1], results[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(results[2], results[0], rtol=1e-5, atol=1e-6)


def test_other_axes_are_not_expanded() -> None:
    graph = expand(infer(Graph((ops.softmax(X, axis=0),))))
    assert launches(graph) == ["softmax"]


def test_a_long_chain_becomes_kernels_that_a_compiler_can_finish() -> None:
    x = ops.placeholder(dtype="float32", shape=(8,), name="x")
    y = x
    for _ in range(200):
        y = ops.tanh(y)
    graph = fuse(infer(Graph((y,))))
    made = [node for node in graph.nodes if node.op is ops.fused]
    assert len(made) == 4
    assert all(supported(node.attrs["body"]) is None for node in made)


def test_an_update_that_waits_for_a_sum_over_rows_is_made_at_the_end() -> None:
    bias = ops.variable(dtype="float32", shape=(3,), name="b")
    dx = ops.relu_grad(X, X)
    slope = ops.reduce_sum(dx, reduction_indices=(0,), keepdims=False)
    new = ops.sub(bias, ops.mul(slope, 0.1))
    graph = fused(dx, new)
    assert launches(graph) == ["fused"]
    assert supported(bodies(graph)[0]) is None


def test_normalisation_runs_as_one_kernel_each_way() -> None:
    gamma = ops.placeholder(dtype="float32", shape=(3,), name="gamma")
    beta = ops.placeholder(dtype="float32", shape=(3,), name="beta")
    y = ops.layer_norm(X, gamma, beta)
    slopes = ops.layer_norm_grad(ops.exp(X), X, gamma)
    for results in ((y,), slopes):
        graph = fuse(infer(expand(infer(Graph(tuple(results))))))
        assert launches(graph) == ["fused"]
        rng = np.random.default_rng(2)
        feeds = {X: rng.normal(size=(4, 3)), gamma: rng.normal(size=3), beta: rng.normal(size=3)}
        used = {v: a for v, a in feeds.items() if v.node in Graph(tuple(results)).nodes}
        got, expected = (
            tf.Session(config).run_values(results, list(used), list(used.values()))
            for config in ("cpu fusion", "numpy")
        )
        for a, b in zip(got, expected):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_a_group_that_is_only_waited_for_stays() -> None:
    waited = ops.tanh(ops.exp(X))
    after = Value(ops.neg(X).node.with_inputs((X,), (waited.node,)))
    graph = fused(after)
    assert "fused" in launches(graph)
    assert all(body.outputs for body in bodies(graph))


def test_a_graph_that_cannot_run_is_left_for_order_to_name_the_reader() -> None:
    value = ops.variable(dtype="float32", shape=(4, 3), name="v")
    graph = infer(Graph((ops.add(W, ops.assign(W, value)),)))
    with pytest.raises(GraphError, match="reads variable 'w' as it was before a write"):
        order(fuse(graph))
