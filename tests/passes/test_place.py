"""Placement: every edge within a device or through one copy; state in one piece."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinyflow as tf
from tinyflow import ops
from tinyflow.backends.numpy_ import NUMPY
from tinyflow.backends.torch_ import TORCH
from tinyflow.errors import GraphError, RunError
from tinyflow.ir import CONSTANT, Graph, Node, Value, rewrite, text
from tinyflow.passes import PLACEMENT, place
from tinyflow.runtime.interpreter import interpret
from tinyflow.types import Device

from ..runtime.graphs import Case, cases

A, B = Device("cpu"), Device("cpu", 1)


def on(device: Device, value: Value) -> Value:
    """The same application with a device of its own."""
    node = value.node
    return Value(Node(node.op, node.inputs, node.attrs, node.name, node.after, device, "here"))


def leaf(name: str, device: Device | None = None, kind: str = "placeholder") -> Value:
    made: Value = ops.OPS[kind](dtype="float32", shape=(2,), name=name)
    return made if device is None else on(device, made)


def placed(*outputs: Value) -> str:
    """The placed graph with the device of each node behind it."""
    graph = place(Graph(outputs))
    where = graph.fact(PLACEMENT)
    lines = text(graph).splitlines()
    for at, node in enumerate(graph.nodes):
        lines[at] = f"{lines[at].partition(' on ')[0]} -> {where[node]}"
    return "\n".join(lines)


def same(got: str, expected: str) -> bool:
    return got.split() == expected.split()


def test_without_devices_all_is_on_the_default_and_nothing_changes() -> None:
    graph = Graph((ops.exp(leaf("x")),))
    assert place(graph).nodes == graph.nodes
    assert set(place(graph).fact(PLACEMENT).values()) == {A}
    assert set(place(graph, B).fact(PLACEMENT).values()) == {B}


def test_a_value_is_copied_once_for_all_its_readers_on_a_device() -> None:
    x = on(A, ops.exp(leaf("x", A)))
    y = on(B, ops.neg(x))
    z = on(B, ops.add(x, y))
    assert placed(z) == (
        '%0 = placeholder(dtype=float32, shape=[2]) "x" -> cpu\n'
        "%1 = exp(%0) -> cpu\n"
        '%2 = copy_to(%1, device="cpu:1") -> cpu:1\n'
        "%3 = neg(%2) -> cpu:1\n"
        "%4 = add(%2, %3) -> cpu:1\n"
        "return %4"
    )


def test_a_node_without_device_goes_to_its_inputs_and_else_to_its_readers() -> None:
    follows = ops.tanh(leaf("x", B))
    read_by = ops.exp(leaf("y"))
    first = on(B, ops.add(read_by, follows))
    alone = ops.exp(leaf("z"))
    graph = place(Graph((first, alone)))
    where = {node.name or node.op.name: d for node, d in graph.fact(PLACEMENT).items()}
    assert (where["tanh"], where["y"], where["z"]) == (B, B, A)
    assert not any(node.op is ops.copy_to for node in graph.nodes)


def test_constants_are_never_copied() -> None:
    x = on(B, ops.mul(leaf("x"), on(A, ops.constant(2.0))))
    y = on(A, ops.mul(leaf("y", A), x.node.inputs[1]))
    names = Counter(node.op.name for node in place(Graph((x, y))).nodes)
    assert names["copy_to"] == 0


def test_a_variable_its_writes_and_what_they_need_stay_together() -> None:
    w = leaf("w", B, "variable")
    step = ops.mul(on(A, ops.exp(leaf("x", A))), 0.1)
    write = ops.assign(w, ops.sub(w, step))
    where = place(Graph((write,))).fact(PLACEMENT)
    assert [str(where[n]) for n in where if n.op in (ops.variable, ops.assign)] == ["cpu:1"] * 2
    free = leaf("v", None, "variable")
    write = on(B, ops.assign(free, ops.exp(leaf("x", A))))
    assert place(Graph((write,))).fact(PLACEMENT)[free.node] == B


def test_each_version_of_a_variable_is_copied_by_itself() -> None:
    w = leaf("w", A, "variable")
    old = on(B, ops.exp(w))
    write = ops.assign(w, ops.add(w, 1.0))
    new = on(B, ops.exp(Value(w.node, 0, 1)))
    graph = place(Graph((old, write, new)))
    copies = [node.inputs[0].version for node in graph.nodes if node.op is ops.copy_to]
    assert copies == [0, 1]
    results = interpret(graph, variables={"w": np.zeros(2, "float32")})
    np.testing.assert_allclose([r[0] for r in results], [1, 1, np.e], rtol=1e-6)


def test_writing_a_variable_of_another_device_is_refused_with_both_named() -> None:
    w = leaf("weights", A, "variable")
    write = on(B, ops.assign(w, ops.exp(leaf("x")), name="update"))
    with pytest.raises(GraphError) as caught:
        place(Graph((write,)))
    for word in ("assign 'update' (here)", "variable 'weights' (here)", "cpu:1", "tf.device"):
        assert word in str(caught.value)


def scattered(case: Case, choices: list[Device | None]) -> Graph:
    """The graph with devices on some of its nodes; writes go where the variable is."""
    at = iter(choices)

    def rule(node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...]:
        device = next(at, None)
        if device is None or node.op.mutates:
            return node.with_inputs(inputs).outputs
        made = Node(node.op, inputs, node.attrs, node.name, (), device, node.source)
        return made.outputs

    return rewrite(case.graph, rule)[0]


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(cases(), st.lists(st.sampled_from([A, B, Device("cpu", 2), None]), max_size=60))
def test_edges_stay_within_devices_and_results_stay_as_they_are(
    case: Case, choices: list[Device | None]
) -> None:
    graph = scattered(case, choices)
    done = place(graph)
    where, seen = done.fact(PLACEMENT), set()
    assert list(where.keys() - set(done.nodes)) == []
    for node in done.nodes:
        for value in node.inputs:
            free = node.op is ops.copy_to or value.node.op is CONSTANT
            assert free or where[value.node] == where[node]
        if node.op is ops.copy_to:
            key = (node.inputs[0], node.inputs[0].version, node.attrs["device"])
            assert key not in seen and str(where[node]) == node.attrs["device"]
            assert where[node] != where[node.inputs[0].node]
            seen.add(key)
    again = place(done)
    assert again.nodes == done.nodes and again.fact(PLACEMENT) == where
    for table in (NUMPY, TORCH):
        feeds = {
            Value(n): case.feeds[v]
            for v in case.feeds
            for n in graph.nodes
            if n.name == v.node.name
        }
        held = [
            {v: table.from_numpy(a, tf.float64) for v, a in feeds.items()} for _ in (graph, done)
        ]
        state = [
            {k: table.from_numpy(a, tf.float64) for k, a in case.variables.items()} for _ in held
        ]
        plain = interpret(graph, held[0], state[0], table)
        moved = interpret(done, held[1], state[1], table)
        for a, b in zip(plain + list(state[0].values()), moved + list(state[1].values())):
            np.testing.assert_array_equal(table.to_numpy(a), table.to_numpy(b))


def trained(config: str, first: str | None, second: str | None) -> list[np.ndarray]:
    """Losses and weights of a network in two halves."""
    tf.reset_default_graph()
    rng = np.random.default_rng(0)
    x, y = tf.placeholder(tf.float32, [8, 6]), tf.placeholder(tf.int64, [8])
    with tf.device(first):
        h = tf.tanh(tf.nn.linear(x, num_hidden=10, name="fc1", no_bias=False))
    with tf.device(second):
        logits = tf.nn.linear(h, num_hidden=3, name="fc2", no_bias=False)
        loss = tf.nn.mean_sparse_softmax_cross_entropy_with_logits(logits, y)
    step = tf.train.AdamOptimizer(0.05).minimize(loss)
    sess = tf.Session(config)
    for v, _, shape in tf.infer_variable_shapes(loss, {x: [8, 6], y: [8]}):
        sess.run(tf.assign(v, tf.normal(shape, 0.5)))
    sess.run(tf.initialize_all_variables())
    feeds = {x: rng.normal(size=(8, 6)), y: rng.integers(0, 3, 8)}
    losses = [sess.run([loss, step], feeds)[0] for _ in range(5)]
    if config != "numpy" and second:
        assert sess.source().count("copy_") and "copy_to" in str(sess.program())
    return [*losses, sess.variable("fc1_weight"), sess.variable("fc2_bias")]


@pytest.mark.parametrize("config", ["cpu", "cpu fusion", "cpu recompute", "numpy"])
def test_a_network_in_two_halves_learns_as_on_one_device(config: str) -> None:
    whole = trained(config, None, None)
    for a, b in zip(whole, trained(config, "cpu:0", "/device:CPU:1")):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert whole[0] > whole[4]


def test_each_step_backwards_runs_where_the_step_forwards_ran() -> None:
    tf.reset_default_graph()
    x = tf.placeholder(tf.float32, [8, 6])
    with tf.device("cpu:0"):
        w = tf.Variable(tf.zeros([6, 4]), name="w")
        h = tf.tanh(tf.matmul(x, w))
    with tf.device("cpu:1"):
        v = tf.Variable(tf.zeros([4, 2]), name="v")
        loss = tf.reduce_mean(tf.square(tf.matmul(h, v)))
    step = tf.train.AdamOptimizer(0.1).minimize(loss)
    sess = tf.Session()
    sess.run(tf.initialize_all_variables())
    (done,) = [s.graph for s in sess.trace([step], {x: np.ones((8, 6))}) if s.name == "place"]
    where, slots = done.fact(PLACEMENT), {"w": A, "w_m": A, "v": B, "v_v": B}
    assert {n.name: d for n, d in where.items() if n.name in slots} == slots
    crossing = [(where[n.inputs[0].node], where[n]) for n in where if n.op is ops.copy_to]
    assert crossing.count((B, A)) == 1 and crossing.count((A, B)) <= 3  # dh; h, the rate


def test_blocks_nest_and_end() -> None:
    tf.reset_default_graph()
    with tf.device("cpu:1"):
        a = tf.placeholder(tf.float32)
        with tf.device("/cpu:2"):
            b = tf.exp(a)
        with tf.device(None):
            c = tf.exp(a)
        d = tf.exp(a)
    nodes = [t.value.node.device for t in (a, b, c, d, tf.exp(a))]
    assert nodes == [B, Device("cpu", 2), None, B, None]
    with pytest.raises(RunError, match="unknown device; got 'tpu:0'"), tf.device("/tpu:0"):
        raise AssertionError("not reached")


def test_a_session_refuses_nodes_on_devices_that_it_does_not_run() -> None:
    tf.reset_default_graph()
    with tf.device("/gpu:0"):
        x = tf.placeholder(tf.float32, [2], name="x")
    with pytest.raises(RunError, match=r"placeholder 'x'.*got gpu:0.*tf.Session\('gpu:0'\)"):
        tf.Session("cpu").run(x + 1.0, {x: np.ones(2)})


def test_a_copy_to_nowhere_is_refused() -> None:
    x = tf.placeholder(tf.float32, [2])
    y = tf.Tensor(ops.copy_to(x.value, device="moon"))
    with pytest.raises(
        RunError, match=r"copy_to \(test_place.py:\d+\).*unknown device; got 'moon'"
    ):
        tf.Session().run(y, {x: np.ones(2)})
