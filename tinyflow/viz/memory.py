"""Draw a memory plan as a timeline: steps to the right, bytes of the arena upwards. Layer: viz.

    draw_memory(session.memory_plan())           one block per storage; below, what is live when

Rest the pointer on a block to read its name, its bytes and its steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

from tinyflow.ir import Graph, Node
from tinyflow.passes import MemoryPlan
from tinyflow.passes.memory import Interval
from tinyflow.viz.graph import backward_nodes
from tinyflow.viz.picture import FAINT, INK, Drawing, label, legend, rectangle, sheet, show_bytes

__all__ = ["draw_memory"]

WIDTH, ARENA, CURVE = 760.0, 380.0, 110.0  # pixels: both plots are as wide; heights
LEFT, TOP, GAP, SIDE = 86.0, 86.0, 40.0, 320.0
LARGEST = 10  # blocks with a number and a place in the list
_FORWARD = 'fill="#a9d3f2" stroke="#0072b2"'
_BACKWARD = 'fill="#f6c7a6" stroke="#d55e00"'
_FREE, _GRID = "#eceff3", "#d5dae1"
_LIVE = 'fill="#c9bde6" stroke="#5b3fa0" stroke-width="1.2"'
_BOUND = f'stroke="{INK}" stroke-width="1.2" stroke-dasharray="5 4"'
_LOOKS = {
    "forward": _FORWARD,
    "backward, update, computed again": _BACKWARD,
    "live": _LIVE,
    "idle": f'fill="{_FREE}" stroke="{_GRID}"',
    "lower bound of any plan": _BOUND,
}


def draw_memory(plan: MemoryPlan) -> Drawing:
    """The arena over the steps of the schedule, one block per storage at its offset.

    The curve below is the total of what is live; between it and the size of the arena is what lies
    idle at that step. The largest blocks are numbered and listed. A plan without storages says so.
    """
    title = f"Arena of {plan.arena_bytes:,} bytes"
    parts = [label(20, 30, title, 15, INK, "bold")]
    parts.append(label(20, 50, _placed(plan), 12, FAINT))
    if not plan.arena_bytes:
        nothing = "Nothing to place: all values live in feeds, variables and constants."
        return Drawing(sheet(620, 110, [*parts, label(20, 84, nothing, 12)]), str(plan))
    ranked = sorted(plan.intervals, key=lambda i: (-i.size_bytes, i.start - i.end))[:LARGEST]
    last = max(item.end for item in plan.intervals) + 1
    parts += [*_axes(plan, last), *_blocks(plan, ranked, last), *_curve(plan, last)]
    parts += [*_largest(ranked), *legend(LEFT, TOP + ARENA + GAP + CURVE + 54, _LOOKS)[0]]
    lines = [f"{show_bytes(i.size_bytes):>9}  steps {_steps(i):<10} {_name(i)}" for i in ranked]
    height = TOP + ARENA + GAP + CURVE + 84
    return Drawing(sheet(LEFT + WIDTH + SIDE, height, parts), "\n".join([str(plan), *lines]))


def _placed(plan: MemoryPlan) -> str:
    ratio = plan.arena_bytes / plan.bound_bytes if plan.bound_bytes else 1.0
    return (
        f"{len(plan.intervals):,} storages placed by {plan.strategy}; no plan needs less than "
        f"{plan.bound_bytes:,} bytes ({ratio:.3f} times that)"
    )


def _name(item: Interval) -> str:
    """What a storage holds, one result after another: ``matmul "fc1" → tanh``."""
    nodes = [value.node for value in item.values]
    names = [f'{n.op.name} "{n.name}"' if n.name else n.op.name for n in nodes]
    name = " → ".join(names)
    return name if len(name) <= 42 else name[:41] + "…"


def _steps(item: Interval) -> str:
    return f"{item.start} to {item.end}"


def _axes(plan: MemoryPlan, last: int) -> Iterator[str]:
    """Lines and numbers behind both plots."""
    for top, height, most in ((TOP, ARENA, 8), (TOP + ARENA + GAP, CURVE, 3)):
        yield rectangle(LEFT, top, WIDTH, height, f'fill="{_FREE}"')
        for size in _ticks(plan.arena_bytes, most):
            y = top + height * (1 - size / plan.arena_bytes)
            yield f'<path d="M{LEFT} {y:.1f}h{WIDTH}" stroke="{_GRID}"/>'
            yield label(LEFT - 8, y + 4, show_bytes(size), 10, FAINT, "end mono")
        for step in _ticks(last, 10):
            x = LEFT + WIDTH * step / last
            yield label(x, top + height + 15, str(step), 10, FAINT, "middle mono")
    yield label(LEFT, TOP - 8, "bytes of the arena", 11, FAINT)
    yield label(LEFT, TOP + ARENA + GAP - 8, "live at each step", 11, FAINT)
    y, words = TOP + ARENA + GAP + CURVE + 30, "step of the schedule"
    yield label(LEFT + WIDTH, y, words, 11, FAINT, "end")


def _ticks(limit: int, most: int) -> list[int]:
    """Round numbers from 0 to ``limit``, at most ``most`` + 1."""
    step = next(k * 10**e for e in range(18) for k in (1, 2, 5) if limit <= k * 10**e * most)
    return list(range(0, limit + 1, step))


def _blocks(plan: MemoryPlan, ranked: Sequence[Interval], last: int) -> Iterator[str]:
    backward = _backward(plan.intervals)
    rank = {item.values: str(i) for i, item in enumerate(ranked, 1)}
    for item, offset in zip(plan.intervals, plan.offsets_bytes):
        x, width = LEFT + WIDTH * item.start / last, WIDTH * (item.end + 1 - item.start) / last
        height = ARENA * item.size_bytes / plan.arena_bytes
        y = TOP + ARENA * (1 - offset / plan.arena_bytes) - height
        look = _BACKWARD if item.values[0].node in backward else _FORWARD
        line = min(1.0, width / 6, height / 4)
        tip = f"{_name(item)}\n{item.size_bytes:,} bytes at {offset:,}, steps {_steps(item)}"
        yield rectangle(x, y, width, height, f'{look} stroke-width="{line:.2f}"', tip)
        number, name = rank.get(item.values, ""), _name(item)
        words = f"{number} {name}".strip()
        words = words if 6.3 * len(words) + 8 < width else number
        if 6.3 * len(words) + 5 < width and height >= 13:
            yield label(x + 4, y + min(height / 2 + 4, 15), words, 10, INK)


def _backward(intervals: Sequence[Interval]) -> set[Node]:
    """Nodes that the results of the run, which live to its end, do not need."""
    everything = Graph(tuple(item.values[-1] for item in intervals))
    end = max(item.end for item in intervals)
    results = Graph(tuple(item.values[-1] for item in intervals if item.end == end))
    return set(everything.nodes) - set(results.nodes) | backward_nodes(everything)


def _curve(plan: MemoryPlan, last: int) -> Iterator[str]:
    """The bytes that are live at each step, and the lower bound."""
    change = [0] * (last + 1)
    for item in plan.intervals:
        change[item.start] += item.size_bytes
        change[item.end + 1] -= item.size_bytes
    live = list(accumulate(change))[:last]
    bottom, unit = TOP + ARENA + GAP + CURVE, WIDTH / last
    path = "".join(f"V{bottom - CURVE * size / plan.arena_bytes:.1f}h{unit:.3f}" for size in live)
    yield f'<path d="M{LEFT} {bottom}{path}V{bottom}" {_LIVE}/>'
    y = bottom - CURVE * plan.bound_bytes / plan.arena_bytes
    yield f'<path d="M{LEFT} {y:.1f}h{WIDTH}" {_BOUND}/>'
    busiest = max(range(last), key=live.__getitem__)
    idle = 100 * (1 - sum(live) / (last * plan.arena_bytes))
    facts = (
        f"busiest: step {busiest}, {show_bytes(live[busiest])}",
        f"idle there: {show_bytes(plan.arena_bytes - live[busiest])}",
        f"idle on average: {idle:.0f} %",
    )
    for i, fact in enumerate(facts):
        yield label(LEFT + WIDTH + 20, TOP + ARENA + GAP + 14 + 17 * i, fact, 11, INK)


def _largest(ranked: Sequence[Interval]) -> Iterator[str]:
    x = LEFT + WIDTH + 20
    yield label(x, TOP + 4, "Largest storages", 12, INK, "bold")
    for i, item in enumerate(ranked):
        y = TOP + 26 + 34 * i
        yield label(x, y, f"{i + 1}", 11, INK, "bold")
        yield label(x + 20, y, _name(item), 11, INK)
        facts = f"{show_bytes(item.size_bytes)}, steps {_steps(item)}"
        yield label(x + 20, y + 14, facts, 10, FAINT, "mono")
