"""Invariants that hold before and after every pass, whoever wrote it. Layer: ir."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from tinyflow.errors import GraphError
from tinyflow.ir.graph import Fact, Graph
from tinyflow.ir.node import Node, Value

__all__ = ["verify"]

Facts = Mapping[Fact[Any], object]


def verify(graph: Graph, checked: Container[Node] = (), before: Graph | None = None) -> None:
    """Raise GraphError naming the node if ``graph`` is not well formed.

    Arity and attributes fit each op; every value names an existing output; a variable name stands
    for one node; only variables are mutated and carry versions; facts do not speak of values of
    other graphs. Nodes in ``checked`` were verified before and are frozen, so they are skipped; so
    are all nodes and old facts if a graph of the same nodes was verified ``before``.
    """
    same = before is not None and before.nodes == graph.nodes
    if not same:
        _verify_nodes(graph, checked)
    for value in graph.outputs:
        _verify_value(value, value.node)
    _verify_facts(graph, before.facts if before is not None and same else {})


def _verify_nodes(graph: Graph, checked: Container[Node]) -> None:
    names: dict[str, Node] = {}
    for node in graph.nodes:
        if node.op.name == "variable":
            _unique(names, node)
        if node not in checked:
            _verify_node(node)


def _verify_node(node: Node) -> None:
    try:
        node.op.check_arity(len(node.inputs))
        node.op.check_attrs(node.attrs)
    except GraphError as error:
        raise error.at(node) from None
    for position, value in enumerate(node.inputs):
        _verify_value(value, node)
        if position in node.op.mutates and value.node.op.name != "variable":
            what = f"writes its input {position}"
            raise GraphError(what, node=node, got=value, expected="a variable")


def _verify_value(value: Value, reader: Node) -> None:
    if not isinstance(value, Value) or not isinstance(value.node, Node):
        raise GraphError("an input is not a value", node=reader, got=type(value).__name__)
    count = len(value.node.outputs)
    if not 0 <= value.index < count:
        got, expected = f"output {value.index} of {value.node.where()}", f"0 to {count - 1}"
        what = "reads an output that does not exist"
        raise GraphError(what, node=reader, got=got, expected=expected)
    if value.version and value.node.op.name != "variable":
        raise GraphError("only variables have versions", node=reader, got=value)


def _unique(names: dict[str, Node], node: Node) -> None:
    if not node.name:
        raise GraphError("a variable needs a name", node=node)
    if names.setdefault(node.name, node) is not node:
        what, expected = "two variables share one name", "one node per variable name"
        fix = "A pass must keep leaves as they are; a program must choose another name."
        raise GraphError(what, node=node, expected=expected, fix=fix)


def _verify_facts(graph: Graph, known: Facts) -> None:
    nodes = set(graph.nodes)
    for fact, content in graph.facts.items():
        if not isinstance(content, dict) or known.get(fact) is content:
            continue
        if stale := {key.node for key in content if isinstance(key, Value)} - nodes:
            raise GraphError(f"stale fact '{fact.name}'", node=stale.pop(), fix="Drop the fact.")
