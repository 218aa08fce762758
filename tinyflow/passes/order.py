"""The sequence in which nodes run, so that every read sees the right write. Layer: passes."""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

from tinyflow.errors import GraphError
from tinyflow.ir import Fact, Graph, Node, Value, users
from tinyflow.passes.infer import DTYPES, SHAPES
from tinyflow.types import elements, is_static

__all__ = ["SCHEDULE", "dependencies", "order", "peak_bytes", "storage_variable"]

SCHEDULE: Fact[tuple[Node, ...]] = Fact("schedule")


def order(graph: Graph) -> Graph:
    """Provide SCHEDULE: all nodes in an order that respects data, control and mutation.

    A write that follows version k runs after every reader of versions up to k and before every
    reader of a later version; consumers of an assign's output read the new version. Nodes that can
    fail run before the first write where data allows, so that a failing run leaves the variables
    as they were. Among the orders that are left, updates run where the graph has them or as soon
    as they can, whichever needs less memory.

    Raises GraphError naming the reader, if an old read also needs a newer write.
    """
    before = dependencies(graph)
    place = {node: at for at, node in enumerate(graph.nodes)}
    schedules = [_first_ready(graph, before, place)]
    urgency = _urgency(graph, before, place)
    if urgency != place:
        schedules.append(_first_ready(graph, before, urgency))
    best = min(schedules, key=lambda schedule: peak_bytes(graph, schedule))
    return graph.with_fact(SCHEDULE, best)


def peak_bytes(graph: Graph, schedule: Sequence[Node]) -> int:
    """Bytes that live at the busiest step of ``schedule``."""
    return max(live_bytes(graph, schedule), default=0)


def live_bytes(graph: Graph, schedule: Sequence[Node]) -> list[int]:
    """Bytes that live at each step, without reuse in place; unknown sizes count nothing.

    Leaves and views take no memory of their own; outputs of the graph live to the end.
    """
    shapes, dtypes = graph.facts.get(SHAPES, {}), graph.facts.get(DTYPES, {})
    place = {node: at for at, node in enumerate(schedule)}
    change = [0] * (len(schedule) + 2)
    last = {value: max(place[r] for r, _ in uses) for value, uses in users(graph).items()}
    last |= dict.fromkeys(graph.outputs, len(schedule))
    for at, node in enumerate(schedule):
        if node.op.leaf or node.op.aliases or node.op.name == "group":
            continue
        for value in node.outputs:
            shape, dtype = shapes.get(value), dtypes.get(value)
            size = elements(shape) * dtype.itemsize if is_static(shape) and dtype else 0
            change[at] += size
            change[last.get(value, at) + 1] -= size
    return list(accumulate(change))[: len(schedule)]


def _urgency(
    graph: Graph, before: Mapping[Node, set[Node]], place: Mapping[Node, int]
) -> dict[Node, int]:
    """Each node's place; for what serves one update only, the place of what it waits for."""
    readers, updates = users(graph), _updates(graph)
    found = dict(place)
    for node in graph.nodes:
        if node not in updates or node.op.leaf:
            continue
        needs = set(before[node])
        for value in node.outputs:  # the maker of new content also waits for old readers
            for reader, _ in readers.get(value, ()):
                needs |= {n for n in before[reader] if reader.op.mutates and n not in updates}
        known = [found[need] for need in needs if not need.op.leaf]
        found[node] = max(known, default=place[node])
    return found


def _updates(graph: Graph) -> set[Node]:
    """Nodes on which at most three writes depend, and nothing else: Adam has three a variable."""
    readers = users(graph)
    fetched = {value.node for value in graph.outputs}
    writes: dict[Node, frozenset[Node] | None] = {}  # None: more, or something else
    for node in reversed(graph.nodes):
        reached: set[Node] = {node} if node.op.mutates else set()
        uses = {reader for value in node.outputs for reader, _ in readers.get(value, ())}
        further = [writes[reader] for reader in uses]
        for some in further:
            reached |= some or set()
        last = node in fetched or not reached or None in further or len(reached) > 3
        writes[node] = None if last else frozenset(reached)
    return {node for node, some in writes.items() if some is not None}


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


def _first_ready(
    graph: Graph, before: Mapping[Node, set[Node]], urgency: Mapping[Node, int]
) -> tuple[Node, ...]:
    """Kahn's algorithm; the most urgent ready node runs next, ties in graph order."""
    waiting = {node: len(before[node]) for node in graph.nodes}
    wakes: dict[Node, list[Node]] = {}
    for node in graph.nodes:
        for need in before[node]:
            wakes.setdefault(need, []).append(node)
    place = {node: at for at, node in enumerate(graph.nodes)}
    ready = [(urgency[node], place[node]) for node in graph.nodes if not waiting[node]]
    heapq.heapify(ready)
    schedule: list[Node] = []
    while ready:
        node = graph.nodes[heapq.heappop(ready)[1]]
        schedule.append(node)
        for woken in wakes.get(node, ()):
            waiting[woken] -= 1
            if not waiting[woken]:
                heapq.heappush(ready, (urgency[woken], place[woken]))
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
