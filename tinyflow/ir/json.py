"""Save and load graphs in NNVM's JSON layout. Layer: ir.

``nodes`` (op, name, inputs, attrs as strings, control_deps), ``arg_nodes`` (ids of leaves),
``heads``, ``node_row_ptr``; an entry is ``[node, index, version]``. Source: NNVM, SaveJSON pass.
A leaf has op "null", as in NNVM; which leaf it is stands in its attribute ``tinyflow_leaf``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from tinyflow.errors import GraphError
from tinyflow.ir.graph import Graph
from tinyflow.ir.node import Node, Value
from tinyflow.ir.op import Op
from tinyflow.ir.text import encode_attr, read_op
from tinyflow.types import Device

__all__ = ["from_json", "to_json"]

_LEAF, _DEVICE, _NO_NAME = "tinyflow_leaf", "tinyflow_device", "tinyflow_unnamed"


def to_json(graph: Graph) -> str:
    """Serialise structure and attributes (not facts, not variable contents)."""
    place = {node: index for index, node in enumerate(graph.nodes)}
    counts = [node.op.output_count(node.attrs) for node in graph.nodes]
    document = {
        "nodes": [_node_to_json(node, place) for node in graph.nodes],
        "arg_nodes": [place[node] for node in graph.nodes if node.is_leaf],
        "node_row_ptr": [0, *accumulate(counts)],
        "heads": [_entry(value, place) for value in graph.outputs],
    }
    return json.dumps(document, indent=1)


def _entry(value: Value, place: Mapping[Node, int]) -> list[int]:
    return [place[value.node], value.index, value.version]


def _node_to_json(node: Node, place: Mapping[Node, int]) -> dict[str, Any]:
    attrs = {key: encode_attr(a, node.attrs[key]) for key, a in node.op.attributes.items()}
    if node.is_leaf:
        attrs[_LEAF] = node.op.name
    if node.device:
        attrs[_DEVICE] = str(node.device)
    if not node.name:
        attrs[_NO_NAME] = "1"
    row: dict[str, Any] = {
        "op": "null" if node.is_leaf else node.op.name,
        "name": node.name or f"node{place[node]}",
        "attrs": attrs,
        "inputs": [_entry(value, place) for value in node.inputs],
    }
    if node.after:
        row["control_deps"] = [place[n] for n in node.after]
    return row


def from_json(source: str, ops: Mapping[str, Op]) -> Graph:
    """Read a graph written by ``to_json``; ``ops`` maps op names to ops.

    Raises GraphError naming the entry: not JSON, missing part, unknown op, a reference to a later
    node (a cycle) or to none, a wrong attribute.
    """
    try:
        document = json.loads(source)
        rows, heads = document["nodes"], document["heads"]
        if not isinstance(rows, list) or not isinstance(heads, list):
            raise TypeError("nodes and heads must be lists")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        got = f"{type(error).__name__}: {error}"
        raise GraphError("not a graph in JSON", got=got, expected="nodes and heads") from None
    nodes: list[Node] = []
    for index, row in enumerate(rows):
        try:
            nodes.append(_node_from_json(row, nodes, ops))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise GraphError(f"node {index} is corrupt", got=repr(error)[:120]) from None
        except GraphError as error:
            raise error.within(f"node {index}").at(row.get("name")) from None
    return Graph(tuple(_value(entry, nodes, "heads") for entry in heads))


def _node_from_json(row: Mapping[str, Any], nodes: Sequence[Node], ops: Mapping[str, Op]) -> Node:
    attrs = dict(row.get("attrs", {}))
    op_name, device = attrs.pop(_LEAF, row["op"]), attrs.pop(_DEVICE, None)
    name = None if attrs.pop(_NO_NAME, None) else str(row["name"])
    op, found = read_op(op_name, {key: str(value) for key, value in attrs.items()}, ops)
    return op.node(
        [_value(entry, nodes, "inputs") for entry in row["inputs"]],
        found,
        name=name,
        after=[_at(nodes, n, "control_deps") for n in row.get("control_deps", [])],
        device=None if device is None else Device.parse(device),
        source="json",
    )


def _value(entry: Sequence[int], nodes: Sequence[Node], where: str) -> Value:
    if not isinstance(entry, list) or len(entry) not in (2, 3):
        what = f"corrupt entry in {where}"
        raise GraphError(what, got=repr(entry)[:80], expected="[node, index]")
    node = _at(nodes, entry[0], where)
    index, version = entry[1], entry[2] if len(entry) == 3 else 0
    known = node.op.output_count(node.attrs)
    if type(index) is not int or type(version) is not int or not 0 <= index < known or version < 0:
        raise GraphError(f"corrupt entry in {where}", got=entry, expected=f"index below {known}")
    return Value(node, index, version)


def _at(nodes: Sequence[Node], index: object, where: str) -> Node:
    if type(index) is not int or not 0 <= index < len(nodes):
        what, expected = f"{where} refers to node {index!r}", f"earlier ones: 0 to {len(nodes) - 1}"
        fix = "Nodes must be listed in topological order; a forward reference is a cycle."
        raise GraphError(what, expected=expected, fix=fix)
    return nodes[index]
