"""The sequence in which nodes run, so that every read sees the right write. Layer: passes."""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Mapping
from itertools import pairwise

from tinyflow.errors import GraphError
from tinyflow.ir import Fact, Graph, Node, Value

__all__ = ["SCHEDULE", "dependencies", "order", "storage_variable"]

SCHEDULE: Fact[tuple[Node, ...]] = Fact("schedule")


def order(graph: Graph) -> Graph:
    """Provide SCHEDULE: all nodes in an order that respects data, control and mutation.

    A write that follows version k runs after every reader of versions up to k and before every
    reader of a later version; consumers of an assign's output read the new version. Nodes that can
    fail run before the first write where data allows, so that a failing run leaves the variables
    as they were.

    Raises GraphError naming the reader, if an old read also needs a newer write.
    """
    before = dependencies(graph)
    return graph.with_fact(SCHEDULE, _first_ready(graph, before))


def storage_variable(graph: Graph) -> dict[Value, tuple[Node, int]]:
    """For each value that lives in a variable's storage: (variable node, version it shows).

    These are the reads themselves, views of them, and the outputs of assigns with their views.
    """
    found: dict[Value, tuple[Node, int]] = {}
    for node in graph.nodes:
        for position, output in node.op.aliases:
            source = node.inputs[position]
            read = found.get(source) or _direct(source)
            if read:
                variable, version = read
                written = version + 1 if position in node.op.mutates else version
                found[Value(node, output)] = (variable, written)
    return found


def _direct(value: Value) -> tuple[Node, int] | None:
    return (value.node, value.version) if value.node.op.name == "variable" else None


def dependencies(graph: Graph) -> dict[Node, set[Node]]:
    """For each node those that must run before it: by data, by control and by writes."""
    views = storage_variable(graph)
    reads: dict[Node, list[tuple[int, Node]]] = {}
    writes: dict[Node, list[tuple[int, Node]]] = {}
    for node in graph.nodes:
        for position, value in enumerate(node.inputs):
            variable, version = views.get(value) or _direct(value) or (None, 0)
            if variable is None:
                continue
            target = writes if position in node.op.mutates else reads
            target.setdefault(variable, []).append((version, node))
    before: dict[Node, set[Node]] = {
        node: {value.node for value in node.inputs} | set(node.after) for node in graph.nodes
    }
    for variable, stores in writes.items():
        stores.sort(key=lambda item: item[0])
        for (_, earlier), (_, later) in pairwise(stores):
            before[later].add(earlier)
        _order_reads(before, reads.get(variable, []), stores)
    _failing_first(graph, before)
    return before


def _order_reads(
    before: dict[Node, set[Node]],
    reads: list[tuple[int, Node]],
    stores: list[tuple[int, Node]],
) -> None:
    """Each read between the last write it follows and the first it does not."""
    numbers = [number for number, _ in stores]
    for version, reader in reads:
        following = bisect_left(numbers, version)  # the first write that the read must not see
        if following:
            before[reader].add(stores[following - 1][1])
        if following < len(stores) and stores[following][1] is not reader:
            before[stores[following][1]].add(reader)


def _failing_first(graph: Graph, before: dict[Node, set[Node]]) -> None:
    tainted: set[Node] = set()
    for node in graph.nodes:
        if node.op.mutates or any(need in tainted for need in before[node]):
            tainted.add(node)
    failing = {node for node in graph.nodes if node.op.can_fail and node not in tainted}
    for node in graph.nodes:
        if node.op.mutates:
            before[node] |= failing


def _first_ready(graph: Graph, before: Mapping[Node, set[Node]]) -> tuple[Node, ...]:
    """Kahn's algorithm; among ready nodes the first in graph order runs next."""
    place = {node: index for index, node in enumerate(graph.nodes)}
    waiting = {node: len(before[node]) for node in graph.nodes}
    wakes: dict[Node, list[Node]] = {}
    for node in graph.nodes:
        for need in before[node]:
            wakes.setdefault(need, []).append(node)
    ready = [place[node] for node in graph.nodes if not waiting[node]]
    schedule: list[Node] = []
    while ready:
        node = graph.nodes[heapq.heappop(ready)]
        schedule.append(node)
        for woken in wakes.get(node, ()):
            waiting[woken] -= 1
            if not waiting[woken]:
                heapq.heappush(ready, place[woken])
    if len(schedule) < len(graph.nodes):
        raise _stuck(graph, set(schedule))
    return tuple(schedule)


def _stuck(graph: Graph, done: set[Node]) -> GraphError:
    reader = next(
        node
        for node in graph.nodes
        if node not in done and not node.op.mutates and any(_direct(v) for v in node.inputs)
    )
    variable = next(v.node for v in reader.inputs if _direct(v))
    return GraphError(
        f"reads variable '{variable.name}' as it was before a write, and needs that write",
        node=reader,
        fix=f"Keep the old value with tf.identity({variable.name}) before the assign.",
    )
