"""From a training graph to an inference graph, and normalisation folded into convolutions."""

import numpy as np
import pytest

from tinyflow import ops
from tinyflow.frontend.inference import fold_batch_norm, for_inference
from tinyflow.ir import Graph
from tinyflow.runtime.interpreter import interpret

RNG = np.random.default_rng(2)
SHAPES = {"x": (2, 3, 5, 6), "w": (4, 3, 3, 3), "b": (4,)}
VECTORS = ("gamma", "beta", "mean", "variance")


def leaves():
    shapes = {**SHAPES, **dict.fromkeys(VECTORS, (4,))}
    made = {name: ops.placeholder(dtype="float64", name=name) for name in shapes}
    feeds = {made[name]: RNG.uniform(0.5, 2, shape) for name, shape in shapes.items()}
    return made, feeds


def network(made, bias, **attrs):
    inputs = [made["x"], made["w"], *([made["b"]] if bias else [])]
    conv = ops.conv2d(*inputs, strides=(2, 1), padding=None, name="conv")
    node = ops.batch_norm.node([conv, *(made[name] for name in VECTORS)], attrs, name="bn")
    return conv, node.outputs


def names(graph):
    return [node.op.name for node in graph.nodes if node.inputs]


def test_the_switch_changes_batch_normalisation_and_nothing_else():
    made, feeds = leaves()
    _, (y, mean, variance) = network(made, False, epsilon=0.01)
    before = Graph((ops.relu(y), ops.neg(mean), variance))
    after = for_inference(before)
    assert sorted(names(after)) == sorted(names(before))
    (norm,) = (node for node in after.nodes if node.op is ops.batch_norm)
    assert not norm.attrs["training"] and norm.attrs["epsilon"] == 0.01 and norm.name == "bn"
    assert after.outputs[2] == made["variance"]
    _, (y,) = network(made, False, epsilon=0.01, training=False)
    np.testing.assert_array_equal(
        interpret(after, feeds)[0], interpret(Graph((ops.relu(y),)), feeds)[0]
    )
    np.testing.assert_array_equal(interpret(after, feeds)[1], -feeds[made["mean"]])


@pytest.mark.parametrize("bias", [False, True])
def test_a_normalisation_after_a_convolution_becomes_part_of_it(bias):
    made, feeds = leaves()
    _, (y,) = network(made, bias, epsilon=0.01, training=False)
    graph = Graph((ops.tanh(y),))
    folded = fold_batch_norm(graph)
    assert "batch_norm" not in names(folded) and names(folded).count("conv2d") == 1
    np.testing.assert_allclose(interpret(folded, feeds)[0], interpret(graph, feeds)[0], rtol=1e-10)


def test_what_someone_else_reads_or_what_trains_stays():
    made, _ = leaves()
    conv, (y,) = network(made, False, training=False)
    both = Graph((y, conv))
    assert names(fold_batch_norm(both)) == names(both)
    twice = Graph((ops.add(y, conv),))
    assert names(fold_batch_norm(twice)) == names(twice)
    _, (y, _, _) = network(made, False)
    assert names(fold_batch_norm(Graph((y,)))) == ["conv2d", "batch_norm"]
    alone = ops.batch_norm(made["x"], *(made[name] for name in VECTORS), training=False)
    assert names(fold_batch_norm(Graph((alone,)))) == ["batch_norm"]


def test_a_chain_is_folded_link_by_link():
    made, feeds = leaves()
    _, (y,) = network(made, True, training=False)
    w2 = ops.constant(RNG.normal(size=(4, 4, 1, 1)))
    second = ops.conv2d(ops.relu(y), w2)
    z = ops.batch_norm(second, *(made[name] for name in VECTORS), training=False)
    graph = Graph((z,))
    folded = fold_batch_norm(graph)
    assert names(folded).count("conv2d") == 2 and "batch_norm" not in names(folded)
    np.testing.assert_allclose(interpret(folded, feeds)[0], interpret(graph, feeds)[0], rtol=1e-9)
