"""Give buffers their place in one arena before anything runs. Layer: passes."""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from tinyflow.errors import PassError
from tinyflow.ir import Fact, Graph, Node, Value
from tinyflow.passes.infer import DTYPES, SHAPES
from tinyflow.passes.layout import STRIDES
from tinyflow.passes.order import SCHEDULE
from tinyflow.passes.storage import STORAGE, Kind
from tinyflow.types import elements

__all__ = [
    "PLAN", "STRATEGIES", "Interval", "MemoryPlan", "best_fit", "check_plan", "free_list",
    "greedy_by_size", "liveness", "lower_bound", "memory",
]  # fmt: skip

ALIGNMENT_BYTES = 64  # a cache line, and the widest vector register
MANY = 2_000  # intervals above which the quadratic strategy is left out


@dataclass(frozen=True, slots=True)
class Interval:
    """A storage of ``size_bytes`` > 0, live from step ``start`` to step ``end``, both included.

    ``values`` are the owners that share it: one, or a chain of in-place results.
    """

    values: tuple[Value, ...]
    size_bytes: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Where each storage lies in the arena.

    ``offsets_bytes[i]`` belongs to ``intervals[i]``; ``place`` maps each owner to its interval;
    ``bound_bytes`` is what any plan for these intervals needs at least.
    """

    intervals: tuple[Interval, ...]
    offsets_bytes: tuple[int, ...]
    place: Mapping[Value, int]
    arena_bytes: int
    bound_bytes: int
    strategy: str

    def __str__(self) -> str:
        ratio = self.arena_bytes / self.bound_bytes if self.bound_bytes else 1.0
        return (
            f"{len(self.intervals)} storages in {self.arena_bytes} bytes by {self.strategy}; "
            f"at least {self.bound_bytes} needed ({ratio:.3f})"
        )


PLAN: Fact[MemoryPlan] = Fact("memory plan")
Strategy = Callable[[Sequence[Interval]], list[int]]


def memory(graph: Graph) -> Graph:
    """Provide PLAN: the smallest arena that the strategies find.

    Raises PassError if a strategy lets two live storages overlap.
    """
    intervals = liveness(graph)
    bound = lower_bound(intervals)
    plans: list[MemoryPlan] = []
    for name, strategy in STRATEGIES.items():
        if name == "greedy by size" and len(intervals) > MANY:
            continue
        plans.append(_plan(name, intervals, strategy(intervals), bound))
        if plans[-1].arena_bytes == bound:
            break
    best = min(plans, key=lambda plan: plan.arena_bytes)
    check_plan(best)
    return graph.with_fact(PLAN, best)


def _plan(
    name: str, intervals: Sequence[Interval], offsets: Sequence[int], bound: int
) -> MemoryPlan:
    ends = [offset + item.size_bytes for offset, item in zip(offsets, intervals)]
    place = {value: i for i, item in enumerate(intervals) for value in item.values}
    return MemoryPlan(tuple(intervals), tuple(offsets), place, max(ends, default=0), bound, name)


def liveness(graph: Graph) -> list[Interval]:
    """Intervals of all buffers: from the node that writes them to the last that reads them.

    Views extend the life of their owner; outputs of the graph live to the end. A result takes over
    the storage of an input that dies at this very node where the op allows it (``op.inplace``) and
    both have the same shape and dtype. Sizes are rounded up to a cache line.
    """
    schedule, homes = graph.fact(SCHEDULE), graph.fact(STORAGE)
    first: dict[Value, int] = {}
    last: dict[Value, int] = {}
    for step, node in enumerate(schedule):
        for value in (*node.outputs, *node.inputs):
            home = homes[value]
            if home.kind is Kind.BUFFER and home.owner.node.op.name != "group":
                first.setdefault(home.owner, step)
                last[home.owner] = step
    for value in graph.outputs:
        if homes[value].owner in last:
            last[homes[value].owner] = len(schedule)
    chains = _in_place_chains(graph, first, last)
    return [
        Interval(chain, _size_bytes(graph, chain[0]), first[chain[0]], last[chain[-1]])
        for chain in chains
        if _size_bytes(graph, chain[0])  # what has no elements needs no place
    ]


def _in_place_chains(
    graph: Graph, first: Mapping[Value, int], last: Mapping[Value, int]
) -> list[tuple[Value, ...]]:
    """Owners in the order they are written, results joined to the input they replace."""
    chain_of: dict[Value, list[Value]] = {}
    chains: list[list[Value]] = []
    for owner, step in first.items():
        source = _dying_input(graph, owner, step, first, last)
        if source is not None and chain_of[source][-1] == source:
            chain_of[owner] = chain_of[source]
            chain_of[owner].append(owner)
        else:
            chain_of[owner] = [owner]
            chains.append(chain_of[owner])
    return [tuple(chain) for chain in chains]


def _dying_input(
    graph: Graph, owner: Value, step: int, first: Mapping[Value, int], last: Mapping[Value, int]
) -> Value | None:
    homes, shapes, dtypes = graph.fact(STORAGE), graph.fact(SHAPES), graph.fact(DTYPES)
    strides = graph.facts.get(STRIDES, {})
    node: Node = owner.node
    for position, output in node.op.inplace_pairs(node.attrs):
        if output != owner.index or position >= len(node.inputs):
            continue
        value = node.inputs[position]
        source = homes[value].owner
        alone = sum(homes[other].owner == source for other in node.inputs) == 1
        same = shapes[value] == shapes[owner] and dtypes[value] is dtypes[owner]
        same = same and strides.get(source) == strides.get(owner)
        if source in first and last[source] == step and alone and same:
            if _size_bytes(graph, source) == _size_bytes(graph, owner):
                return source
    return None


def _size_bytes(graph: Graph, value: Value) -> int:
    dtype = graph.fact(DTYPES)[value]
    size = elements(graph.fact(SHAPES)[value]) * (dtype.itemsize if dtype else 0)
    return -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def lower_bound(intervals: Sequence[Interval]) -> int:
    """Bytes live at the busiest step: no plan needs less."""
    change: dict[int, int] = {}
    for item in intervals:
        change[item.start] = change.get(item.start, 0) + item.size_bytes
        change[item.end + 1] = change.get(item.end + 1, 0) - item.size_bytes
    live = most = 0
    for step in sorted(change):
        live += change[step]
        most = max(most, live)
    return most


def greedy_by_size(intervals: Sequence[Interval]) -> list[int]:
    """Largest first, each into the tightest gap between those that are live at the same time.

    Quadratic. Source: Pisarchyk and Lee, Efficient memory management for deep neural net
    inference (2020), section 5.2.
    """
    offsets = [0] * len(intervals)
    placed: list[tuple[int, int, int, int]] = []  # (offset, end offset, start, end), sorted
    for index in sorted(range(len(intervals)), key=lambda i: -intervals[i].size_bytes):
        item = intervals[index]
        best, best_gap, top = None, None, 0
        for offset, end_offset, start, end in placed:
            if start > item.end or end < item.start:
                continue
            gap = offset - top
            if gap >= item.size_bytes and (best_gap is None or gap < best_gap):
                best, best_gap = top, gap
            top = max(top, end_offset)
        offsets[index] = top if best is None else best
        insort(placed, (offsets[index], offsets[index] + item.size_bytes, item.start, item.end))
    return offsets


def best_fit(intervals: Sequence[Interval]) -> list[int]:
    """In the order of time, each into the smallest free block; neighbours merge when freed."""
    offsets = [0] * len(intervals)
    free: list[tuple[int, int]] = []  # (offset, size), sorted by offset
    dying: list[tuple[int, int]] = []
    top = 0
    for index in sorted(range(len(intervals)), key=lambda i: intervals[i].start):
        item = intervals[index]
        while dying and dying[0][0] < item.start:
            dead = heapq.heappop(dying)[1]
            _release(free, offsets[dead], intervals[dead].size_bytes)
        fits = [(size, offset) for offset, size in free if size >= item.size_bytes]
        if fits:
            size, offset = min(fits)
            free.remove((offset, size))
            if size > item.size_bytes:
                insort(free, (offset + item.size_bytes, size - item.size_bytes))
        else:
            offset = top
            if free and free[-1][0] + free[-1][1] == top:  # grow the block at the end
                offset, _ = free.pop()
            top = offset + item.size_bytes
        offsets[index] = offset
        heapq.heappush(dying, (item.end, index))
    return offsets


def _release(free: list[tuple[int, int]], offset: int, size: int) -> None:
    at = bisect_left(free, (offset, 0))
    if at < len(free) and offset + size == free[at][0]:
        size += free.pop(at)[1]
    if at and sum(free[at - 1]) == offset:
        offset, before = free.pop(at - 1)
        size += before
    insort(free, (offset, size))


def free_list(intervals: Sequence[Interval], ratio: int = 16) -> list[int]:
    """NNVM's allocator: whole blocks are reused if their size is within ``ratio`` of the request.

    Blocks never split or merge; a block grows to the largest request it served. Source: NNVM,
    PlanMemory pass (``match_range`` 16).
    """
    block_of = [0] * len(intervals)
    sizes: list[int] = []
    free: list[tuple[int, int]] = []  # (size, block), sorted
    dying: list[tuple[int, int]] = []
    for index in sorted(range(len(intervals)), key=lambda i: intervals[i].start):
        item = intervals[index]
        while dying and dying[0][0] < item.start:
            block = block_of[heapq.heappop(dying)[1]]
            insort(free, (sizes[block], block))
        at = bisect_left(free, (item.size_bytes, -1))
        if at < len(free) and free[at][0] <= item.size_bytes * ratio:
            block = free.pop(at)[1]
        elif at and free[at - 1][0] * ratio >= item.size_bytes:
            block = free.pop(at - 1)[1]
            sizes[block] = item.size_bytes
        else:
            block = len(sizes)
            sizes.append(item.size_bytes)
        block_of[index] = block
        heapq.heappush(dying, (item.end, index))
    starts = [0, *accumulate(sizes)]
    return [starts[block] for block in block_of]


STRATEGIES: Mapping[str, Strategy] = {
    "best fit": best_fit,
    "greedy by size": greedy_by_size,
    "free list": free_list,
}


def check_plan(plan: MemoryPlan) -> None:
    """Raise PassError if two storages that are live at the same step overlap; n log n."""
    events = sorted(
        [(item.start, 1, i) for i, item in enumerate(plan.intervals)]
        + [(item.end + 1, 0, i) for i, item in enumerate(plan.intervals)]
    )
    live: list[tuple[int, int]] = []  # (offset, interval), sorted
    for _, born, index in events:
        item, offset = plan.intervals[index], plan.offsets_bytes[index]
        at = bisect_left(live, (offset, index))
        if not born:
            live.pop(at)
            continue
        before = live[at - 1][1] if at else None
        after = live[at][1] if at < len(live) else None
        for other in (before, after):
            if other is not None and _overlap(plan, index, other):
                raise PassError(
                    "two live storages overlap in the memory plan",
                    node=item.values[0].node,
                    got=f"offset {offset}, {item.size_bytes} bytes, beside "
                    f"{plan.intervals[other].values[0].node.where()}",
                )
        insort(live, (offset, index))


def _overlap(plan: MemoryPlan, a: int, b: int) -> bool:
    start_a, start_b = plan.offsets_bytes[a], plan.offsets_bytes[b]
    size_a, size_b = plan.intervals[a].size_bytes, plan.intervals[b].size_bytes
    return start_a < start_b + size_b and start_b < start_a + size_a
