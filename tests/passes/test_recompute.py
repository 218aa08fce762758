"""Recomputation: the same numbers, bit for bit, in less memory."""

from __future__ import annotations

import numpy as np
import pytest

import tinyflow as tf
from tinyflow import ops
from tinyflow.ir import Graph
from tinyflow.passes import SCHEDULE, infer, order, storage
from tinyflow.passes.memory import lifetimes, lower_bound
from tinyflow.passes.recompute import busiest_step, keep_some, recompute, waiting_values

OPTIONS = ("recompute", "checkpoint")


def deep_network(layers: int, noisy: bool = False) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """tanh layers with or without additive noise: feed, loss, training step."""
    tf.reset_default_graph()
    rng = np.random.default_rng(0)
    x = h = tf.placeholder(tf.float32, [50, 16])
    for index in range(layers):
        start = (rng.standard_normal((16, 16)) * 0.3).astype(np.float32)
        h = tf.tanh(tf.matmul(h, tf.Variable(start, name=f"w{index}")))
        if noisy:
            h = h * tf.uniform([50, 16], 0.5, 1.5)
    loss = tf.reduce_mean(h * h)
    return x, loss, tf.train.GradientDescentOptimizer(0.5).minimize(loss)


def trained(config: str, layers: int, noisy: bool = False) -> tuple[list[float], int]:
    """Losses of five steps, and the bytes of the arena."""
    x, loss, train = deep_network(layers, noisy)
    images = np.random.default_rng(1).standard_normal((50, 16)).astype(np.float32)
    with tf.Session(config) as session:
        session.run(tf.initialize_all_variables())
        losses = [float(session.run([loss, train], {x: images})[0]) for _ in range(5)]
        return losses, session.memory_plan().arena_bytes


@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("option", OPTIONS)
def test_losses_stay_bit_for_bit_the_same(option: str, noisy: bool) -> None:
    assert trained(f"cpu {option}", 9, noisy)[0] == trained("cpu", 9, noisy)[0]


def test_memory_of_a_deep_chain_falls_to_about_its_square_root() -> None:
    layers = 64
    plain, sparse = trained("cpu", layers)[1], trained("cpu checkpoint", layers)[1]
    activation = 50 * 16 * 4
    assert plain >= layers * activation
    assert sparse <= 2.5 * layers**0.5 * activation


def test_cheap_values_are_dropped_and_products_never_run_twice() -> None:
    tf.reset_default_graph()
    x = h = tf.placeholder(tf.float32, [50, 16])
    for index in range(6):
        h = tf.sigmoid(tf.tanh(tf.matmul(h, tf.Variable(tf.ones([16, 16]), name=f"w{index}"))))
    train = tf.train.GradientDescentOptimizer(0.5).minimize(tf.reduce_sum(h))
    steps = tf.Session("cpu recompute").trace(train, {x: np.ones((50, 16))})
    graphs = {step.name: step.graph for step in steps}

    def count(name: str, op: str) -> int:
        return sum(node.op.name == op for node in graphs[name].nodes)

    assert count("recompute", "sigmoid") > count("simplify", "sigmoid")
    assert count("recompute", "tanh") == count("simplify", "tanh")  # would need the product again
    assert count("recompute", "matmul") == count("simplify", "matmul")


def test_a_clone_does_not_run_before_it_is_wanted() -> None:
    x, loss, train = deep_network(9)
    graph = tf.Session("cpu checkpoint").trace([loss, train], {x: np.ones((50, 16))})[-1].graph
    schedule = graph.fact(SCHEDULE)
    forward = max(i for i, node in enumerate(schedule) if node.op.name == "reduce_mean")
    waiting = [node for node in schedule if node.after and node.op.name == "matmul"]
    assert waiting
    assert all(schedule.index(node) > forward for node in waiting)


def test_a_graph_without_waiting_values_stays_as_it_is() -> None:
    x = ops.placeholder(dtype="float32", shape=(4,), name="x")
    graph = storage(order(infer(Graph((ops.exp(ops.tanh(x)),)))))
    assert recompute(graph) is graph


def test_unknown_shapes_are_left_alone() -> None:
    x = ops.placeholder(dtype="float32", shape=(None,), name="x")
    graph = storage(order(infer(Graph((ops.mul(ops.exp(x), x),)))))
    assert recompute(graph) is graph


def test_views_keep_what_they_show_and_clones_read_the_old_variable() -> None:
    tf.reset_default_graph()
    w = tf.Variable(np.full((8, 8), 0.5, np.float32), name="w")
    x = tf.placeholder(tf.float32, [8, 8])
    h = x
    for _ in range(6):
        h = tf.reshape(tf.tanh(tf.reshape(tf.matmul(h, w), [64])), [8, 8])
    loss = tf.reduce_sum(h)
    train = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    results = []
    for config in ("cpu", "cpu checkpoint", "cpu recompute", "numpy"):
        session = tf.Session(config)
        session.run(tf.initialize_all_variables())
        for _ in range(3):
            session.run([loss, train], {x: np.eye(8, dtype=np.float32)})
        results.append(session.variable("w"))
    np.testing.assert_array_equal(results[1], results[0])
    np.testing.assert_array_equal(results[2], results[0])
    np.testing.assert_allclose(results[3], results[0], rtol=1e-5)


def test_the_busiest_step_is_that_after_which_most_bytes_wait() -> None:
    x = ops.placeholder(dtype="float32", shape=(1024,), name="x")
    a, b = ops.exp(x), ops.tanh(x)
    c = ops.mul(a, b)
    graph = storage(order(infer(Graph((ops.reduce_sum(ops.mul(ops.sqrt(c), a)),)))))
    schedule, lives = graph.fact(SCHEDULE), lifetimes(graph)
    assert lower_bound(lives) == 3 * 4096  # a and b are read, c is written
    turn = busiest_step(lives)
    assert schedule[turn] is b.node
    assert waiting_values(graph, lives, turn) == [a]  # b is read by the very next node
    assert waiting_values(graph, lives, turn - 1) == [a]


def test_what_follows_a_write_reads_no_clone_that_needs_the_old_content() -> None:
    results = []
    for config in ("cpu", "cpu checkpoint", "cpu recompute"):
        tf.reset_default_graph()
        w = tf.Variable(np.full((8, 8), 0.1, np.float32), name="w")
        waiting = [tf.exp(w * float(index)) for index in range(6)]
        with tf.control_dependencies([tf.assign(w, tf.add_n(waiting))]):
            new = tf.tanh(w)
            late = tf.reduce_sum(tf.add_n([tf.multiply(value, new) for value in waiting]))
        session = tf.Session(config)
        session.run(tf.initialize_all_variables())
        results.append(float(session.run(late)))
    assert results[1:] == results[:1] * 2


def test_about_the_square_root_of_the_values_is_kept() -> None:
    values = [ops.exp(ops.constant(float(i))) for i in range(100)]
    kept = keep_some(values)
    assert len(kept) == 10
    assert values[-1] in kept
    assert keep_some([]) == set()


@pytest.mark.parametrize("words", ["recompute", "checkpoint"])
def test_fused_kernels_are_run_again_as_they_are_so_that_no_bit_differs(words: str) -> None:
    rng = np.random.default_rng(0)

    def step(config: str) -> list[np.ndarray]:
        with tf.Graph().as_default():
            x = tf.placeholder(tf.float32, [50, 17])
            weights = [tf.Variable(w) for w in start]
            y = x
            for weight in weights:
                z = tf.matmul(y, weight)
                y = tf.tanh(z - tf.reduce_mean(z, [1], keep_dims=True)) * tf.nn.softmax(z * 3.0)
                y = y + tf.nn.softmax(y) * tf.exp(-y * y) - 0.25 * z
            session = tf.Session(config)
            session.run(tf.initialize_all_variables())
            loss = tf.reduce_sum(tf.reduce_max(tf.nn.softmax(y), [1]) + tf.reduce_sum(y * y, [1]))
            return session.run([loss, *tf.gradients(loss, weights)], {x: given})

    start = rng.normal(size=(8, 17, 17)).astype("float32")
    given = rng.normal(size=(50, 17)).astype("float32")
    for plain, again in zip(step("cpu fusion"), step(f"cpu fusion {words}")):
        np.testing.assert_array_equal(plain, again)
