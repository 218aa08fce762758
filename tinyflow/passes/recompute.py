"""Trade time for memory: compute values again instead of keeping them. Layer: passes.

Between the forward and the backward half of a training step every activation waits for its reader.
At the step where most bytes wait, some of those values are kept and the others are dropped; their
later readers get clones, computed from what was kept. Random ops repeat their numbers in a clone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Mapping, Sequence

from tinyflow import ops
from tinyflow.ir import Graph, Node, Value, users
from tinyflow.passes.infer import DTYPES, SHAPES, add_types, carry_types
from tinyflow.passes.order import SCHEDULE, live_bytes
from tinyflow.types import is_static

__all__ = [
    "busiest_step",
    "checkpoint",
    "keep_costly",
    "keep_some",
    "recompute",
    "root_of",
    "waiting_values",
]

Choice = Callable[[Sequence[Value]], set[Value]]
_COSTLY = frozenset({"matmul", "batch_matmul", "gemm", "linear", "conv2d", "embedding"})


def recompute(graph: Graph, choose: Choice | None = None) -> Graph:
    """Drop what is cheap to compute again: all but the results of products and convolutions.

    ``choose`` picks from the waiting values, in order, those to keep. Needs static shapes; a graph
    with unknown ones stays as it is. Results stay bit for bit the same.
    Source: Chen, Xu, Zhang and Guestrin, Training deep nets with sublinear memory cost (2016).
    """
    shapes = graph.fact(SHAPES)
    if not all(
        is_static(shapes[v]) for n in graph.nodes for v in n.outputs if n.op is not ops.group
    ):
        return graph
    turn = busiest_step(graph)
    waiting = waiting_values(graph, turn)
    kept = (choose or keep_costly)(waiting)
    dropped = [value for value in waiting if value not in kept]
    return _Mirror(graph, turn, dropped).graph() if dropped else graph


def checkpoint(graph: Graph) -> Graph:
    """Keep about √N of N waiting values; each stretch between two of them is computed twice.

    N layers need memory for O(√N) activations and one more forward pass.
    """
    return recompute(graph, keep_some)


def keep_costly(waiting: Sequence[Value]) -> set[Value]:
    """Keep products and convolutions, and what could only be made again from one that is gone."""
    kept: set[Value] = set()
    cheap: dict[Value, bool] = {}  # can it be made from kept values without costly ops?
    for value in waiting:
        if not _is_cheap(value, kept, cheap):
            kept.add(value)
    return kept


def _is_cheap(value: Value, kept: set[Value], cheap: dict[Value, bool]) -> bool:
    stack = [value]
    while stack:
        top = stack[-1]
        node = top.node
        if node.op.leaf or top in kept:
            cheap[top] = True
        elif node.op.name in _COSTLY or _stays(node):
            return False
        missing = [] if top in cheap else [v for v in node.inputs if v not in cheap]
        stack += missing
        if not missing:
            cheap[stack.pop()] = True
    return True


def keep_some(waiting: Sequence[Value]) -> set[Value]:
    """Every √N-th of N values, and the last one."""
    stride = max(1, math.isqrt(len(waiting)))
    return set(waiting[stride - 1 :: stride]) | set(waiting[-1:])


def _schedule(graph: Graph) -> tuple[Node, ...]:
    return graph.fact(SCHEDULE)


def _last_reads(graph: Graph) -> dict[Value, int]:
    """Position of the last reader of each value; outputs are read after the end."""
    place = {node: at for at, node in enumerate(_schedule(graph))}
    found = {value: max(place[r] for r, _ in uses) for value, uses in users(graph).items()}
    return found | dict.fromkeys(graph.outputs, len(graph.nodes))


def busiest_step(graph: Graph) -> int:
    """Position in SCHEDULE of the node at which most bytes wait."""
    live = live_bytes(graph, _schedule(graph))
    return live.index(max(live)) if live else 0


def waiting_values(graph: Graph, turn: int) -> list[Value]:
    """Values that exist at step ``turn`` for later readers, in the order they are made.

    A view counts as what it shows. Leaves take no memory; writes, and ops that can fail, must not
    run twice.
    """
    schedule, last = _schedule(graph), _last_reads(graph)
    place = {node: at for at, node in enumerate(schedule)}
    made = [value for node in schedule[: turn + 1] for value in node.outputs]
    read = [value for value in made if turn < last.get(value, 0) < len(graph.nodes)]
    roots = dict.fromkeys(root_of(value) for value in read)
    fetched = {root_of(value) for value in graph.outputs}
    found = [root for root in roots if not _stays(root.node) and root not in fetched]
    return sorted(found, key=lambda value: (place[value.node], value.index))


def root_of(value: Value) -> Value:
    """What a view shows; the value itself if it is none."""
    while value.node.op.aliases and not value.node.op.mutates:
        value = value.node.inputs[0]
    return value


def _stays(node: Node) -> bool:
    return bool(node.op.leaf or node.op.mutates or node.op.can_fail or node.op is ops.group)


class _Mirror:
    """Rebuild a graph so that readers after ``turn`` see clones of the dropped values."""

    def __init__(self, graph: Graph, turn: int, dropped: Sequence[Value]) -> None:
        self.old, self.turn = graph, turn
        self.schedule = _schedule(graph)
        self.place = {node: at for at, node in enumerate(self.schedule)}
        waiting = set(waiting_values(graph, turn))
        self.kept = waiting - set(dropped)
        self.dropped = set(dropped)
        self.new: dict[Value, Value] = {
            value: value for node in self.schedule[: turn + 1] for value in node.outputs
        }
        self.clones: dict[Node, Node] = {}

    def graph(self) -> Graph:
        """The graph with clones; types are those of the originals."""
        moved: dict[Node, Node] = {node: node for node in self.schedule[: self.turn + 1]}
        for node in self.schedule[self.turn + 1 :]:
            inputs = tuple(self._input(node, value) for value in node.inputs)
            made = node.with_inputs(inputs, tuple(moved[need] for need in node.after))
            moved[node] = made
            self.new.update(zip(node.outputs, made.outputs))
        outputs = tuple(self._follow(value) for value in self.old.outputs)
        graph = carry_types(self.old, Graph(outputs), self.new)
        shapes, dtypes = self.old.fact(SHAPES), self.old.fact(DTYPES)
        twins = self._twins(set(graph.nodes))
        return add_types(
            graph,
            {clone: shapes[value] for clone, value in twins.items()},
            {clone: dtypes[value] for clone, value in twins.items()},
        )

    def _twins(self, present: Container[Node]) -> Mapping[Value, Value]:
        """clone -> original, for the clones that are used."""
        pairs = [(node, copy) for node, copy in self.clones.items() if copy in present]
        return {c: v for node, copy in pairs for v, c in zip(node.outputs, copy.outputs)}

    def _follow(self, value: Value) -> Value:
        other = self.new[value]
        return value if other.node is value.node else other

    def _input(self, reader: Node, value: Value) -> Value:
        if root_of(value) not in self.dropped or self.place[value.node] > self.turn:
            return self._follow(value)
        self._clone(value.node, self._not_before(reader))
        return Value(self.clones[value.node], value.index)

    def _not_before(self, reader: Node) -> tuple[Node, ...]:
        """What the first reader waits for anyway: clones that run earlier would wait with it."""
        late = [v.node for v in reader.inputs if self.place[v.node] > self.turn]
        late = [node for node in late if not node.op.leaf]
        if not late:
            return ()
        latest = max(late, key=lambda node: self.place[node])
        return (self.new[Value(latest)].node,)

    def _clone(self, root: Node, after: tuple[Node, ...]) -> None:
        """Copy ``root`` and what it needs, back to kept values and leaves; iterative."""
        stack = [root]
        while stack:
            node = stack[-1]
            needs = [v.node for v in node.inputs if self._is_gone(v)]
            missing = [need for need in needs if need not in self.clones]
            if missing:
                stack += missing
                continue
            stack.pop()
            if node not in self.clones:
                wait = () if needs else after  # only where the stretch begins
                self.clones[node] = _copy(node, self._clone_inputs(node), wait)

    def _is_gone(self, value: Value) -> bool:
        """True for what has to be computed again to be read after the turn."""
        return not (_stays(value.node) or value in self.kept)

    def _clone_inputs(self, node: Node) -> tuple[Value, ...]:
        return tuple(
            Value(self.clones[v.node], v.index) if self._is_gone(v) else v for v in node.inputs
        )


def _copy(node: Node, inputs: tuple[Value, ...], after: tuple[Node, ...]) -> Node:
    """A node of its own that does the same on other inputs."""
    name = f"{node.name}_again" if node.name else None
    return Node(node.op, inputs, node.attrs, name, after, node.device, node.source)
