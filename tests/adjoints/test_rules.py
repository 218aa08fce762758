"""Every rule against float64 differences and against torch's own differentiation, and once more for
its derivative: the second derivative goes through the nodes that the rule built."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

import tinyflow as tf
from tinyflow import ops
from tinyflow.adjoints import ADJOINTS, NoGradient
from tinyflow.backends.torch_ import TORCH
from tinyflow.ir import Graph, Value
from tinyflow.passes import STANDARD, gradient
from tinyflow.runtime.interpreter import interpret

from .case import Case
from .cases import CASES

STEP, SEED = 1e-6, 3


def _weighted(graph: Graph, feeds: dict[Value, np.ndarray]) -> Value:
    """A scalar that depends on every element of every output: sum of output * random weights."""
    rng = np.random.default_rng(SEED)
    parts = []
    for value, array in zip(graph.outputs, interpret(graph, feeds)):
        weights = ops.constant(rng.normal(size=np.shape(array)))
        parts.append(ops.reduce_sum(ops.mul(value, weights)))
    total = parts[0]
    for part in parts[1:]:
        total = ops.add(total, part)
    return total


def _touching(case: Case, loss: Value) -> Value:
    """The same loss, plus 0 * x for each x: some rules leave an x out, rightly."""
    return ops.add(loss, ops.mul(0.0, _weighted(Graph(case.xs), case.feeds)))


def _differences(loss: Value, xs: Sequence[Value], feeds: dict[Value, np.ndarray]):
    """d loss / d x by central differences, for each x."""
    slopes = []
    for x in xs:
        slope = np.zeros_like(feeds[x])
        for place in np.ndindex(slope.shape):
            ends = []
            for step in (STEP, -STEP):
                moved = feeds[x].copy()
                moved[place] += step
                ends.append(interpret(Graph((loss,)), {**feeds, x: moved})[0])
            slope[place] = (ends[0] - ends[1]) / (2 * STEP)
        slopes.append(slope)
    return slopes


def _check(found, wanted, xs):
    for x, got, want in zip(xs, found, wanted, strict=True):
        assert got.shape == want.shape, x.node.name
        np.testing.assert_allclose(got, want, rtol=2e-6, atol=2e-7, err_msg=x.node.name)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_gradient_equals_central_differences(case: Case):
    loss = _touching(case, _weighted(case.graph, case.feeds))
    found = interpret(gradient(Graph((loss,)), case.xs), case.feeds)
    _check(found, _differences(loss, case.xs, case.feeds), case.xs)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_second_derivative_equals_differences_of_the_first(case: Case):
    first = gradient(Graph((_touching(case, _weighted(case.graph, case.feeds)),)), case.xs)
    loss = _touching(case, _weighted(first, case.feeds))
    found = interpret(gradient(Graph((loss,)), case.xs), case.feeds)
    _check(found, _differences(loss, case.xs, case.feeds), case.xs)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_gradient_equals_that_of_torch(case: Case):
    loss = _touching(case, _weighted(case.graph, case.feeds))
    tensors = {value: torch.from_numpy(np.array(a)) for value, a in case.feeds.items()}
    leaves = [tensors[x].requires_grad_() for x in case.xs]
    if case.torch:
        y = case.torch(*tensors.values())
    else:  # torch's autograd looks on while our torch kernels compute the forward pass
        (y,) = interpret(case.graph, tensors, kernels=TORCH)
    weights = torch.from_numpy(np.asarray(np.random.default_rng(SEED).normal(size=tuple(y.shape))))
    zeros = sum(0.0 * leaf.sum() for leaf in leaves)
    theirs = torch.autograd.grad((y * weights).sum() + zeros, leaves)
    ours = interpret(gradient(Graph((loss,)), case.xs), case.feeds)
    _check(ours, [tensor.numpy() for tensor in theirs], case.xs)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_pipeline_makes_the_gradient_concrete_and_keeps_its_value(case: Case):
    known = {
        x: ops.placeholder(dtype=array.dtype, shape=array.shape, name=x.node.name)
        for x, array in case.feeds.items()
    }
    built = case.build(*known.values())
    shaped = {known[x]: array for x, array in case.feeds.items()}
    loss = _weighted(Graph((built, *map(known.get, case.xs))), shaped)
    graph = gradient(Graph((loss,)), [known[x] for x in case.xs])
    concrete = STANDARD(graph)
    assert not [
        node for node in concrete.nodes if any(i < len(node.inputs) for i in node.op.shape_only)
    ]
    _check(interpret(concrete, shaped), interpret(graph, shaped), case.xs)


def test_every_op_with_a_rule_has_a_case():
    tested = {node.op for case in CASES for node in case.graph.nodes}
    missing = [
        op.name
        for op, rule in ADJOINTS.items()
        if not isinstance(rule, NoGradient) and op not in tested
    ]
    assert not missing


@pytest.mark.parametrize(("shape", "reshapes"), [((None, 4), 0), (None, 2), ((2, 2, 2), 2)])
def test_a_matrix_is_not_reshaped_on_the_way_back_through_a_linear_layer(
    shape: tuple[int | None, ...] | None, reshapes: int
) -> None:
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, shape)
        weights = [tf.Variable(np.ones((4, 4), "float32")) for _ in range(3)]
        y = x
        for weight in weights:
            y = tf.tanh(tf.nn.linear(y, weight))
        graph = Graph(tuple(g.value for g in tf.gradients(tf.reduce_sum(y), [x, *weights])))
        names = [node.op.name for node in graph.nodes]
        assert names.count("reshape_like") == reshapes  # those of x, not of what layers make
        feed = np.arange(8, dtype="float32").reshape(shape if shape == (2, 2, 2) else (2, 4)) / 9
        session = tf.Session("numpy")
        session.run(tf.initialize_all_variables())
        dx, *_ = session.run(tf.gradients(tf.reduce_sum(y), [x, *weights]), {x: feed})
    assert dx.shape == feed.shape
