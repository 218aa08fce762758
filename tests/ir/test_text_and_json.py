"""Printed IR and NNVM JSON read back to the same graph, and reject what is corrupt."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tinyflow import ops
from tinyflow.errors import GraphError
from tinyflow.ir import Graph, Node, Value, from_json, parse, text, to_json
from tinyflow.ops import OPS
from tinyflow.types import Device

GOLDEN = """\
%0 = placeholder(dtype=float32, shape=[?, 784]) "x"
%1 = variable(dtype=float32, shape=[784, 10]) "W"
%2 = matmul(%0, %1@1)
%3 = constant(value=2.0)
%4 = mul(%2, %3)
%5 = group() "step" after %4
return %4, %5
"""


def example() -> Graph:
    x = ops.placeholder(dtype="float32", shape=(None, 784), name="x")
    w = ops.variable(dtype="float32", shape=(784, 10), name="W")
    y = ops.mul(ops.matmul(x, Value(w.node, 0, 1)), 2.0)
    return Graph((y, ops.group(after=[y.node], name="step")))


def test_a_graph_prints_as_golden_text() -> None:
    assert text(example()) == GOLDEN


def test_printed_text_parses_to_the_same_graph() -> None:
    assert text(parse(GOLDEN, OPS)) == GOLDEN


def test_json_has_nnvms_layout_and_reads_back() -> None:
    document = json.loads(to_json(example()))
    assert set(document) == {"nodes", "arg_nodes", "node_row_ptr", "heads"}
    assert document["heads"] == [[4, 0, 0], [5, 0, 0]]
    assert document["nodes"][2]["inputs"] == [[0, 0, 0], [1, 0, 1]]
    assert document["arg_nodes"] == [0, 1, 3]
    assert document["node_row_ptr"] == [0, 1, 2, 3, 4, 5, 6]
    assert text(from_json(to_json(example()), OPS)) == GOLDEN


def test_sharing_survives_both_forms() -> None:
    x = ops.placeholder(dtype="float32", name="x")
    for _ in range(60):  # as a tree this would have 2**60 nodes
        x = ops.add(x, x)
    graph = Graph((x,))
    assert len(parse(text(graph), OPS).nodes) == 61
    assert len(from_json(to_json(graph), OPS).nodes) == 61


@pytest.mark.parametrize(
    "value",
    [
        2.0, -1, True, np.zeros((0, 3), np.float32), np.arange(6).reshape(2, 3),
        np.array([[1.5, -0.25]]), np.array([np.inf, -np.inf], np.float32), np.array(3, np.int32),
    ],
)  # fmt: skip
def test_constants_keep_value_shape_and_dtype(value: object) -> None:
    graph = Graph((ops.constant(value),))
    for copy in (parse(text(graph), OPS), from_json(to_json(graph), OPS)):
        before, after = graph.nodes[0].attrs, copy.nodes[0].attrs
        assert after["dtype"] == before["dtype"]
        assert after["value"].shape == before["value"].shape
        assert np.array_equal(after["value"], before["value"])


def test_devices_and_names_with_quotes_survive() -> None:
    x = ops.placeholder(dtype="float32", name='a "quoted" name, with (brackets)')
    y = ops.exp(x)
    moved = Value(Node(y.node.op, y.node.inputs, y.node.attrs, "y", (), Device("gpu", 1)))
    graph = Graph((moved,))
    assert text(parse(text(graph), OPS)) == text(graph)
    assert text(from_json(to_json(graph), OPS)) == text(graph)
    assert "on gpu:1" in text(graph)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("%0 = frobnicate()\nreturn %0", "line 1: unknown op; got 'frobnicate'"),
        ("%0 = exp(%1)\nreturn %0", "not a value defined above; got %1"),
        ("%0 = placeholder(dtype=float99)\nreturn %0", "line 1: attribute 'dtype': wrong"),
        ("%0 = placeholder(colour=3)\nreturn %0", "unknown attribute; got 'colour'"),
        ("hello", "cannot read this"),
        ("%0 = placeholder(dtype=float32)", "no 'return' line"),
    ],
)
def test_text_that_is_wrong_is_refused_with_the_line(source: str, message: str) -> None:
    with pytest.raises(GraphError, match=message.replace("(", r"\(")):
        parse(source, OPS)


def corrupt(change: str) -> str:
    document = json.loads(to_json(example()))
    if change == "cycle":
        document["nodes"][2]["inputs"][0] = [4, 0, 0]
    elif change == "unknown op":
        document["nodes"][2]["op"] = "frobnicate"
    elif change == "no output":
        document["heads"][0] = [4, 7, 0]
    elif change == "attribute":
        document["nodes"][0]["attrs"]["dtype"] = "float99"
    elif change == "missing inputs":
        del document["nodes"][2]["inputs"]
    elif change == "arity":
        document["nodes"][2]["inputs"].pop()
    elif change == "nodes":
        document["nodes"] = 7
    return json.dumps(document)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("cycle", "a forward reference is a cycle|node 2: inputs refers to node 4"),
        ("unknown op", "node 2: unknown op; got 'frobnicate'"),
        ("no output", "corrupt entry in heads"),
        ("attribute", "node 0"),
        ("missing inputs", "node 2 is corrupt"),
        ("arity", "node 2: wrong number of inputs; got 1; expected 2"),
        ("nodes", "not a graph in JSON"),
    ],
)
def test_corrupt_json_is_refused_with_the_node(change: str, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        from_json(corrupt(change), OPS)


@pytest.mark.parametrize("source", ["", "{", "[]", "null", "{}", "[" * 100_000])
def test_what_is_not_json_at_all_is_refused(source: str) -> None:
    with pytest.raises(GraphError, match="not a graph in JSON"):
        from_json(source, OPS)
