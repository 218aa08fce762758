"""Networks to and from ONNX, checked against onnxruntime."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import tinyflow as tf
import tinyflow.frontend.mx as mx
from tinyflow import ops
from tinyflow.errors import GraphError, RunError, TinyflowError
from tinyflow.frontend.onnx import export, load
from tinyflow.frontend.onnx.export import OPSETS
from tinyflow.frontend.onnx.words import ALONG, REDUCTIONS, WORDS
from tinyflow.frontend.tf.tensor import apply
from tinyflow.ir import Graph, Op

from .models import imported, runtime

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _fresh_graph() -> None:
    tf.reset_default_graph()


def trained(y: tf.Tensor, x: tf.Tensor, shape: list[int]) -> tf.Session:
    """A session in which all variables have some content."""
    sess = tf.Session()
    for variable, name, size in tf.infer_variable_shapes(y, {x: shape}):
        first = RNG.uniform(-0.3, 0.3, size) + (1.0 if name.endswith(("gamma", "variance")) else 0)
        sess.run(tf.assign(variable, first.astype("float32")))
    sess.run(tf.initialize_all_variables())
    return sess


def mlp() -> tuple[tf.Tensor, tf.Tensor]:
    x = tf.placeholder(tf.float32, [None, 20], name="x")
    h = tf.nn.relu(tf.nn.linear(x, num_hidden=16, no_bias=False, name="fc1"))
    w = tf.Variable(RNG.normal(size=(16, 5)).astype("float32"), name="w")
    return x, tf.nn.softmax(tf.matmul(h * 0.5 + 1, w), name="prob")


def lenet() -> tuple[tf.Tensor, tf.Tensor]:
    x = tf.placeholder(tf.float32, [None, 1, 28, 28], name="images")
    pool = {"ksize": [1, 2, 2, 1], "strides": [1, 2, 2, 1]}
    h = tf.nn.conv2d(x, num_filter=6, ksize=[1, 5, 5, 1], no_bias=False, name="conv1")
    h = tf.nn.max_pool(tf.nn.tanh(tf.nn.batch_norm(h, name="bn")), padding="VALID", **pool)
    h = tf.nn.conv2d(h, num_filter=8, ksize=[1, 3, 3, 1], strides=[1, 2, 2, 1], name="conv2")
    h = tf.nn.avg_pool(h, ksize=[1, 3, 3, 1], strides=[1, 2, 2, 1])
    h = tf.nn.linear(tf.nn.flatten_layer(h), num_hidden=12, no_bias=False, name="fc1")
    return x, tf.nn.linear(tf.nn.sigmoid(h), num_hidden=10, name="fc2")


# networks, both ways ----------------------------------------------------------------------------


@pytest.mark.parametrize(("net", "shape"), [(mlp, [3, 20]), (lenet, [3, 1, 28, 28])])
def test_a_network_goes_to_onnx_and_comes_back(net: Any, shape: Any, tmp_path: Path) -> None:
    x, y = net()
    sess = trained(y, x, shape)
    model = export(y, sess, tmp_path / "model.onnx")
    batch = RNG.normal(size=shape).astype("float32")
    expected = sess.run(tf.nn.inference(y), {x: batch})
    (found,) = runtime(model, {x.name: batch})
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    for config in ("cpu", "numpy", "cpu fusion"):
        (back,) = imported(str(tmp_path / "model.onnx"), {x.name: batch}, config)
        np.testing.assert_allclose(back, expected, rtol=1e-4, atol=1e-5)


def test_the_open_batch_size_stays_open() -> None:
    x, y = mlp()
    model = export([y], trained(y, x, [3, 20]))
    for n in (1, 7):
        assert runtime(model, {"x": np.zeros((n, 20), "float32")})[0].shape == (n, 5)


def test_what_is_imported_can_be_exported_again() -> None:
    x, y = lenet()
    model = export(y, trained(y, x, [2, 1, 28, 28]))
    with tf.Graph().as_default():
        _, outputs = load(model)
        sess = tf.Session()
        sess.run(tf.initialize_all_variables())
        again = export(list(outputs.values()), sess)
    assert [n.op_type for n in again.graph.node] == [n.op_type for n in model.graph.node]
    batch = RNG.normal(size=(2, 1, 28, 28)).astype("float32")
    feeds = {"images": batch}
    np.testing.assert_allclose(runtime(again, feeds)[0], runtime(model, feeds)[0], rtol=1e-5)


def test_an_imported_network_learns() -> None:
    x, y = mlp()
    model = export(y, trained(y, x, [3, 20]))
    with tf.Graph().as_default():
        inputs, outputs = load(model)
        label = tf.placeholder(tf.float32, [None, 5])
        loss = -tf.reduce_mean(label * tf.log(outputs["prob_output"]))
        step = tf.train.GradientDescentOptimizer(0.5).minimize(loss)
        sess = tf.Session()
        sess.run(tf.initialize_all_variables())
        feeds = {inputs["x"]: RNG.normal(size=(5, 20)), label: np.eye(5)}
        first = sess.run(loss, feeds)
        for _ in range(100):
            sess.run(step, feeds)
        assert sess.run(loss, feeds) < first / 2


def test_a_symbol_of_mxnet_goes_to_onnx() -> None:
    net = mx.FullyConnected(mx.Variable("data", shape=(0, 4)), num_hidden=3, name="fc")
    net = mx.softmax(mx.BatchNorm(mx.Reshape(net, shape=(-1, 3, 1, 1)), name="bn"), axis=1)
    run = net.simple_bind(data=(2, 4))
    for array in (*run.arg_dict.values(), *run.aux_dict.values()):
        array[:] = RNG.uniform(0.5, 1, array.shape)
    data = run.arg_dict["data"].asnumpy()
    model = export(net.graph(), {**run.arg_dict, **run.aux_dict})
    np.testing.assert_allclose(runtime(model, {"data": data})[0], run.forward()[0], rtol=1e-5)


def test_dropout_is_off_in_what_is_exported() -> None:
    x, keep = tf.placeholder(tf.float32, [None, 3], name="x"), tf.placeholder(tf.float32, [])
    y = tf.nn.dropout(tf.nn.dropout(tf.tanh(x), 0.5), keep)
    model = export(y, {})
    assert [row.op_type for row in model.graph.node] == ["Tanh", "Identity"]
    assert [row.name for row in model.graph.input] == ["x"]


# ops one by one ---------------------------------------------------------------------------------

POSITIVE = RNG.uniform(0.2, 2.0, (2, 3, 4)).astype("float32")


@pytest.mark.parametrize("op", WORDS, ids=lambda op: op.name)
def test_elementwise_ops_have_the_same_meaning(op: Op) -> None:
    names, feeds = [], {}
    for position, name in enumerate(op.inputs):
        array = np.roll(POSITIVE, position, 0) > 1 if name == "condition" else POSITIVE + position
        feeds[name] = array
        names.append(tf.placeholder(str(array.dtype), array.shape, name=name))
    y = apply(op, *names)
    model = export(y, {})
    expected = tf.Session().run(y, dict(zip(names, feeds.values())))
    np.testing.assert_allclose(runtime(model, feeds)[0], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(imported(model, feeds)[0], expected)


@pytest.mark.parametrize("op", [*ALONG, *REDUCTIONS], ids=lambda op: op.name)
@pytest.mark.parametrize("axis", [1, -1, None, ()])
def test_ops_along_axes_have_the_same_meaning(op: Op, axis: Any) -> None:
    x = tf.placeholder(tf.float32, [None, 3, 4], name="x")
    feeds: dict[tf.Tensor, Any] = {x: POSITIVE}
    if op in REDUCTIONS:
        y = apply(op, x, reduction_indices=axis, keepdims=axis == -1)
    else:
        more = [x, x] if op is ops.concat else []
        if op is ops.gather:
            more = [tf.placeholder(tf.int64, [2], name="ids")]
            feeds[more[0]] = np.array([1, 0])
        y = apply(op, x, *more, axis=axis or 0)
    model, expected = export(y, {}), tf.Session().run(y, feeds)
    named = {tensor.name: array for tensor, array in feeds.items()}
    np.testing.assert_allclose(runtime(model, named)[0], expected, rtol=1e-5)
    np.testing.assert_allclose(imported(model, named)[0], expected, rtol=1e-6)


IMAGE = RNG.normal(size=(2, 3, 7, 6)).astype("float32")


@pytest.mark.parametrize(
    "make",
    [
        lambda x: tf.transpose(x, [0, 2, 3, 1]),
        lambda x: tf.reshape(x, [-1, 9, 2]),
        lambda x: tf.cast(x * 3.0, tf.int32),
        lambda x: tf.argmax(x, 1),
        lambda x: tf.nn.max_pool(x, [1, 3, 3, 1], [1, 2, 1, 1]),
        lambda x: tf.nn.avg_pool(x, [1, 3, 2, 1], [1, 2, 2, 1], "VALID", "NCHW"),
        lambda x: tf.nn.avg_pool(x, [1, 3, 3, 1], [1, 2, 2, 1], data_format="NHWC"),
        lambda x: tf.nn.conv2d(x, np_filter(3, 3, 6, 2), [1, 2, 2, 1], "SAME"),
        lambda x: apply(ops.conv2d, x, np_filter(6, 1, 3, 2), groups=3, dilations=(2, 1)),
        lambda x: apply(ops.conv2d, x, np_filter(3, 1, 2, 2), groups=3, padding=None),
        lambda x: apply(ops.conv2d, x, np_filter(2, 3, 2, 3), dilations=(1, 3), padding=None),
        lambda x: tf.matmul(tf.reshape(x, [-1, 6]), tf.reshape(x, [-1, 6]), transpose_b=True),
        lambda x: x @ tf.transpose(x, [0, 1, 3, 2]),
        lambda x: apply(ops.batch_matmul, x, x, transpose_a=True),
        lambda x: tf.stop_gradient(x) + 1,
        lambda x: x[:, 1:, ::-2] * x[:, 0:1, -1:],
        lambda x: x[:, 1, 2:100, -3:-1],
        lambda x: tf.expand_dims(x, 2) * tf.ones([3, 7, 7, 6]),
        lambda x: tf.squeeze(tf.expand_dims(tf.expand_dims(x, 0), -1)),
        lambda x: tf.squeeze(tf.expand_dims(x, -1), [-1]),
        lambda x: apply(ops.broadcast_to, x, shape=(4, 2, 3, 7, 6)),
        lambda x: tf.pad(x, [[0, 0], [1, 0], [2, 3], [0, 1]]),
        lambda x: tf.nn.pad(x, dim=-1, pad=-2) * 2,
        lambda x: apply(ops.crop, apply(ops.crop, x, dim=2, pad=-2), dim=-1, pad=1),
        lambda x: tf.clip_by_value(x, -0.5, 1.0),
        lambda x: tf.nn.gelu(x),
        lambda x: tf.reduce_mean(tf.reduce_max(x, 1), [-1], keepdims=True),
    ],
)
@pytest.mark.parametrize("opset", OPSETS)
def test_other_ops_have_the_same_meaning(make: Any, opset: int) -> None:
    x = tf.placeholder(tf.float32, IMAGE.shape, name="x")
    y, sess = make(x), tf.Session()
    sess.run(tf.initialize_all_variables())
    model, expected = export(y, sess, opset=opset), sess.run(y, {x: IMAGE})
    np.testing.assert_allclose(runtime(model, {"x": IMAGE})[0], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(imported(model, {"x": IMAGE})[0], expected, rtol=1e-4, atol=1e-5)


def test_gelu_is_a_word_of_its_own_since_opset_20() -> None:
    x = tf.placeholder(tf.float64, [2], name="x")
    kinds = {
        n: [row.op_type for row in export(tf.nn.gelu(x), {}, opset=n).graph.node] for n in OPSETS
    }
    assert kinds[20] == ["Gelu", "Identity"]
    assert kinds[17] == kinds[19] == ["Div", "Erf", "Add", "Mul", "Mul", "Identity"]


def np_filter(*shape: int) -> tf.Variable:
    return tf.Variable(RNG.normal(size=shape).astype("float32"), name="filter")


# what other programs write ----------------------------------------------------------------------


def model_of(
    nodes: list[Any],
    stored: dict[str, Any] | None = None,
    shape: Any = ("n", 3, 4),
    opset: int = 17,
    kind: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    x = helper.make_tensor_value_info("x", kind, shape)
    y = helper.make_tensor_value_info("y", kind, None)
    weights = [numpy_helper.from_array(np.array(a), n) for n, a in (stored or {}).items()]
    graph = helper.make_graph(nodes, "g", [x], [y], weights)
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def node(kind: str, inputs: str = "x", output: str = "y", **attrs: Any) -> Any:
    return helper.make_node(kind, inputs.split(), [output], f"{kind}_1", **attrs)


W = RNG.normal(size=(4, 3)).astype("float32")
B = RNG.normal(size=(4, 5)).astype("float32")
FILTERS = RNG.normal(size=(6, 2, 3, 2)).astype("float32")
CONSTANT = numpy_helper.from_array(np.array([0, 2, -1]), "c")


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (model_of([node("Gemm", "x w b", alpha=0.5, beta=2.0, transA=1)],
                  {"w": B, "b": W[:1, :1]}, (4, 3)), (4, 3)),
        (model_of([node("Gemm", "x w", transB=1)], {"w": W}, (2, 3)), (2, 3)),
        (model_of([node("Gemm", "x w b", transB=1)], {"w": W, "b": W[:, 0]}, (2, 3)), (2, 3)),
        (model_of([node("MatMul", "x w")], {"w": W}, (2, 4)), (2, 4)),
        (model_of([node("Constant", "", "c", value=CONSTANT), node("Reshape", "x c")],
                  shape=(2, 3, 4)), (2, 3, 4)),
        (model_of([node("Constant", "", "c", value_ints=[-1, 6]), node("Reshape", "x c")]),
         (2, 3, 4)),
        (model_of([node("Constant", "", "c", value_float=0.5), node("Mul", "x c")]), (2, 3, 4)),
        (model_of([node("Reshape", "x s")], {"s": [0, -1]}), (2, 3, 4)),
        (model_of([node("Flatten")]), (2, 3, 4)),
        (model_of([node("Unsqueeze", "x a")], {"a": [1, -1]}), (2, 3, 4)),
        (model_of([node("Unsqueeze", "x a")], {"a": [-1, -2]}), (2, 3, 4)),
        (model_of([node("Unsqueeze", "x a", "z"), node("Squeeze", "z a")], {"a": [0]}), (2, 3, 4)),
        (model_of([node("Slice", "x b e a")],
                  {"b": [1, -3], "e": [2**63 - 1, -1], "a": [1, 2]}), (2, 3, 4)),
        (model_of([node("Slice", "x b e a s")],
                  {"b": [0], "e": [4], "a": [2], "s": [2]}), (2, 3, 4)),
        (model_of([node("ReduceMean", axes=[1])]), (2, 3, 4)),
        (model_of([node("ReduceMean", "x a")], {"a": [-1]}, opset=18), (2, 3, 4)),
        (model_of([node("ReduceSum", keepdims=0)]), (2, 3, 4)),
        (model_of([node("Dropout")]), (2, 3, 4)),
        (model_of([node("LayerNormalization", "x w")], {"w": W[:, 0]}), (2, 3, 4)),
        (model_of([node("Reciprocal")]), (2, 3, 4)),
        (model_of([node("CumSum", "x a", reverse=1)], {"a": np.int32(-1)}), (2, 3, 4)),
        (model_of([node("Greater", "x b", "z"), node("Not", "z", "n"), node("Xor", "n t", "o"),
                   node("Cast", "o", to=1)], {"b": B[:, 0], "t": [True, False, True, False]}),
         (2, 3, 4)),
        (model_of([node("ArgMax", "x", "z"), node("Cast", "z", to=1)]), (2, 3, 4)),
        (model_of([node("ArgMax", "x", "z", axis=-1), node("Cast", "z", to=1)]), (2, 3, 4)),
        (model_of([helper.make_node("Split", ["x", "s"], ["a", "y"], axis=2)], {"s": [1, 3]}),
         (2, 3, 4)),
        (model_of([helper.make_node("Split", ["x"], ["a", "y"], axis=-1)]), (2, 3, 4)),
        (model_of([helper.make_node("Split", ["x"], ["a", "y"], num_outputs=2)], opset=18),
         (2, 3, 4)),
        (model_of([node("Transpose")]), (2, 3, 4)),
        (model_of([node("Softmax")]), (2, 3, 4)),
        (model_of([node("GlobalAveragePool")], shape=(2, 3, 4, 5)), (2, 3, 4, 5)),
        (model_of([node("GlobalMaxPool")], shape=(2, 3, 4, 5)), (2, 3, 4, 5)),
        (model_of([node("MaxPool", kernel_shape=[2, 2], pads=[1, 0, 0, 1])],
                  shape=(2, 3, 4, 5)), (2, 3, 4, 5)),
        (model_of([node("AveragePool", kernel_shape=[3, 3], auto_pad="SAME_UPPER")],
                  shape=(2, 3, 4, 5)), (2, 3, 4, 5)),
        (model_of([node("Conv", "x w", group=2, dilations=[2, 1], pads=[1, 0, 2, 1])],
                  {"w": FILTERS}, ("n", 4, 7, 6)), (2, 4, 7, 6)),
        (model_of([node("Conv", "x w", group=2, auto_pad="SAME_UPPER")],
                  {"w": FILTERS}, ("n", 4, 7, 6)), (2, 4, 7, 6)),
        (model_of([node("Mul", "x two")], {"two": np.float32(2.0)}), (2, 3, 4)),
        (model_of([node("Pad", "x p")], {"p": [0, 1, 0, 2, 0, 3]}), (2, 3, 4)),
        (model_of([node("Pad", "x p v")], {"p": [0, -1, 2, 0, 0, -2], "v": np.float32(0)}),
         (2, 3, 4)),
        (model_of([helper.make_node("Pad", ["x", "p", "", "a"], ["y"])],
                  {"p": [1, 2, 0, 3], "a": [-1, 0]}, opset=18), (2, 3, 4)),
        (model_of([node("Clip", "x a b")], {"a": np.float32(-0.5), "b": np.float32(1)}), (2, 3, 4)),
        (model_of([node("Clip", "x a")], {"a": np.float32(-0.5)}), (2, 3, 4)),
        (model_of([helper.make_node("Clip", ["x", "", "b"], ["y"])], {"b": np.float32(0)}),
         (2, 3, 4)),
        (model_of([node("Clip")]), (2, 3, 4)),
        (model_of([node("Gelu")], opset=20), (2, 3, 4)),
        (model_of([node("Gelu", approximate="tanh")], opset=20), (2, 3, 4)),
        (model_of([node("Identity", "x")], shape=None), (2, 3)),
    ],
)  # fmt: skip
def test_models_of_other_programs_compute_the_same(model: onnx.ModelProto, shape: Any) -> None:
    x = RNG.normal(size=shape).astype("float32")
    for found, expected in zip(imported(model, {"x": x}), runtime(model, {"x": x}), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


class Mixed(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = x.permute(0, 2, 1) @ x
        b = torch.cat([a, a * 2 - 1], 1).mean(1, keepdim=True)
        return torch.log_softmax(b.squeeze(1)[:, 1:5:2].unsqueeze(0), -1).flatten(1)


LENET = torch.nn.Sequential(
    *(torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.BatchNorm2d(4), torch.nn.ReLU()),
    *(torch.nn.MaxPool2d(2), torch.nn.Conv2d(4, 6, 3, stride=2), torch.nn.AvgPool2d(2)),
    *(torch.nn.Flatten(), torch.nn.Dropout(), torch.nn.Linear(54, 10), torch.nn.Softmax(1)),
).eval()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("net", "shape"), [(LENET, (2, 1, 28, 28)), (Mixed(), (2, 4, 6))])
def test_what_pytorch_exports_computes_the_same(net: Any, shape: Any, tmp_path: Path) -> None:
    x, path = torch.randn(*shape), str(tmp_path / "net.onnx")
    torch.onnx.export(net, (x,), path, dynamo=False, opset_version=17, input_names=["x"])
    for config in ("cpu", "numpy", "cpu fusion"):
        (found,) = imported(path, {"x": x.numpy()}, config)
        np.testing.assert_allclose(found, net(x).detach().numpy(), rtol=1e-4, atol=1e-6)


# bad input --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (model_of([node("Celu")]), "Celu 'Celu_1': operator is not supported.*Add"),
        (model_of([node("Gelu", approximate="sigmoid")], opset=20), "'approximate'.*got sigmoid"),
        (model_of([node("Pad", "x p", mode="edge")], {"p": [0] * 6}), "Pad 'Pad_1': only.*edge"),
        (model_of([node("Pad", "x p v")], {"p": [0] * 6, "v": np.float32(1)}), "zeros.*value 1.0"),
        (model_of([node("Pad", "x x")]), "Pad 'Pad_1'.*computed sizes"),
        (model_of([node("Conv", "x w", dilations=[0, 1])], {"w": FILTERS}),
         "conv2d 'Conv_1'.*'dilations'.*0, 1"),
        (model_of([node("AveragePool", kernel_shape=[2, 2], dilations=[2, 2])]), "'dilations'"),
        (model_of([node("MaxPool", kernel_shape=[2, 2], dilations=[2, 2])]), "'dilations'"),
        (model_of([node("MaxPool", kernel_shape=[2, 2], auto_pad="SAME_LOWER")]), "SAME_LOWER"),
        (model_of([node("MaxPool", kernel_shape=[2], pads=[1, 1])]), "only images.*pads"),
        (model_of([node("Div", "x n")], {"n": 2}, kind=TensorProto.INT64),
         "Div 'Div_1': division of integers.*got int64"),
        (model_of([node("Reshape", "x x")]), "Reshape 'Reshape_1'.*computed sizes"),
        (model_of([node("LayerNormalization", "x w", axis=-2)], {"w": W}), "'axis'.*got -2"),
        (model_of([node("ArgMax", select_last_index=1)]), "ArgMax 'ArgMax_1'.*'select_last_index'"),
        (model_of([node("CumSum", "x x")]), "CumSum 'CumSum_1'.*computed sizes"),
        (model_of([node("SoftmaxCrossEntropyLoss", "x n", ignore_index=1)], {"n": [0, 1]}),
         "SoftmaxCrossEntropyLoss.*'ignore_index'"),
        (model_of([node("SoftmaxCrossEntropyLoss", "x n", reduction="sum")], {"n": [0, 1]}),
         "'reduction'.*got sum"),
        (model_of([node("SoftmaxCrossEntropyLoss", "x n w")], {"n": [0, 1], "w": W[:, 0]}),
         "SoftmaxCrossEntropyLoss.*inputs"),
        (model_of([node("Flatten", axis=2)]), "Flatten 'Flatten_1'.*'axis'"),
        (model_of([node("Relu", "z")]), "Relu 'Relu_1': no node before gives this; got z"),
        (model_of([node("Relu")], opset=11), "opset is too old; got {'': 11}; expected >= 13"),
        (model_of([node("Relu")], kind=TensorProto.FLOAT8E5M2), "input 'x'.*dtype"),
    ],
)  # fmt: skip
def test_a_model_that_is_not_supported_is_refused(model: onnx.ModelProto, message: str) -> None:
    with pytest.raises(TinyflowError, match=message):
        load(model)


@pytest.mark.parametrize("content", [b"no model", b"", b"\x08\x09" * 50])
def test_a_broken_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(content)
    with pytest.raises(GraphError, match=r"broken.onnx: not a model of ONNX"):
        load(tmp_path / "broken.onnx")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match=r"none.onnx: not a model of ONNX.*No such file"):
        load(tmp_path / "none.onnx")


def test_what_onnx_cannot_say_is_refused() -> None:
    x = tf.placeholder(tf.float32, [2, 3], name="x")
    with pytest.raises(GraphError, match=r"uniform.*no word for this op; expected add, sub"):
        export(x + tf.random_uniform([2, 3]), {})
    y = tf.nn.linear(x, num_hidden=2, name="fc")
    with pytest.raises(GraphError, match="variable 'fc_weight'.*no content; got other"):
        export(y, {"other": 1})
    with pytest.raises(RunError, match="'fc_weight' is not initialised"):
        export(y, tf.Session())
    image = tf.placeholder(tf.float32, [1, 3, None, 6])
    y = apply(ops.conv2d, image, np.ones((2, 3, 2, 2)), dilations=(2, 2), padding=None)
    with pytest.raises(GraphError, match="this opset is not supported; got 16; expected one of 17"):
        export(y, {}, opset=16)
    with pytest.raises(GraphError, match="conv2d.*padding of a dilated filter.*sizes of the im"):
        export(y, {})
    with pytest.raises(GraphError, match="max_pool2d.*no such output; got output 1"):
        image = tf.placeholder(tf.float32, [1, 1, 4, 4])
        export(Graph((ops.max_pool2d(image.value)[1],)), {})


def test_the_engine_itself_does_not_import_onnx() -> None:
    code = "import sys, tinyflow, tinyflow.frontend.mx, tinyflow.cli; print('onnx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_broken_part_of_a_model_is_named() -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    pool = helper.make_node("MaxPool", ["x"], ["y"], name="pool")
    add = helper.make_node("Add", ["x", "w"], ["y"])
    short = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], raw_data=b"1234")
    for nodes, stored, outputs, message in (
        ([pool], [], [y], "MaxPool 'pool': not as ONNX.*KeyError: 'kernel_shape'. Export"),
        ([add], [short], [y], "stored 'w': not as ONNX writes it; got ValueError"),
        ([], [], [y], "outputs: no node before gives this; got y"),
    ):
        graph = helper.make_graph(nodes, "broken", [x], outputs, stored)
        with pytest.raises(GraphError, match=message):
            load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]))


def test_bytes_that_are_no_model_are_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"\x12\x02\xff\xfe")
    with pytest.raises(GraphError, match="bad.onnx: not a model of ONNX; got .*Export the model"):
        load(tmp_path / "bad.onnx")
