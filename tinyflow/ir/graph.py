"""Graph: outputs, the nodes they need in topological order, and facts about them. Layer: ir."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import wraps
from operator import is_
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from tinyflow.errors import GraphError
from tinyflow.ir.node import PLACED_ON, STANDS_FOR, Node, Value

__all__ = ["Fact", "Graph", "once", "rewrite", "topological_order", "users"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Fact(Generic[T]):
    """Typed key of a pass result, for example ``SHAPES: Fact[Mapping[Value, Shape]]``.

    ``lasts``: it is about leaves, which passes keep, so it stays true whatever a pass changes.
    """

    name: str
    lasts: bool = False

    def __repr__(self) -> str:
        return f"<fact {self.name}>"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Graph:
    """Everything needed to compute ``outputs``; immutable.

    ``nodes`` is in topological order: inputs and control dependencies come first; ties follow the
    order of ``outputs`` and inputs, so equal constructions print equally.
    """

    outputs: tuple[Value, ...]
    facts: Mapping[Fact[Any], Any] = field(default_factory=dict)
    nodes: tuple[Node, ...] = field(init=False)
    _known: dict[Any, Any] = field(init=False)  # of functions marked ``once``, by function

    def __post_init__(self) -> None:
        object.__setattr__(self, "outputs", tuple(self.outputs))
        object.__setattr__(self, "facts", MappingProxyType(dict(self.facts)))
        object.__setattr__(self, "nodes", topological_order(v.node for v in self.outputs))
        object.__setattr__(self, "_known", {})

    def fact(self, key: Fact[T]) -> T:
        """What a pass found out; raises GraphError if no pass provided it."""
        try:
            return self.facts[key]  # type: ignore[no-any-return]
        except KeyError:
            known = ", ".join(f.name for f in self.facts) or "none"
            what = f"the graph has no fact '{key.name}'"
            fix = "Run the pass that provides it first."
            raise GraphError(what, got=f"facts: {known}", fix=fix) from None

    def with_fact(self, key: Fact[T], value: T) -> Graph:
        """The same nodes with one more fact. Cheap: the order is not computed again."""
        return self.with_facts({**self.facts, key: value})

    def with_facts(self, facts: Mapping[Fact[Any], Any]) -> Graph:
        """The same nodes with exactly these facts."""
        graph = copy(self)
        object.__setattr__(graph, "facts", MappingProxyType(dict(facts)))
        return graph

    def __repr__(self) -> str:
        return f"<graph of {len(self.nodes)} nodes, {len(self.outputs)} outputs>"


def _needs(node: Node) -> list[Node]:
    made = [value.node for value in node.inputs]
    return [*made, *node.after] if node.after else made


def topological_order(
    roots: Iterable[Node], needs: Callable[[Node], Iterable[Node]] = _needs
) -> tuple[Node, ...]:
    """Nodes reachable from ``roots``, every node after those it ``needs`` (inputs and ``after``).

    Iterative depth-first post-order (a chain of 50,000 nodes works); each node once.
    Raises GraphError if the graph has a cycle, naming a node on it.
    """
    done: dict[Node, None] = {}  # in order
    open_: set[Node] = set()
    for root in roots:
        stack = [(root, iter(needs(root)))] if root not in done else []
        open_.update(node for node, _ in stack)
        while stack:
            node, pending = stack[-1]
            for need in pending:
                if need not in done:
                    if need in open_:
                        fix = "Break the loop here."
                        raise GraphError("the graph has a cycle", node=need, fix=fix)
                    open_.add(need)
                    stack.append((need, iter(needs(need))))
                    break
            else:
                stack.pop()
                open_.discard(node)
                done[node] = None
    return tuple(done)


def once(function: Callable[[Graph], T]) -> Callable[[Graph], T]:
    """For a function of the nodes alone: graphs of the same nodes share its result."""

    @wraps(function)
    def known(graph: Graph) -> T:
        if function not in graph._known:
            graph._known[function] = function(graph)
        return graph._known[function]  # type: ignore[no-any-return]

    return known


@once
def users(graph: Graph) -> Mapping[Value, Sequence[tuple[Node, int]]]:
    """For each value that is used: the (node, input position) pairs that read it, in order."""
    found: dict[Value, list[tuple[Node, int]]] = {}
    for node in graph.nodes:
        for position, value in enumerate(node.inputs):
            found.setdefault(value, []).append((node, position))
    return MappingProxyType(found)


def rewrite(
    graph: Graph, rule: Callable[[Node, tuple[Value, ...]], Sequence[Value] | None]
) -> tuple[Graph, dict[Value, Value]]:
    """Rebuild a graph node by node; returns it (without facts) and the map old -> new value.

    ``rule(node, new_inputs)`` returns the values that replace the node's outputs, or None to keep
    the node on its new inputs. Control dependencies pass to the new node; where there is none, the
    old one stays. Leaves keep their identity unless the rule replaces them, and reads
    of a kept variable keep their version. What a rule makes has the node's line and device.
    """
    results: dict[Node, Sequence[Value]] = {}  # of each old node: the new values
    standing: set[Node] = set()  # the nodes of these values
    line, device = before = STANDS_FOR.get(), PLACED_ON.get()

    def follow(value: Value) -> Value:
        other = results[value.node][value.index]
        return value if other.node is value.node else other  # a kept leaf keeps the version read

    try:
        for node in graph.nodes:
            if node.source != line or node.device is not device:
                line, device = node.source, node.device
                STANDS_FOR.set(line)
                PLACED_ON.set(device)
            inputs = tuple([follow(value) for value in node.inputs])
            after = tuple([results[n][0].node for n in node.after]) if node.after else ()
            replaced = rule(node, inputs)
            if replaced is None or (after and replaced[0].node in standing):
                replaced = node.with_inputs(inputs, after).outputs
            elif after:  # what stands in for a node waits for the same nodes
                made = replaced[0].node.with_inputs(replaced[0].node.inputs, after)
                replaced = tuple(Value(made, value.index) for value in replaced)
            results[node] = replaced
            standing.add(replaced[0].node)
    finally:
        STANDS_FOR.set(before[0])
        PLACED_ON.set(before[1])
    new = {o: n for node in graph.nodes for o, n in zip(node.outputs, results[node], strict=True)}
    if all(map(is_, new, new.values())):
        return graph.with_facts({}), new
    return Graph(tuple(follow(value) for value in graph.outputs)), new
