"""Decide on which device each node runs, and copy what crosses. Layer: passes.

The front end says it of some nodes (``with tf.device("cpu:1")``), the pass of all others. State is
never split: a variable and all that write it live on one device. Constants are at hand everywhere.
Source: the pass PlaceDevice of NNVM; Abadi et al., TensorFlow, OSDI 2016, section 3.3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from tinyflow import ops
from tinyflow.errors import GraphError
from tinyflow.ir import CONSTANT, Fact, Graph, Node, Value, rewrite
from tinyflow.types import Device

__all__ = ["PLACEMENT", "devices", "place"]

PLACEMENT: Fact[Mapping[Node, Device]] = Fact("placement")


def place(graph: Graph, default: Device = Device("cpu")) -> Graph:  # noqa: B008  # it is frozen
    """Provide PLACEMENT, and insert one ``copy_to`` per value and device that needs it.

    Afterwards every edge lies within a device, enters a ``copy_to`` or leaves a constant; placing
    such a graph again changes nothing. A variable that is read elsewhere is copied per version.

    Raises GraphError if a node writes a variable that lives on another device.
    """
    found = devices(graph, default)
    if len(set(found.values())) < 2:
        return graph.with_fact(PLACEMENT, found)
    _check_state(graph, found)
    copies: dict[tuple[Value, int, Device], Value] = {}

    def rule(node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...]:
        def near(old: Value, value: Value) -> Value:
            if node.op is ops.copy_to or old.node.op is CONSTANT or found[old.node] == found[node]:
                return value
            key, attrs = (value, value.version, found[node]), {"device": str(found[node])}
            if key not in copies:
                made = Node(ops.copy_to, (value,), attrs, None, (), found[node], node.source)
                copies[key] = Value(made)
            return copies[key]

        return node.with_inputs(tuple(map(near, node.inputs, inputs))).outputs

    placed, new = rewrite(graph, rule)
    homes = {copy.node: key[2] for key, copy in copies.items()}
    homes |= {new[value].node: found[value.node] for value in new}
    return placed.with_fact(PLACEMENT, homes)


def devices(graph: Graph, default: Device) -> dict[Node, Device]:
    """The device of each node: its own, else that of an input, else of a reader, else ``default``.

    A write goes where its variable is. A variable without a device goes to its first placed write,
    else to what reads it, before a write or after.
    """
    found = {node: node.device for node in graph.nodes if node.device is not None}
    if not found:
        return dict.fromkeys(graph.nodes, default)
    readers: dict[Node, list[Node]] = {}
    for node in graph.nodes:
        for value in () if node.op is ops.copy_to else node.inputs:
            state = value.node.inputs if value.node.op.mutates else (value,)
            readers.setdefault(state[0].node, []).append(node)
        if node.op.mutates and node in found:
            found.setdefault(node.inputs[0].node, found[node])
    _spread(graph.nodes, _sources, found)
    _spread(reversed(graph.nodes), lambda node: readers.get(node, []), found)
    _spread(graph.nodes, _sources, found)
    return {node: found.get(node, default) for node in graph.nodes}


def _sources(node: Node) -> list[Node]:
    """Nodes whose device a node takes over."""
    inputs = node.inputs[:1] if node.op.mutates else node.inputs
    return [value.node for value in inputs if value.node.op is not CONSTANT]


def _spread(
    nodes: Iterable[Node], neighbours: Callable[[Node], list[Node]], found: dict[Node, Device]
) -> None:
    for node in nodes:
        near = next((found[n] for n in neighbours(node) if n in found), None)
        if near is not None:
            found.setdefault(node, near)


def _check_state(graph: Graph, found: Mapping[Node, Device]) -> None:
    for node in graph.nodes:
        variable = node.inputs[0].node if node.op.mutates else node
        if found[variable] != found[node]:
            what = f"writes {variable.where()}, which lives on another device"
            fix = "Make them under the same tf.device."
            raise GraphError(what, node=node, got=found[node], expected=found[variable], fix=fix)
