"""The sequence in which nodes run: each read sees the right write, and memory is free again soon.

Layer: passes.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Mapping, Sequence

from tinyflow.errors import GraphError
from tinyflow.ir import Fact, Graph, Node, Value, users
from tinyflow.ir.graph import once
from tinyflow.passes.infer import DTYPES, SHAPES
from tinyflow.types import elements, is_static

__all__ = ["SCHEDULE", "after_writes", "dependencies", "followers", "order", "size_bytes", "views"]

SCHEDULE: Fact[tuple[Node, ...]] = Fact("schedule")
ALIGNMENT_BYTES = 64  # a cache line, and the widest vector register


def order(graph: Graph) -> Graph:
    """Provide SCHEDULE: all nodes in an order that respects data, control and mutation.

    A write that follows version k runs after every reader of versions up to k and before every
    reader of a later version; consumers of an assign's output read the new version. Nodes that can
    fail run before the first write where data allows, so that a failing run leaves the variables
    as they were. Among the orders that are left, what makes memory free runs as soon as it can.

    Raises GraphError naming the reader, if an old read also needs a newer write.
    """
    return graph.with_fact(SCHEDULE, _Scheduler(graph, dependencies(graph)).schedule())


class _Scheduler:
    """Kahn's algorithm: of the nodes that are ready, which runs next?

    First one that makes memory free: its results are smaller than the inputs that nobody else is
    still to read (``growth_bytes`` < 0). Then any other, in graph order. Last one whose result will
    replace a variable that others are still to read: after them it can be computed right there.
    Leaves come just before their first reader. E log E for E edges.
    """

    def __init__(self, graph: Graph, before: Mapping[Node, set[Node]]) -> None:
        self.graph, self.before, self.makers = graph, before, _makers(graph, before)
        self.place = {node: at for at, node in enumerate(graph.nodes)}
        self.leaves = {node for node in graph.nodes if node.op.leaf and not before[node]}
        self.needs = {node: needs - self.leaves for node, needs in before.items()}
        self.wishes = {node: needs - self.leaves for node, needs in self.makers.items()}
        waits = {node: n | self.wishes.get(node, set()) for node, n in self.needs.items()}
        self.wakes = followers(waits)
        self.shown = views(graph)
        self.readers: dict[Value, set[Node]] = {}  # of each result or a view of it, still to run
        for value, uses in users(graph).items():
            owner = self.shown.get(value, value)
            if not owner.node.op.leaf:  # which takes no memory here
                self.readers.setdefault(owner, set()).update(reader for reader, _ in uses)
        for value in graph.outputs:  # never free
            self.readers.pop(self.shown.get(value, value), None)
        self.growth_bytes = {node: self._made_bytes(node) for node in graph.nodes}
        self.ready: list[tuple[int, int]] = []  # rank and place
        self.done: dict[Node, None] = {}

    def schedule(self) -> tuple[Node, ...]:
        """All nodes in the order they run."""
        for value in self.readers:
            self._note_last_reader(value)
        for node in self.graph.nodes:
            if node not in self.leaves:
                self._offer(node)
        while self.ready:
            node = self.graph.nodes[heapq.heappop(self.ready)[1]]
            if node not in self.done:
                self._run(node)
        self.done |= dict.fromkeys(node for node in self.graph.nodes if node in self.leaves)
        if len(self.done) < len(self.graph.nodes):
            raise _stuck(self.graph, set(self.done))
        return tuple(self.done)

    def _run(self, node: Node) -> None:
        leaves = self.leaves & (self.before[node] | self.makers.get(node, set()))
        self.done |= dict.fromkeys(sorted(leaves, key=self.place.__getitem__))
        self.done[node] = None
        for value in {self.shown.get(value, value) for value in node.inputs} & self.readers.keys():
            self.readers[value].discard(node)
            self._note_last_reader(value)
        for other in self.wakes[node]:
            self.needs[other].discard(node)
            self.wishes.get(other, set()).discard(node)
            self._offer(other)

    def _offer(self, node: Node) -> None:
        """Put a node among the ready ones, once more if it now comes sooner."""
        if not self.needs[node]:
            frees = self.growth_bytes[node] < 0 or node.op.mutates
            rank = 2 if self.wishes.get(node) else 0 if frees else 1
            heapq.heappush(self.ready, (rank, self.place[node]))

    def _note_last_reader(self, value: Value) -> None:
        if len(self.readers[value]) == 1:
            (last,) = self.readers[value]
            self.growth_bytes[last] -= size_bytes(self.graph, value)
            self._offer(last)

    def _made_bytes(self, node: Node) -> int:
        """What its results take: a leaf or a view nothing, nor what is computed in a variable."""
        if node.op.leaf or node.op.aliases or node in self.makers:
            return 0
        return sum([size_bytes(self.graph, value) for value in node.outputs])


def _makers(graph: Graph, before: Mapping[Node, set[Node]]) -> dict[Node, set[Node]]:
    """Nodes that make new contents of variables and nothing else, and what the writes wait for."""
    readers = users(graph)
    found: dict[Node, set[Node]] = {}
    for node in graph.nodes:
        writes = {reader for value in node.outputs for reader, _ in readers.get(value, ())}
        if writes and not node.op.leaf and all(write.op.mutates for write in writes):
            found[node] = {need for write in writes for need in before[write]} - {node}
    return found


def size_bytes(graph: Graph, value: Value) -> int:
    """Bytes of a result in whole cache lines; none for a leaf, or if the shape is not known."""
    shape, dtype = graph.facts.get(SHAPES, {}).get(value), graph.facts.get(DTYPES, {}).get(value)
    if value.node.op.leaf or dtype is None or not is_static(shape):
        return 0
    count: int = elements(shape) * dtype.itemsize
    return -(-count // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


@once
def views(graph: Graph) -> Mapping[Value, Value]:
    """What each view shows, for ``shown.get(value, value)``: the value that owns the storage.

    The output of an assign shows its variable, one version on; views of views are followed.
    """
    shown: dict[Value, Value] = {}
    for node in graph.nodes:
        for position, output in node.op.aliases:
            owner = shown.get(node.inputs[position], node.inputs[position])
            version = owner.version + (position in node.op.mutates)
            shown[node.outputs[output]] = Value(owner.node, owner.index, version)
    return shown


@once
def dependencies(graph: Graph) -> Mapping[Node, set[Node]]:
    """For each node those that must run before it: by data, by control and by writes."""
    shown = views(graph)
    uses: dict[Node, list[tuple[int, Node]]] = {}  # variable: version and reader or writer
    writes: dict[Node, list[tuple[int, Node]]] = {}
    for node in graph.nodes:
        for position, value in enumerate(node.inputs):
            owner = shown.get(value, value)
            if owner.node.op.name == "variable":
                uses.setdefault(owner.node, []).append((owner.version, node))
                if position in node.op.mutates:
                    writes.setdefault(owner.node, []).append((owner.version, node))
    before: dict[Node, set[Node]] = {
        node: {*[value.node for value in node.inputs], *node.after} for node in graph.nodes
    }
    for variable, stores in writes.items():
        _order_uses(before, uses[variable], sorted(stores, key=lambda store: store[0]))
    _failing_first(graph, before)
    return before


def _order_uses(
    before: dict[Node, set[Node]],
    uses: Sequence[tuple[int, Node]],
    stores: Sequence[tuple[int, Node]],
) -> None:
    """Each use between the last write it follows and the first it does not (itself, if a write)."""
    numbers = [number for number, _ in stores]
    for version, user in uses:
        following = bisect_left(numbers, version)  # the first write that the use must not see
        if following:
            before[user].add(stores[following - 1][1])
        if following < len(stores) and stores[following][1] is not user:
            before[stores[following][1]].add(user)


def followers(before: Mapping[Node, set[Node]]) -> dict[Node, list[Node]]:
    """The other way round: for each node those that wait for it."""
    found: dict[Node, list[Node]] = {node: [] for node in before}
    for node, needs in before.items():
        for need in needs:
            found[need].append(node)
    return found


def after_writes(before: Mapping[Node, set[Node]]) -> set[Node]:
    """Writes and what must run after one."""
    later, found = followers(before), set[Node]()
    ahead = [node for node in before if node.op.mutates]
    while ahead:
        if (node := ahead.pop()) not in found:
            found.add(node)
            ahead += later[node]
    return found


def _failing_first(graph: Graph, before: dict[Node, set[Node]]) -> None:
    failing = {node for node in graph.nodes if node.op.can_fail}
    if failing:
        failing -= after_writes(before)
    for node in graph.nodes:
        if node.op.mutates:
            before[node] |= failing


def _stuck(graph: Graph, done: set[Node]) -> GraphError:
    shown, waiting = views(graph), [node for node in graph.nodes if node not in done]
    readers = sorted(waiting, key=lambda node: bool(node.op.mutates))  # those that only read first
    seen = ((node, shown.get(value, value).node) for node in readers for value in node.inputs)
    reader, variable = next(pair for pair in seen if pair[1].op.name == "variable")
    what = f"reads variable '{variable.name}' as it was before a write, and needs that write"
    fix = f"Keep the old value with tf.identity({variable.name}) before the assign."
    return GraphError(what, node=reader, fix=fix)
