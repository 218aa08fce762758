"""Decide whose storage each value lives in. Layer: passes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from tinyflow import ops
from tinyflow.ir import Fact, Graph, Node, Value
from tinyflow.passes.infer import DTYPES, SHAPES
from tinyflow.passes.order import SCHEDULE, dependencies, views

__all__ = ["STORAGE", "Home", "Kind", "storage"]


class Kind(StrEnum):
    """Where the content of a value lives."""

    FEED = "feed"  # handed in by each run
    VARIABLE = "variable"  # kept by the session between runs
    CONSTANT = "constant"  # the same in every run: computed once
    BUFFER = "buffer"  # written by a node of each run


@dataclass(frozen=True, slots=True)
class Home:
    """The storage of a value: its kind, and its owner (the value itself, unless it is a view)."""

    kind: Kind
    owner: Value


STORAGE: Fact[Mapping[Value, Home]] = Fact("storage")


def storage(graph: Graph) -> Graph:
    """Provide STORAGE: a home for every value.

    A view lives with the value it shows. The output of ``assign(W, y)`` lives in W, and so does y
    where it can be computed there straight away: its other readers are done by then, nothing that
    can fail comes later, and the op that makes y may run in place on W (or does not read it).
    What depends on constants alone is a constant.
    """
    early = _early_writes(graph)
    homes: dict[Value, Home] = {}
    for node in graph.fact(SCHEDULE):
        for value in node.outputs:
            homes[value] = _home(value, homes, early)
    return graph.with_fact(STORAGE, homes)


def _home(value: Value, homes: Mapping[Value, Home], early: Mapping[Value, Node]) -> Home:
    node = value.node
    leaf = {"placeholder": Kind.FEED, "variable": Kind.VARIABLE, "constant": Kind.CONSTANT}
    if node.op.name in leaf:
        return Home(leaf[node.op.name], value)
    if value in early:
        return Home(Kind.VARIABLE, early[value].inputs[0])
    for position, output in node.op.aliases:
        if output == value.index:
            return homes[node.inputs[position]]
    idle = node.op.random or node.op.can_fail or node.op.name == "group"
    fixed = all(homes[source].kind is Kind.CONSTANT for source in node.inputs)
    return Home(Kind.CONSTANT if fixed and not idle else Kind.BUFFER, value)


def _early_writes(graph: Graph) -> dict[Value, Node]:
    """What may be computed straight into a variable: value -> the assign that becomes idle.

    Only for the last write of a variable, and if all that the write waits for (readers of the old
    content, earlier writes, nodes that can fail) has run before the node that makes the value.
    """
    schedule, before, shown = graph.fact(SCHEDULE), dependencies(graph), views(graph)
    place = {node: index for index, node in enumerate(schedule)}
    last = {node.inputs[0].node: node for node in schedule if node.op.mutates}
    found: dict[Value, Node] = {}
    for assign in last.values():
        new = assign.inputs[1]
        done = all(place[need] < place[new.node] for need in before[assign] - {new.node})
        if done and new not in found and _may_write(graph, assign, shown):
            found[new] = assign
    return found


def _may_write(graph: Graph, assign: Node, shown: Mapping[Value, Value]) -> bool:
    """True if the op that makes the new content can put it where the old one is."""
    shapes, dtypes = graph.fact(SHAPES), graph.fact(DTYPES)
    (old, new), written = assign.inputs, assign.outputs[0]
    maker = new.node
    if maker.is_leaf or maker.op.aliases or (len(maker.outputs) > 1 and maker.op is not ops.fused):
        return False
    if shapes[new] != shapes[written] or dtypes[new] is not dtypes[written]:
        return False
    pairs = maker.op.inplace_pairs(maker.attrs)
    inplace = {position for position, output in pairs if output == new.index}
    return all(
        position in inplace and shapes[value] == shapes[new]
        for position, value in enumerate(maker.inputs)
        if shown.get(value, value).node is old.node
    )
