"""Give buffers their place in one arena before anything runs. Layer: passes."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from tinyflow.errors import PassError
from tinyflow.ir import Fact, Graph, Value
from tinyflow.passes.infer import DTYPES, SHAPES
from tinyflow.passes.layout import STRIDES
from tinyflow.passes.order import SCHEDULE, size_bytes
from tinyflow.passes.storage import STORAGE, Kind

__all__ = [
    "PLAN", "STRATEGIES", "Interval", "MemoryPlan", "best_fit", "check_plan", "free_list",
    "greedy_by_area", "greedy_by_size", "lifetimes", "liveness", "lower_bound", "memory",
]  # fmt: skip

MANY = 2_000  # intervals above which quadratic strategies are left out


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
    intervals = tuple(liveness(graph))
    place = {value: i for i, item in enumerate(intervals) for value in item.values}
    bound, plans = lower_bound(intervals), list[MemoryPlan]()
    for name, strategy in STRATEGIES.items():
        if name.startswith("greedy") and len(intervals) > MANY:
            continue
        offsets = tuple(strategy(intervals))
        ends = (offset + item.size_bytes for offset, item in zip(offsets, intervals))
        plans.append(MemoryPlan(intervals, offsets, place, max(ends, default=0), bound, name))
        if plans[-1].arena_bytes == bound:
            break
    best = min(plans, key=lambda plan: plan.arena_bytes)
    check_plan(best)
    return graph.with_fact(PLAN, best)


def lifetimes(graph: Graph) -> list[Interval]:
    """For each buffer its steps: from the node that writes it to the last that reads it.

    Views extend the life of their owner; outputs of the graph live to the end. Sizes are rounded up
    to a cache line; what has no elements needs no place.
    """
    schedule, homes = graph.fact(SCHEDULE), graph.fact(STORAGE)
    first: dict[Value, int] = {}
    last: dict[Value, int] = {}
    for step, node in enumerate(schedule):
        for home in [homes[value] for value in (*node.outputs, *node.inputs)]:
            if home.kind is Kind.BUFFER:
                first.setdefault(home.owner, step)
                last[home.owner] = step
    last |= {homes[value].owner: len(schedule) for value in graph.outputs}
    sizes = {owner: size_bytes(graph, owner) for owner in first}
    return [Interval((v,), sizes[v], step, last[v]) for v, step in first.items() if sizes[v]]


def liveness(graph: Graph) -> list[Interval]:
    """Intervals of all storages, in the order they are first written.

    A result takes over the storage of an input that dies at this very node where the op allows it
    (``op.inplace``) and both have the same shape, dtype and strides: two intervals become one.
    """
    found: dict[Value, Interval] = {}  # by the owner that was written last
    for life in lifetimes(graph):
        source = _dying_input(graph, life, found)
        if source is not None:
            before = found.pop(source)
            values = (*before.values, *life.values)
            life = Interval(values, life.size_bytes, before.start, life.end)
        found[life.values[-1]] = life
    return sorted(found.values(), key=lambda item: item.start)


def _dying_input(graph: Graph, life: Interval, found: Mapping[Value, Interval]) -> Value | None:
    """The owner of an input whose storage the result ``life`` may take over, if there is one."""
    homes, shapes, dtypes = graph.fact(STORAGE), graph.fact(SHAPES), graph.fact(DTYPES)
    strides = graph.facts.get(STRIDES, {})
    (result,) = life.values
    node = result.node
    owners = [homes[value].owner for value in node.inputs]
    for position, output in node.op.inplace_pairs(node.attrs):
        if output != result.index or position >= len(owners):
            continue
        value, source = node.inputs[position], owners[position]
        dying = found.get(source)
        if dying is None or dying.end != life.start or owners.count(source) > 1:
            continue
        same = shapes[value] == shapes[result] and dtypes[value] is dtypes[result]
        same = same and strides.get(source) == strides.get(result)
        if same and dying.size_bytes == life.size_bytes:
            return source
    return None


def _timeline(intervals: Sequence[Interval]) -> Iterator[tuple[bool, int]]:
    """What happens in the course of time: (True, i) interval i is born, (False, i) it has died.

    What dies at a step is free at the next one.
    """
    births = [(item.start, True, i) for i, item in enumerate(intervals)]
    deaths = [(item.end + 1, False, i) for i, item in enumerate(intervals)]
    for _, born, index in sorted(births + deaths):
        yield born, index


def lower_bound(intervals: Sequence[Interval]) -> int:
    """Bytes live at the busiest step: no plan needs less."""
    sizes = (intervals[i].size_bytes * (1 if born else -1) for born, i in _timeline(intervals))
    return max(accumulate(sizes), default=0)


def greedy_by_size(intervals: Sequence[Interval]) -> list[int]:
    """Largest first. Source: Pisarchyk and Lee, Efficient memory management for deep neural net
    inference (2020), section 5.2.
    """
    return _tightest_gaps(intervals, lambda item: item.size_bytes)


def greedy_by_area(intervals: Sequence[Interval]) -> list[int]:
    """What is large or lives long first: most bytes times steps."""
    return _tightest_gaps(intervals, lambda item: item.size_bytes * (item.end + 1 - item.start))


def _tightest_gaps(intervals: Sequence[Interval], measure: Callable[[Interval], int]) -> list[int]:
    """In falling order of ``measure``, each into the tightest gap between those already placed that
    are live at the same time. Quadratic.
    """
    offsets = [0] * len(intervals)
    placed: list[tuple[int, int, int, int]] = []  # (offset, end offset, start, end), sorted
    for index in sorted(range(len(intervals)), key=lambda i: -measure(intervals[i])):
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
    top = 0
    for born, index in _timeline(intervals):
        wanted = intervals[index].size_bytes
        if not born:
            _release(free, offsets[index], wanted)
            continue
        fits = [(size, offset) for offset, size in free if size >= wanted]
        if fits:
            size, offset = min(fits)
            free.remove((offset, size))
            if size > wanted:
                insort(free, (offset + wanted, size - wanted))
        else:
            offset = top
            if free and sum(free[-1]) == top:  # grow the block at the end
                offset, _ = free.pop()
            top = offset + wanted
        offsets[index] = offset
    return offsets


def _release(free: list[tuple[int, int]], offset: int, size: int) -> None:
    """Add a block to the free ones, as one with those that it touches."""
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
    for born, index in _timeline(intervals):
        wanted, block = intervals[index].size_bytes, len(sizes)
        if not born:
            insort(free, (sizes[block_of[index]], block_of[index]))
            continue
        at = bisect_left(free, (wanted, -1))
        if at < len(free) and free[at][0] <= wanted * ratio:
            block = free.pop(at)[1]
        elif at and free[at - 1][0] * ratio >= wanted:
            block = free.pop(at - 1)[1]
            sizes[block] = wanted
        else:
            sizes.append(wanted)
        block_of[index] = block
    starts = [0, *accumulate(sizes)]
    return [starts[block] for block in block_of]


STRATEGIES: Mapping[str, Strategy] = {
    "best fit": best_fit,
    "greedy by size": greedy_by_size,
    "greedy by area": greedy_by_area,
    "free list": free_list,
}


def check_plan(plan: MemoryPlan) -> None:
    """Raise PassError if two storages that are live at the same step overlap; n log n."""
    live: list[tuple[int, int, int]] = []  # (offset, offset of its end, interval), sorted
    for born, index in _timeline(plan.intervals):
        offset, size = plan.offsets_bytes[index], plan.intervals[index].size_bytes
        at = bisect_left(live, (offset, offset + size, index))
        if not born:
            live.pop(at)
            continue
        live.insert(at, (offset, offset + size, index))
        for (_, end, below), (start, _, above) in pairwise(live[max(at - 1, 0) : at + 2]):
            if start < end:
                node, beside = (plan.intervals[i].values[0].node for i in (above, below))
                what = "two live storages overlap in the memory plan"
                got = f"offset {start}; {beside.where()} ends at {end}"
                raise PassError(what, node=node, got=got)
