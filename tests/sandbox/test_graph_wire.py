"""Graphs over the wire: the judge gets its own objects back, and nothing invalid gets built."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from autograder.graph_wire import GraphWire
from autograder.wire import HEADER, Caps, Codec, Kind, WireError
from tinyflow import ops
from tinyflow.ir import Fact, Graph, Node, Op, Value, text
from tinyflow.ops import OPS
from tinyflow.types import Device, DType


class Pair:
    """A judge's and a worker's end, connected."""

    def __init__(self) -> None:
        self.judge, self.worker = GraphWire(OPS, judge=True), GraphWire(OPS, judge=False)
        self._judge, self._worker = Codec([self.judge]), Codec([self.worker])

    def to_worker(self, body: object) -> Any:
        """What the worker gets."""
        return self._cross(self._judge, self._worker, body)

    def to_judge(self, body: object, caps: Caps | None = None) -> Any:
        """What the judge gets."""
        return self._cross(self._worker, self._judge, body, caps)

    def _cross(self, sender: Codec, reader: Codec, body: object, caps: Caps | None = None) -> Any:
        head, raw = sender.pack(Kind.CALL, 1, body, Caps())
        return reader.unpack(head[HEADER.size :], raw, caps or Caps())

    def forge(self, value: object, rows: object = None) -> Any:
        """What the judge makes of a message written by hand."""
        sections = {} if rows is None else {"$g": rows}
        message = {"v": value, "s": sections, "a": []}
        return self._judge.unpack(json.dumps(message).encode(), b"", Caps())


@pytest.fixture
def pair() -> Pair:
    """Fresh ends."""
    return Pair()


def x(name: str = "x") -> Any:
    """A placeholder."""
    return ops.placeholder(dtype="float32", shape=(None, 2), name=name)


def test_the_judge_gets_its_own_nodes_back(pair: Pair) -> None:
    y = ops.mul(x(), 2.0)
    graph = pair.to_worker(Graph((y,)))
    assert text(graph) == text(Graph((y,)))
    back = pair.to_judge(graph.outputs[0])
    assert back.node is y.node and not pair.judge.made


def test_new_nodes_arrive_once_and_stay_known(pair: Pair) -> None:
    value = pair.to_worker(x())
    made = ops.add(ops.mul(value, value), value)
    first, second = pair.to_judge(made), pair.to_judge([made, made.node.inputs[0]])
    assert second[0].node is first.node and second[1].node is first.node.inputs[0].node
    assert len(pair.judge.made) == 2


def test_attributes_names_devices_and_control_dependencies_cross(pair: Pair) -> None:
    given = pair.to_worker(x())
    first = ops.reduce_sum(given, reduction_indices=(0,), keepdims=True, name="total")
    done = ops.group(after=[first.node], name="done")
    constant = ops.add(np.arange(4.0, dtype="float32").reshape(2, 2), given)
    placed = Node(OPS["exp"], (first,), {}, None, (), Device("gpu", 1))
    sent = [first, done, constant, Value(placed), OPS["mul"], DType.float32]
    got = pair.to_judge(sent)
    assert got[0].node.name == "total" and got[0].node.attrs == first.node.attrs
    assert got[1].node.after == (got[0].node,)
    np.testing.assert_array_equal(got[2].node.inputs[0].node.attrs["value"], [[0, 1], [2, 3]])
    assert got[3].node.device == Device("gpu", 1)
    assert got[4] is OPS["mul"] and got[5] is DType.float32


def test_values_keep_their_version_and_may_be_dict_keys(pair: Pair) -> None:
    variable = ops.variable(dtype="float32", shape=(2,), name="W")
    read = Value(variable.node, 0, 3)
    assert pair.to_worker({read: 1}) == {Value(pair.worker.made[0], 0, 3): 1}
    assert pair.to_worker(read).version == 3


def test_a_chain_of_20000_nodes_crosses_both_ways(pair: Pair) -> None:
    value = x()
    for _ in range(20_000):
        value = ops.neg(value)
    inside = pair.to_worker(value)
    for _ in range(20_000):
        inside = ops.neg(inside)
    assert len(Graph((pair.to_judge(inside),)).nodes) == 40_001


def test_facts_stay_at_home(pair: Pair) -> None:
    value = x()
    graph = Graph((value,)).with_fact(Fact("secret"), {value: 1})
    assert not pair.to_worker(graph).facts


def test_a_message_that_cannot_be_sent_leaves_no_trace(pair: Pair) -> None:
    inside = pair.to_worker(x())
    with pytest.raises(WireError, match="cannot send"):
        pair.to_judge([ops.neg(inside), object()])
    assert pair.to_judge(ops.exp(inside)).node.op.name == "exp"


def test_nodes_are_counted_against_the_caps(pair: Pair) -> None:
    value = pair.to_worker(x())
    for _ in range(20):
        value = ops.neg(value)
    with pytest.raises(WireError, match="new nodes"):
        pair.to_judge(value, Caps(nodes=10))


def _row(
    op: object = "neg", inputs: object = (0,), attrs: object = None, **rest: object
) -> list[Any]:
    listed = list(inputs) if isinstance(inputs, tuple) else inputs
    name, after, device = rest.get("name"), rest.get("after", []), rest.get("device")
    return [op, listed, attrs if attrs is not None else {}, name, after, device]


SIZE = {"$t": [1 << 60]}


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (_row(op="import os"), "unknown op"),
        (_row(op=["mine", 1]), "unknown op"),
        (_row(inputs=(0, 0)), "number of inputs"),
        (_row(inputs=(1,)), "no node"),
        (_row(inputs=(3,)), "no node"),
        (_row(inputs=([0, 1, 0],)), "no output"),
        (_row(inputs=([0, -1, 0],)), "no output"),
        (_row(inputs=([0, 0, 1],)), "no version"),
        (_row(inputs=([0, True, 0],)), "a value is"),
        (_row(inputs="0"), "wrong type"),
        (_row(attrs={"reduction_indices": 1}), "no attribute"),
        (_row("reduce_sum", attrs={"reduction_indices": "0); import os; ("}), "wrong attribute"),
        (_row("reduce_sum", attrs={"reduction_indices": {"$t": [{"$t": [1]}]}}), "wrong kind"),
        (_row("reduce_sum", attrs={"reduction_indices": {"$t": [1] * 65}}), "64 parts"),
        (_row("reshape", attrs={"shape": SIZE}), "larger"),
        (_row("constant", (), {"value": "text"}), "must be an array"),
        (_row("constant", (), {"value": {"$g": ["g", [0, 0, 0]]}}), "wrong kind"),
        (_row("assign", (0, 0)), "write a variable"),
        (_row(name="\x1b[2J"), "printable"),
        (_row(name="x" * 1000), "printable"),
        (_row(after=[1]), "no node"),
        (_row(device="gpu:" + "9" * 100), "device"),
        (_row(device="abacus"), "device"),
        ([1, 2], "six parts"),
        ("row", "six parts"),
    ],
    ids=lambda value: repr(value)[:50],
)
def test_a_forged_node_is_refused_before_it_is_built(pair: Pair, row: Any, why: str) -> None:
    """Number 0 is the judge's placeholder, 1 the node being forged: a cycle cannot be written."""
    pair.to_worker(x())
    with pytest.raises(WireError, match=why):
        pair.forge(None, [row])


@pytest.mark.parametrize(
    "content",
    [[], "v", ["v"], ["v", 5, 0, 0], ["v", 0.0, 0, 0], ["n", 0, 0], ["n", "0"], ["o", "os"],
     ["o", ["x"]], ["t", "object"], ["t", {}], ["z", 0], ["g", 0], ["g", [0, 0]]],
    ids=repr,
)  # fmt: skip
def test_forged_references_are_refused(pair: Pair, content: object) -> None:
    pair.to_worker(x())
    with pytest.raises(WireError):
        pair.forge({"$g": content})


def test_two_variables_of_one_name_are_not_a_graph(pair: Pair) -> None:
    rows = [_row("variable", (), {"dtype": {"$g": ["t", "float32"]}}, name="W") for _ in range(2)]
    with pytest.raises(WireError, match="share one name"):
        pair.forge({"$g": ["g", [1, 0, 0], [3, 0, 0]]}, rows)


def test_an_op_of_the_judge_alone_reaches_the_worker_as_a_name(pair: Pair) -> None:
    def unknown(attrs: Any, ins: Any, outs: Any) -> Any:
        return ins, outs

    split = Op("split_in_two", ("x",), shape=unknown, dtype=unknown, outputs=("a", "b"))
    first, second = split(x())
    got = pair.to_worker([first, second])
    assert [value.index for value in got] == [0, 1] and got[0].node.op.name == "split_in_two"
    assert pair.to_judge(got[1]).node is second.node
