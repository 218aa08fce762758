"""Grow groups of nodes that one kernel can compute, while scheduling. Layer: passes."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from graphlib import CycleError
from itertools import islice

from tinyflow.ir import Graph, Node, Value, users
from tinyflow.ops.sweep import MOST_NODES, MOVES, Group, computes
from tinyflow.passes.infer import DTYPES, SHAPES
from tinyflow.passes.order import dependencies, followers
from tinyflow.types import DType, elements

__all__ = ["grow_groups"]

_FEW = 6  # how far back to look for what a group may take in


def grow_groups(graph: Graph) -> list[Group | Node]:
    """All nodes, alone or in groups, in an order in which they can run.

    Kahn's algorithm: nodes that cannot be fused run first. When only others are ready, the one
    whose result is wanted first starts a group, which takes in whatever is ready, fits and touches
    it. A group can run as one because nothing outside ran while it grew. Linear in edges.
    Raises graphlib.CycleError if there is no such order.
    """
    return _Growth(graph).runs()


class _Growth:
    """The state of one scheduling run: what waits, what is ready, in which order it is to run."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.place = graph, {node: i for i, node in enumerate(graph.nodes)}
        self.shapes, self.dtypes = graph.fact(SHAPES), graph.fact(DTYPES)
        self.users = users(graph)
        results = [(node, self.users.get(node.outputs[0], ())) for node in graph.nodes]
        self.readers = {node: [reader for reader, _ in uses] for node, uses in results}
        self.wanted = self._wanted()
        before = dependencies(graph)
        self.needs = {node: len(needs) for node, needs in before.items()}  # how many still to run
        self.wakes = followers(before)
        self.ready: dict[Node, Group | None] = {}  # and the group that each may start
        self.done: set[Node] = set()
        self.queue: list[tuple[bool, bool, int, int]] = []  # a heap of what is ready
        self._offer(node for node in graph.nodes if not before[node])

    def runs(self) -> list[Group | Node]:
        """Run everything, a node or a group at a time."""
        found: list[Group | Node] = []
        while self.queue:
            node = self.graph.nodes[heapq.heappop(self.queue)[-1]]
            if node not in self.ready:  # a group took it
                continue
            group = self.ready[node]
            self._run(node)
            members = self._grown(group).nodes if group else [node]
            found += [group] if group and group.pays() else members
        if len(self.done) < len(self.graph.nodes):
            raise CycleError("some nodes wait for each other")
        return found

    def _run(self, node: Node) -> None:
        del self.ready[node]
        self.done.add(node)
        for other in self.wakes[node]:
            self.needs[other] -= 1
        self._offer(other for other in self.wakes[node] if not self.needs[other])

    def _offer(self, nodes: Iterable[Node]) -> None:
        """Put what waits for nothing any more in line."""
        for node in nodes:
            self.ready[node] = self._seed(node)
            heapq.heappush(self.queue, self._urgency(node))

    def _seed(self, node: Node) -> Group | None:
        """The group that starts with ``node``, None if no kernel can; a mask goes with its use."""
        if not computes(node):
            return None
        dtype = self.dtypes[node.outputs[0]]
        if dtype is DType.bool:
            made = [self.dtypes[v] for reader in self.readers[node] for v in reader.outputs]
            dtype = next((other for other in made if other is not DType.bool), None)
        return Group.start(node, self.shapes, self.dtypes, dtype)

    def _urgency(self, node: Node) -> tuple[bool, bool, int, int]:
        """Key of the queue, the smallest first: what cannot be fused, in the order of the graph.

        Then seeds and moves, each when its result is wanted; large results that are made of leaves
        alone come last of all, for they could be made at any time and would only take up memory.
        """
        move, place = node.op in MOVES, self.place[node]
        if self.ready[node] is None and not move:
            return False, False, 0, place
        large = not move and elements(self.shapes[node.outputs[0]]) > 1
        early = large and all(value.node.is_leaf for value in node.inputs)
        return True, early, self.wanted[node], place

    def _wanted(self) -> dict[Node, int]:
        """The place at which each result meets another one: up to there a chain runs as one."""
        found: dict[Node, int] = {}
        for node in reversed(self.graph.nodes):
            places = [len(self.place)]
            for reader in self.readers[node]:
                chain = (reader.op.expr or reader.op in MOVES) and all(
                    v.node is node or v.node.is_leaf for v in reader.inputs
                )
                places.append(found[reader] if chain else self.place[reader])
            found[node] = min(places)
        return found

    def _grown(self, group: Group) -> Group:
        """The group with all that is ready, fits and touches it, until nothing does."""
        touched: set[Value] = set()
        for member in group.nodes:  # grows meanwhile
            for other in self._neighbours(member, group, touched):
                level = group.level(other) if other in self.ready else None
                if level is not None:
                    group.add(other, level)
                    self._run(other)
        return group

    def _neighbours(self, node: Node, group: Group, touched: set[Value]) -> Iterator[Node]:
        """What makes the other inputs of readers of ``node``, the readers, and its siblings."""
        near = self.readers[node]
        for reader in filter(computes, near):
            yield from self._makers(reader)
        yield from near
        for value in node.inputs:
            if self.shapes[value] == group.space and value not in touched:
                touched.add(value)
                left = (reader for reader, _ in self.users[value] if reader not in self.done)
                yield from islice(left, MOST_NODES)  # of thousands, each group looks at a few

    def _makers(self, node: Node) -> list[Node]:
        """The last few nodes that ``node`` waits for and that could join, in order."""
        found: list[Node] = []
        stack = [value.node for value in node.inputs]
        while stack and len(found) < _FEW:
            maker = stack.pop()
            if maker not in self.done and computes(maker):
                found.append(maker)
                stack += [value.node for value in maker.inputs]
        return found[::-1]
