"""From a training graph to an inference graph; every front end's is simplified in the same way."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import tinyflow as tf
import tinyflow.frontend.mx as mx
from tinyflow import ops
from tinyflow.frontend.inference import for_inference
from tinyflow.frontend.onnx import load
from tinyflow.ir import Graph
from tinyflow.passes.contract import Step
from tinyflow.runtime.interpreter import interpret

RNG = np.random.default_rng(2)
CONFIGS = ["cpu", "cpu fusion", "numpy"]
VECTORS = ("gamma", "beta", "mean", "variance")
IMAGE = RNG.normal(size=(4, 3, 6, 5)).astype("float32")
CONTENT = {"weight": RNG.normal(size=(4, 3, 3, 3)).astype("float32")}
CONTENT |= {name: RNG.uniform(0.5, 2, 4).astype("float32") for name in VECTORS}


@pytest.fixture(autouse=True)
def _fresh_graph() -> None:
    tf.reset_default_graph()


def names(graph: Graph) -> list[str]:
    return [node.op.name for node in graph.nodes if node.inputs]


def test_the_switch_changes_batch_normalisation_and_nothing_else() -> None:
    shapes = {"x": (2, 4, 5, 6), **dict.fromkeys(VECTORS, (4,))}
    made = {name: ops.placeholder(dtype="float64", name=name) for name in shapes}
    feeds = {made[name]: RNG.uniform(0.5, 2, shape) for name, shape in shapes.items()}

    def normalised(training: bool) -> Any:
        return ops.batch_norm(*made.values(), training=training, epsilon=0.01, name="bn")

    y, mean, variance = normalised(True)
    before = Graph((ops.relu(y), ops.neg(mean), variance))
    after = for_inference(before)
    assert sorted(names(after)) == sorted(names(before))
    (norm,) = (node for node in after.nodes if node.op is ops.batch_norm)
    assert not norm.attrs["training"] and norm.attrs["epsilon"] == 0.01 and norm.name == "bn"
    assert after.outputs[2] == made["variance"]
    np.testing.assert_array_equal(
        interpret(after, feeds)[0], interpret(Graph((ops.relu(normalised(False)),)), feeds)[0]
    )
    np.testing.assert_array_equal(interpret(after, feeds)[1], -feeds[made["mean"]])


PROBABILITY = {
    "a number": lambda keep: {"keep_prob": 0.25},
    "a placeholder": lambda keep: {"keep_prob": keep},
    "a rate": lambda keep: {"rate": 0.75},
    "a rate to be fed": lambda keep: {"rate": 1.0 - keep},
    "an array": lambda keep: {"keep_prob": np.float32(0.25)},
}


@pytest.mark.parametrize("given", PROBABILITY.values(), ids=PROBABILITY)
@pytest.mark.parametrize("config", CONFIGS)
def test_dropout_is_the_identity_in_inference(given: Any, config: str) -> None:
    x, keep = tf.placeholder(tf.float32, [None, 3]), tf.placeholder(tf.float32, [])
    w = tf.Variable(np.float32([[1.0], [2.0], [3.0]]), name="w")
    trained = tf.matmul(tf.nn.dropout(tf.nn.relu(x), **given(keep), name="drop"), w)
    tested = tf.nn.inference(trained)
    (drop,) = (node for node in Graph((tested.value,)).nodes if node.name == "drop")
    assert drop.op is ops.identity
    session, batch = tf.Session(config), RNG.normal(size=(50, 3)).astype("float32")
    session.run(tf.initialize_all_variables())
    expected = np.maximum(batch, 0) @ np.float32([[1.0], [2.0], [3.0]])
    np.testing.assert_allclose(session.run(tested, {x: batch}), expected, rtol=1e-6)
    assert (session.run(trained, {x: batch, keep: 0.25}) != expected).any()


def test_a_layer_of_dropout_and_one_of_mxnet_are_off_in_inference() -> None:
    x, training = tf.placeholder(tf.float32, [2, 3]), tf.placeholder(tf.bool, [])
    y = tf.nn.inference(tf.layers.dropout(x, 0.3, training=training))
    rows = np.float32([[1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(tf.Session().run(y, {x: rows}), rows)
    graph = for_inference(mx.Dropout(mx.Variable("x"), p=0.5).graph(training=True))
    assert not {"uniform_like", "mul"} & {*names(graph)}


def test_the_gradient_through_a_dropout_in_inference_is_that_of_the_identity() -> None:
    x = tf.placeholder(tf.float64, [4])
    y = tf.reduce_sum(tf.nn.dropout(x * 3.0, 0.5) ** 2.0)
    (dx,) = tf.gradients(y, [x])
    batch = RNG.normal(size=4)
    found = tf.Session().run(tf.nn.inference(dx), {x: batch})
    np.testing.assert_allclose(found, 18 * batch, rtol=1e-12)


def test_noise_that_is_no_dropout_stays_in_inference() -> None:
    x = ops.placeholder(dtype="float32", shape=(3,))
    drawn = ops.uniform_like(x)
    for stays, keep in (
        (ops.less(drawn, 0.5), 0.25),
        (ops.greater(drawn, 0.5), 0.5),
        (ops.less(ops.uniform_like(x, high=2.0), 0.5), 0.5),
        (ops.less(x, 0.5), 0.5),
    ):
        before = Graph((ops.mul(x, ops.div(ops.cast_like(stays, x), keep)),))
        assert names(for_inference(before)) == names(before)


# what a session makes of a convolution and its normalisation ------------------------------------


def expected() -> np.ndarray:
    """relu(gamma * (conv(image) - mean) / √(variance + 0.01) + beta)."""
    windows = np.lib.stride_tricks.sliding_window_view(IMAGE, (3, 3), axis=(2, 3))
    images = np.einsum("nchwij,ocij->nohw", windows.astype("float64"), CONTENT["weight"])
    gamma, beta, mean, variance = (CONTENT[name][:, None, None] for name in VECTORS)
    found: np.ndarray = np.maximum(gamma * (images - mean) / np.sqrt(variance + 0.01) + beta, 0)
    return found


def check(steps: list[Step], found: Any) -> None:
    graphs = {step.name: step.graph for step in steps}
    assert "batch_norm" in names(graphs["input"])
    assert sorted({"conv2d", "batch_norm"} & {*names(graphs["simplify"])}) == ["conv2d"]
    np.testing.assert_allclose(found, expected(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("config", CONFIGS)
def test_a_network_of_tensorflow_is_folded_by_the_session(config: str) -> None:
    x = tf.placeholder(tf.float32, [None, 3, 6, 5])
    y = tf.nn.conv2d(x, num_filter=4, ksize=[1, 3, 3, 1], padding="VALID", name="conv")
    y = tf.nn.inference(tf.nn.relu(tf.nn.batch_norm(y, epsilon=0.01, name="bn")))
    session, values = tf.Session(config), list(CONTENT.values())
    variables = [*tf.infer_variable_shapes(y, {x: IMAGE.shape})]
    session.run([tf.assign(v, values.pop(0)) for v, name, _ in variables if "moving" not in name])
    session.run(tf.global_variables_initializer())
    moving = {
        name: tf.Variable.of(node) for name, node in tf.get_default_graph().variables().items()
    }
    session.run([tf.assign(moving[f"bn_moving_{name}"], CONTENT[name]) for name in VECTORS[2:]])
    check(session.trace(y, {x: IMAGE}), session.run(y, {x: IMAGE}))


@pytest.mark.parametrize("config", CONFIGS)
def test_a_symbol_of_mxnet_is_folded_by_the_session(config: str) -> None:
    y = mx.Convolution(mx.Variable("x"), kernel=(3, 3), num_filter=4, no_bias=True, name="conv")
    y = mx.relu(mx.BatchNorm(y, eps=0.01, fix_gamma=False, name="bn"))
    run = y.simple_bind(config, x=IMAGE.shape)
    arrays = {"x": IMAGE, "conv_weight": CONTENT["weight"]}
    arrays |= {"bn_gamma": CONTENT["gamma"], "bn_beta": CONTENT["beta"]}
    arrays |= {"bn_moving_mean": CONTENT["mean"], "bn_moving_var": CONTENT["variance"]}
    for name, array in (*run.arg_dict.items(), *run.aux_dict.items()):
        array[:] = arrays[name]
    graph = y.graph(training=False)
    leaves = {node.outputs[0]: arrays[node.name] for node in graph.nodes if node.is_leaf}
    session = tf.Session(config)
    check(
        session.trace_values(graph.outputs, [*leaves], [*leaves.values()]),
        run.forward(is_train=False)[0],
    )


@pytest.mark.parametrize("config", CONFIGS)
def test_a_model_of_onnx_is_folded_by_the_session(config: str) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "weight"], ["h"]),
        helper.make_node("BatchNormalization", ["h", *VECTORS], ["z"], epsilon=0.01),
        helper.make_node("Relu", ["z"], ["y"]),
    ]
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", ["n", 3, 6, 5]), ("y", ["n", 4, 4, 3]))
    )
    weights = [numpy_helper.from_array(array, name) for name, array in CONTENT.items()]
    graph = helper.make_graph(nodes, "net", [x], [y], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    onnx.checker.check_model(model)
    inputs, outputs = load(model)
    session = tf.Session(config)
    session.run(tf.initialize_all_variables())
    feeds = {inputs["x"]: IMAGE}
    check(session.trace(outputs["y"], feeds), session.run(outputs["y"], feeds))
