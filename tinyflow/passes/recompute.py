"""Trade time for memory: compute values again instead of keeping them. Layer: passes.

Between the forward and the backward half of a training step every activation waits for its reader.
At the step where most bytes wait, some of those values are kept and the others are dropped; their
later readers get clones, computed from what was kept. Random ops repeat their numbers in a clone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import accumulate

from tinyflow import ops
from tinyflow.ir import Graph, Node, Value, rewrite, topological_order
from tinyflow.passes.infer import SHAPES, carry_types
from tinyflow.passes.memory import Interval, lifetimes
from tinyflow.passes.order import SCHEDULE, after_writes, dependencies
from tinyflow.passes.storage import STORAGE
from tinyflow.types import is_static

__all__ = ["busiest_step", "checkpoint", "keep_costly", "keep_some", "recompute", "waiting_values"]

Choice = Callable[[Sequence[Value]], set[Value]]
_COSTLY = frozenset({"matmul", "batch_matmul", "gemm", "linear", "conv2d", "embedding"})


def recompute(graph: Graph, choose: Choice | None = None) -> Graph:
    """Drop what is cheap to compute again: all but the results of products and convolutions.

    ``choose`` picks from the waiting values, in order, those to keep. Needs static shapes; a graph
    with unknown ones stays as it is. Results stay bit for bit the same.
    Source: Chen, Xu, Zhang and Guestrin, Training deep nets with sublinear memory cost (2016).
    """
    shapes, lives = graph.fact(SHAPES), lifetimes(graph)
    results = (v for node in graph.nodes for v in node.outputs if node.op is not ops.group)
    if not all(is_static(shapes[value]) for value in results):
        return graph
    turn = busiest_step(lives)
    waiting = waiting_values(graph, lives, turn)
    kept = (choose or keep_costly)(waiting)
    dropped = set(waiting) - kept
    return _Mirror(graph, turn, kept, dropped).mirrored() if dropped else graph


def checkpoint(graph: Graph) -> Graph:
    """Keep about √N of N waiting values; each stretch between two of them is computed twice.

    N layers need memory for O(√N) activations and one more forward pass.
    """
    return recompute(graph, keep_some)


def keep_costly(waiting: Sequence[Value]) -> set[Value]:
    """Keep products and convolutions, and what could only be made again from one that is gone."""
    kept: set[Value] = set()
    cheap: set[Node] = set()  # can be made from kept values without costly ops

    def costly(node: Node) -> bool:
        return not node.op.leaf and (node.op.name in _COSTLY or _stays(node))

    def needs(node: Node) -> list[Node]:
        inputs = [] if costly(node) else node.inputs
        return [value.node for value in inputs if value not in kept and value.node not in cheap]

    for value in waiting:
        again = topological_order([value.node], needs)
        if any(costly(node) for node in again):
            kept.add(value)
        else:
            cheap.update(again)
    return kept


def keep_some(waiting: Sequence[Value]) -> set[Value]:
    """Every √N-th of N values, and the last one."""
    stride = max(1, math.isqrt(len(waiting)))
    return set(waiting[stride - 1 :: stride]) | set(waiting[-1:])


def busiest_step(lives: Sequence[Interval]) -> int:
    """The first step of the schedule after which most bytes wait for later readers."""
    change = [0] * (1 + max((life.end for life in lives), default=0))
    for life in lives:
        change[life.start] += life.size_bytes
        change[life.end] -= life.size_bytes
    waiting = list(accumulate(change))
    return waiting.index(max(waiting))


def waiting_values(graph: Graph, lives: Sequence[Interval], turn: int) -> list[Value]:
    """Values that exist at step ``turn`` for later readers, in the order they are made.

    What the very next node reads last is not waiting, and what is fetched stays to the end anyway.
    Leaves take no memory; writes, and ops that can fail, must not run twice.
    """
    end = len(graph.fact(SCHEDULE))
    waiting = [life for life in lives if life.start <= turn and turn + 1 < life.end < end]
    return [life.values[0] for life in waiting if not _stays(life.values[0].node)]


def _stays(node: Node) -> bool:
    return bool(node.op.leaf or node.op.mutates or node.op.can_fail or node.op is ops.group)


class _Mirror:
    """Rebuild a graph so that readers after ``turn`` see clones of the dropped values."""

    def __init__(self, graph: Graph, turn: int, kept: set[Value], dropped: set[Value]) -> None:
        self.graph, self.turn, self.kept, self.dropped = graph, turn, kept, dropped
        self.homes = graph.fact(STORAGE)
        schedule = graph.fact(SCHEDULE)
        self.place = {node: at for at, node in enumerate(schedule)}
        self.after_writes = after_writes(dependencies(graph))
        self.clones: dict[Value, Value] = {}

    def mirrored(self) -> Graph:
        """The graph with clones; types are those of the originals."""
        graph, new = rewrite(self.graph, self._read_clones)
        return carry_types(self.graph, graph, new, self.clones)

    def _read_clones(self, node: Node, inputs: tuple[Value, ...]) -> Sequence[Value] | None:
        """Rule: a reader after the turn gets clones of what is dropped, or a view of that.

        Not if it follows a write: the clones may need what the variable held before.
        """
        if self._is_early(node) or node in self.after_writes:
            return None
        after = self._not_before(node, inputs)
        pairs = zip(node.inputs, inputs)
        reads = (self._clone(old, after) if self._is_dropped(old) else new for old, new in pairs)
        return node.with_inputs(tuple(reads)).outputs

    def _is_early(self, node: Node) -> bool:
        return self.place[node] <= self.turn

    def _is_dropped(self, value: Value) -> bool:
        return self._is_early(value.node) and self.homes[value].owner in self.dropped

    def _not_before(self, reader: Node, inputs: tuple[Value, ...]) -> tuple[Node, ...]:
        """What the first reader waits for anyway: clones that run earlier would wait with it."""
        late = {
            self.place[old.node]: new.node
            for old, new in zip(reader.inputs, inputs)
            if not (self._is_early(old.node) or old.node.op.leaf)
        }
        return (late[max(late)],) if late else ()

    def _clone(self, value: Value, after: tuple[Node, ...]) -> Value:
        """Copy what makes ``value``, back to kept values and leaves."""
        missing = [] if value in self.clones else [value.node]
        for node in topological_order(missing, self._missing):
            inputs = tuple(self.clones[v] if self._is_gone(v) else v for v in node.inputs)
            wait = after if inputs == node.inputs else ()  # only where the stretch begins
            name = f"{node.name}_again" if node.name else None
            again = Node(node.op, inputs, node.attrs, name, wait, node.device, node.source)
            self.clones.update(zip(node.outputs, again.outputs))
        return self.clones[value]

    def _missing(self, node: Node) -> list[Node]:
        return [v.node for v in node.inputs if self._is_gone(v) and v not in self.clones]

    def _is_gone(self, value: Value) -> bool:
        """True for what has to be computed again to be read after the turn."""
        return not (_stays(value.node) or value in self.kept)
