"""Files of graphs with something wrong in them: each loads, or is a TinyflowError."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import tinyflow as tf
import tinyflow.frontend.mx as mx
from tinyflow import ops
from tinyflow.errors import TinyflowError
from tinyflow.frontend.onnx import load
from tinyflow.ir import Graph, from_json, to_json
from tinyflow.passes import infer

DATA = Path(__file__).parent / "data"

TEXTS = ["", "x", "null", "(", "(3,", "-" * 9999, "(-1, 2)", "()", "None", "1e999", "nan", "-3"]
TEXTS += ["[" * 9999, "{}", "[1.5]", "float32", "9" * 5000, "\ud800", "\0", "True", "relu", "add"]
NONSENSE = [
    None,
    True,
    False,
    -1,
    0,
    1,
    3,
    2**70,
    1.5,
    float("nan"),
    [],
    [[]],
    {},
    {"a": 1},
    *TEXTS,
]
NONSENSE += [[0, 0, 0], [0, 0], [1, -1, 0], [[0, 0, 0]], [[1, 0, 0], [1, 0, 0]]]


def places(document: Any) -> Iterator[tuple[Any, Any]]:
    """All (container, key) of a document."""
    open_ = [document]
    while open_:
        at = open_.pop()
        keys = [*at] if isinstance(at, dict) else range(len(at)) if isinstance(at, list) else ()
        for key in keys:
            yield at, key
            open_.append(at[key])


@st.composite
def damaged(draw: st.DrawFn, documents: list[Any]) -> str:
    """A document in which one to three parts are gone, nonsense, or copies of another part."""
    document = copy.deepcopy(draw(st.sampled_from(documents)))
    for _ in range(draw(st.integers(1, 3))):
        found = [*places(document)]
        if not found:
            break
        at, key = draw(st.sampled_from(found))
        how = draw(st.sampled_from(["drop", "nonsense", "copy"]))
        if how == "drop":
            del at[key]
        elif how == "nonsense":
            at[key] = copy.deepcopy(draw(st.sampled_from(NONSENSE)))
        else:
            other, name = draw(st.sampled_from(found))
            at[key] = copy.deepcopy(other[name])
    return json.dumps(document)


SYMBOLS = [json.loads(path.read_text()) for path in sorted(DATA.glob("mxnet-*.json"))]


@given(damaged(SYMBOLS))
def test_a_damaged_symbol_file_loads_or_is_refused(source: str) -> None:
    try:
        net = mx.load_json(source)
        net.graph(training=True)
        net.infer_shape()
        net.tojson()
    except TinyflowError:
        pass


def own() -> Graph:
    x = ops.placeholder(dtype="float32", shape=(None, 3), name="x")
    w = ops.variable(dtype="float32", shape=(3, 2), name="W")
    table = ops.constant(np.float32([[1.0, 2.0]]))
    y = ops.add(ops.linear(x, ops.transpose(w)), table)
    parts = ops.split(y, axis=1, num=2)
    return Graph((ops.reduce_sum(ops.mul(*parts), reduction_indices=(0,)), ops.assign(w, w)))


@given(damaged([json.loads(to_json(own()))]))
def test_a_damaged_file_of_our_own_loads_or_is_refused(source: str) -> None:
    try:
        graph = from_json(source, ops.OPS)
        infer(graph)
        to_json(graph)
    except TinyflowError:
        pass


def model() -> bytes:
    """A convolution, a reshape by stored numbers and a softmax, with their weights."""
    kernel, sizes = np.ones((2, 1, 3, 3), "float32"), np.int64([0, -1])
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1], group=1),
        helper.make_node("Reshape", ["a", "sizes"], ["b"]),
        helper.make_node("Pad", ["b", "amounts"], ["c"], mode="constant"),
        helper.make_node("ReduceSum", ["c", "axes"], ["d"], keepdims=1),
        helper.make_node("Div", ["c", "d"], ["e"]),
        helper.make_node("Softmax", ["e"], ["y"], axis=1),
    ]
    stored = {"w": kernel, "sizes": sizes, "amounts": np.int64([0, 1, 0, -1]), "axes": sizes[1:]}
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", "m"])],
        [numpy_helper.from_array(array, name) for name, array in stored.items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()


@st.composite
def garbled(draw: st.DrawFn) -> bytes:
    """The model with some bytes changed, gone or twice."""
    found = bytearray(model())
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(found) - 1))
        new = draw(st.one_of(st.binary(max_size=3), st.just(bytes(found[at : at + 9]))))
        found[at : at + draw(st.integers(0, 2))] = new
    return bytes(found)


@given(garbled())
def test_a_garbled_model_of_onnx_loads_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "garbled.onnx"
    path.write_bytes(content)
    try:
        with tf.Graph().as_default():
            _, outputs = load(path)
            infer(Graph(tuple(y.value for y in outputs.values())))
    except TinyflowError as error:
        assert str(error)


def test_the_undamaged_model_of_onnx_loads(tmp_path: Path) -> None:
    (tmp_path / "small.onnx").write_bytes(model())
    with tf.Graph().as_default():
        _, outputs = load(tmp_path / "small.onnx")
        assert outputs["y"].shape == (None, 32)
