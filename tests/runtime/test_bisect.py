"""Bisection names a planted broken pass, and accuses no pass of rounding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import tinyflow as tf
from tinyflow import ops
from tinyflow.errors import PassError
from tinyflow.ir import Graph, Node, Value, rewrite
from tinyflow.passes import PLAN, STANDARD
from tinyflow.passes.contract import Pass
from tinyflow.passes.memory import memory


@pytest.fixture(autouse=True)
def fresh_graph() -> None:
    tf.reset_default_graph()


def broken(graph: Graph) -> Graph:
    """Takes tanh for sigmoid."""

    def rule(node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...] | None:
        return (ops.sigmoid(*inputs, name=node.name),) if node.op is ops.tanh else None

    return rewrite(graph, rule)[0]


def network() -> tuple[tf.Tensor, dict[Any, Any]]:
    x = tf.placeholder(tf.float32, [4, 3], name="x")
    w = tf.Variable(tf.random_normal([3, 5]), name="w")
    h = tf.tanh(tf.matmul(x, w), name="h")
    loss = tf.reduce_mean(tf.square(h + tf.random_normal([4, 5])))
    step = tf.train.MomentumOptimizer(0.1, 0.9).minimize(loss)
    return step, {x: np.random.default_rng(0).normal(size=(4, 3))}


@pytest.mark.parametrize("config", ["cpu", "cpu fusion", "numpy", "cpu interpret"])
def test_no_pass_is_accused_of_a_right_pipeline(config: str) -> None:
    step, feeds = network()
    sess = tf.Session(config)
    sess.run(tf.global_variables_initializer())
    before = sess.checkpoint()
    found = sess.bisect(step, feeds)
    assert found.culprit is None and found.node is None
    assert [each.name for each in found.steps] == [
        "input",
        *sess.pipeline.names(),
        "emitted function",
    ]
    assert "no pass changes results" in str(found)
    after = sess.checkpoint()
    assert (after.seed, after.run_count) == (before.seed, before.run_count)
    for name, array in before.arrays.items():
        np.testing.assert_array_equal(after.arrays[name], array)


@pytest.mark.parametrize("before", ["infer", "order"])
def test_a_planted_broken_pass_is_named_with_node_and_difference(before: str) -> None:
    step, feeds = network()
    pipeline = STANDARD.insert(Pass("broken", broken), before=before)
    sess = tf.Session(pipeline=pipeline)
    sess.run(tf.global_variables_initializer())
    found = sess.bisect(step, feeds)
    assert found.culprit == "broken" and found.steps[-1].name == "broken"
    assert found.steps[-1].output.startswith("variable 'w")
    assert found.node is not None and found.node.op is ops.sigmoid and found.node.name == "h"
    assert 0.01 < found.largest < 2
    assert "<- changes results" in str(found) and "first wrong node: sigmoid 'h'" in str(found)
    assert all(each.largest < 1e-5 for each in found.steps[:-1])


def test_a_pass_whose_graph_cannot_run_is_named_with_the_error() -> None:
    def breaks(graph: Graph) -> Graph:
        return Graph((ops.reshape(graph.outputs[0], shape=(7,)),))

    pipeline = STANDARD.insert(Pass("breaks", breaks), before="pin")
    x = tf.placeholder(tf.float32, name="x")
    y = tf.exp(x)
    without_types = pipeline.without(*STANDARD.names())
    found = tf.Session(pipeline=without_types).bisect(y, {x: np.ones(3)})
    assert found.culprit == "breaks" and "shape '[7]' is invalid" in str(found)


def test_a_tolerance_may_be_given_and_integers_are_exact() -> None:
    def slightly(graph: Graph) -> Graph:
        return Graph(tuple(ops.mul(y, 1.001) for y in graph.outputs))

    x = tf.placeholder(tf.float32, [3], name="x")
    sess = tf.Session(pipeline=STANDARD.insert(Pass("slightly", slightly), before="pin"))
    feeds = {x: np.ones(3)}
    assert sess.bisect(tf.exp(x), feeds).culprit == "slightly"
    assert sess.bisect(tf.exp(x), feeds, tolerance=0.01).culprit is None


def test_nan_must_stay_nan() -> None:
    def without_nan(graph: Graph) -> Graph:
        return Graph(tuple(ops.relu(y) for y in graph.outputs))

    x = tf.placeholder(tf.float32, [2], name="x")
    sess = tf.Session(pipeline=STANDARD.insert(Pass("zeros", without_nan), before="pin"))
    assert sess.bisect(tf.sqrt(x), {x: np.array([4.0, 9.0])}).culprit is None
    found = sess.bisect(tf.log(x), {x: np.array([0.0, 1.0])})
    assert found.culprit == "zeros" and found.steps[-1].largest == np.inf


def test_a_wrong_emitted_function_is_named_last(monkeypatch: pytest.MonkeyPatch) -> None:
    x = tf.placeholder(tf.float32, [2], name="x")
    sess = tf.Session()
    monkeypatch.setitem(sess.kernels.namespace, "exp", torch.sqrt)  # templates only
    found = sess.bisect(tf.exp(x), {x: np.array([4.0, 9.0])})
    assert found.culprit == "emitted function" and found.node is None


def test_a_pass_that_breaks_its_contract_is_an_error_as_in_a_run() -> None:
    x = tf.placeholder(tf.float32, [2])
    sess = tf.Session(pipeline=STANDARD.replace("specialise", lambda graph: None))  # type: ignore
    with pytest.raises(PassError, match="pass 'specialise' returned no graph"):
        sess.bisect(tf.exp(x), {x: np.ones(2)})


def test_passes_that_are_still_to_be_written_are_left_out() -> None:
    def unwritten(graph: Graph) -> Graph:
        raise NotImplementedError

    step, feeds = network()
    sess = tf.Session(pipeline=STANDARD.replace("order", unwritten))
    sess.run(tf.global_variables_initializer())
    found = sess.bisect(step, feeds)
    assert found.culprit is None
    names = [each.name for each in found.steps]
    assert names[-1] == "emitted function" and "specialise" in names and "order" not in names
    assert sess.profile(step, feeds, runs=1).lines


def test_a_pass_that_found_out_something_untrue_is_named() -> None:
    def overlapping(graph: Graph) -> Graph:
        graph = memory(graph)
        plan = graph.fact(PLAN)
        return graph.with_fact(PLAN, replace(plan, offsets_bytes=(0,) * len(plan.offsets_bytes)))

    step, feeds = network()
    sess = tf.Session(pipeline=STANDARD.replace("memory", overlapping))
    sess.run(tf.global_variables_initializer())
    found = sess.bisect(step, feeds)
    assert found.culprit == "memory" and found.steps[-1].differs
    assert "with the standard pass 'memory' the function is right" in str(found)


def test_a_pass_that_swaps_outputs_is_named() -> None:
    x = tf.placeholder(tf.float32, [2])
    swap = Pass("swap", lambda graph: Graph(graph.outputs[::-1]))
    sess = tf.Session(pipeline=STANDARD.insert(swap, before="pin"))
    y, z = tf.exp(x), tf.tanh(x)
    found = sess.bisect([y, z], {x: np.array([1.0, 2.0])})
    assert found.culprit == "swap" and found.node is None
