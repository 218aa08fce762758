"""Group ops that one kernel can compute together. Layer: passes.

A chain of elementwise ops spends its time carrying arrays to and from memory. A group reads each
input once and writes only what others need. ``fused`` nodes hold their group as a graph of its own,
so that scheduling, planning and printing need to know nothing about fusion.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice

from tinyflow import ops
from tinyflow.ir import Graph, Node, Value, rewrite, users
from tinyflow.ops.rules import normal_axes
from tinyflow.passes.infer import DTYPES, SHAPES, carry_types
from tinyflow.passes.order import dependencies
from tinyflow.types import DType, elements, is_static

__all__ = ["Group", "Level", "forward_assigned", "fuse", "group_body", "grow_groups"]

MOST_INPUTS = 24  # more would spill registers
_FEW = 6  # how far back to look for what a group may take in
MOST_NODES = 64  # compilers take more than linear time
_REDUCTIONS = (ops.reduce_sum, ops.reduce_mean, ops.reduce_max)
_MOVES = (ops.reshape, ops.broadcast_to)
_COSTLY = (ops.exp, ops.tanh, ops.sigmoid, ops.erf, ops.gelu, ops.gelu_grad)
_READ = {DType.bool, DType.int32, DType.int64}  # what comparisons and casts read besides


def _may_fuse(node: Node) -> bool:
    return bool(node.op.expr) or node.op in _REDUCTIONS or node.op in _MOVES


class Level(Enum):
    """How much of the iteration space (rows, columns) a value of a group covers."""

    FULL = "one element per row and column"
    ROW = "one element per row"
    COLUMN = "one element per column, the same in each row"
    SCALAR = "one element"
    RESULT = "known only when all rows are done: only what is computed at the end may read it"


def fuse(graph: Graph) -> Graph:
    """Replace groups of elementwise, broadcast and trailing-reduction ops by ``fused`` nodes.

    Needs static shapes; nodes whose shapes are not known stay as they are. Groups are grown while
    scheduling, so no path leaves a group and comes back: the result has no cycle. Linear in edges.
    """
    graph = forward_assigned(graph)
    return _with_fused_nodes(graph, grow_groups(graph))


def forward_assigned(graph: Graph) -> Graph:
    """Let readers of ``assign(W, y)`` read y itself where both have the same type.

    The value is the same, and the reader no longer waits for the write: the averages of an
    optimiser and the step that uses them can be computed in one go.
    """
    shapes, dtypes = graph.fact(SHAPES), graph.fact(DTYPES)
    if not any(v.node.op is ops.assign for node in graph.nodes for v in node.inputs):
        return graph
    stay = {need for node in graph.nodes for need in node.after}  # a write must not fall away
    stay.update(value.node for value in graph.outputs)

    def source(old: Value, new: Value) -> Value:
        node = old.node
        if node.op is not ops.assign or node not in stay:
            return new
        y = node.inputs[1]
        same = shapes[y] == shapes[old] and dtypes[y] is dtypes[old]
        return new.node.inputs[1] if same and y.node.op is not ops.variable else new

    def rule(node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...] | None:
        read = tuple(
            new if position in node.op.mutates else source(old, new)
            for position, (old, new) in enumerate(zip(node.inputs, inputs))
        )
        return None if read == inputs else node.with_inputs(read, ()).outputs

    return carry_types(graph, *rewrite(graph, rule))


@dataclass(slots=True)
class Group:
    """Nodes that are computed in one sweep over ``space``, and the level of each of their values.

    The last axis of the space holds its columns; all axes before it its rows.
    """

    graph: Graph
    space: tuple[int, ...]
    dtype: DType | None
    nodes: list[Node] = field(default_factory=list)
    levels: dict[Value, Level] = field(default_factory=dict)
    inputs: dict[tuple[Value, int], None] = field(default_factory=dict)

    def level(self, node: Node) -> Level | None:
        """The level that the result of ``node`` would have in this group; None: it does not fit."""
        y = Value(node)
        shapes, dtypes = self.graph.fact(SHAPES), self.graph.fact(DTYPES)
        if node.after or len(node.outputs) != 1 or not is_static(shapes[y]):
            return None
        if len(self.nodes) >= MOST_NODES:
            return None
        results = {shapes[v] for v, level in self.levels.items() if level is Level.RESULT}
        if any(self.levels.get(value) is Level.RESULT for value in node.inputs) or (
            shapes[y] in results and shapes[y] != self.space and node.op.expr
        ):
            found = self._final_level(node)
        elif node.op in _REDUCTIONS:
            found = self._reduction_level(node)
        elif node.op in _MOVES or node.op.expr:
            found = self._result_level(node)
        else:
            return None
        external = {v for v in node.inputs if v not in self.levels and elements(shapes[v]) != 1}
        if len(self.inputs) + len(external) > MOST_INPUTS:
            return None
        kinds = {dtypes[value] for value in node.inputs}
        read = _READ if node.op is ops.cast or dtypes[y] is DType.bool else {DType.bool}
        made = {self.dtype, DType.bool}
        if node.op in _MOVES:
            read, made = _READ, made | _READ
        fits = kinds <= {self.dtype} | read and dtypes[y] in made
        return found if fits else None

    def _result_level(self, node: Node) -> Level | None:
        """Elementwise ops and moves: the level is that of their shape."""
        shape = self.graph.fact(SHAPES)[Value(node)]
        levels = [self._operand_level(value) for value in node.inputs]
        if shape == self.space:
            moved = node.op is ops.reshape and levels != [Level.FULL]
            return None if None in levels or moved else Level.FULL
        if node.op is ops.reshape and self._is_row(node):
            return Level.ROW
        rows = {self.space[:-1], (*self.space[:-1], 1)}
        inside = [self.levels.get(value) for value in node.inputs]
        if shape not in rows or Level.ROW not in inside or len(self.space) < 2:
            return None
        plain = all(
            level is Level.ROW or self.graph.fact(SHAPES)[value] in (shape, ())
            for value, level in zip(node.inputs, inside)
        )
        return Level.ROW if plain and Level.FULL not in inside else None

    def _is_row(self, node: Node) -> bool:
        """True for a number per row from outside, laid beside the columns: (n,) -> (n, 1)."""
        shapes, x = self.graph.fact(SHAPES), node.inputs[0]
        row = self.space[:-1]
        return bool(row) and shapes[x] == row and shapes[Value(node)] == (*row, 1)

    def _final_level(self, node: Node) -> Level | None:
        """What is computed elementwise from a result, and from as many other numbers."""
        shapes = self.graph.fact(SHAPES)
        alike = all(
            shapes[value] in (shapes[Value(node)], ())
            and self.levels.get(value) in (Level.RESULT, None)
            for value in node.inputs
        )
        return Level.RESULT if alike and node.op.expr else None

    def _operand_level(self, value: Value) -> Level | None:
        """The level of something that a FULL result is computed from."""
        shape, space = self.graph.fact(SHAPES)[value], self.space
        if self.levels.get(value) is Level.ROW:
            return Level.ROW if shape == (*space[:-1], 1) else None
        if value in self.levels:
            return self.levels[value]
        if not is_static(shape) or shape is None or len(shape) > len(space):
            return None
        padded = (1,) * (len(space) - len(shape)) + shape
        if padded == space:
            return Level.FULL
        if elements(shape) == 1:
            return Level.SCALAR
        if padded == (*space[:-1], 1):
            return Level.ROW
        return Level.COLUMN if padded == (*(1,) * (len(space) - 1), space[-1]) else None

    def _reduction_level(self, node: Node) -> Level | None:
        """Over the last axis: ROW. Sums over all rows or everything: known only at the end."""
        x, rank = node.inputs[0], len(self.space)
        if self.levels.get(x) is Level.ROW and node.op is not ops.reduce_max:
            axes = normal_axes(node.attrs["reduction_indices"], self._rank(x))
            return Level.RESULT if len(axes) == self._rank(x) else None
        if self._operand_level(x) is not Level.FULL or 0 in self.space:
            return None
        axes = normal_axes(node.attrs["reduction_indices"], rank)
        if axes == tuple(range(rank)):
            return None if node.op is ops.reduce_max else Level.RESULT
        if axes == (rank - 1,):
            return Level.ROW
        leading = axes == tuple(range(rank - 1)) and node.op is ops.reduce_sum
        return Level.RESULT if leading else None

    def _rank(self, value: Value) -> int:
        return len(self.graph.fact(SHAPES)[value] or ())

    def add(self, node: Node, level: Level) -> None:
        """Take ``node`` in."""
        self.nodes.append(node)
        self.levels[Value(node)] = level
        for value in node.inputs:
            if value not in self.levels:
                self.inputs[value, value.version] = None

    def parts(self) -> Sequence[Group | Node]:
        """All nodes as one kernel, if that saves something; else each by itself.

        One op is worth a kernel only where generated polynomials beat the library.
        """
        costly = any(node.op in _COSTLY for node in self.nodes)
        if costly or sum(node.op not in _MOVES for node in self.nodes) > 1:
            return [self]
        return self.nodes


def _seed(graph: Graph, node: Node, readers: Sequence[Node]) -> Group | None:
    """A group that starts with ``node``, over the space of its result or of what it reduces."""
    dtypes = graph.fact(DTYPES)
    dtype = dtypes.get(Value(node))
    if dtype is DType.bool:  # a mask goes with what it masks
        made = [v for reader in readers for v in reader.outputs]
        dtype = next((dtypes[v] for v in made if dtypes[v] is not DType.bool), None)
    reads = node.inputs[0] if node.op in _REDUCTIONS else Value(node)
    space = graph.fact(SHAPES).get(reads)
    if dtype not in (DType.float32, DType.float64) or space is None or not is_static(space):
        return None
    group = Group(graph, tuple(dim or 0 for dim in space), dtype)
    level = group.level(node)
    if level is None or node.op.leaf:
        return None
    group.add(node, level)
    return group


def grow_groups(graph: Graph) -> list[Group | Node]:
    """All nodes, alone or in groups, in an order in which they can run.

    Kahn's algorithm: nodes that cannot be fused run first. When only others are ready, the one
    whose result is wanted first starts a group, which takes in whatever is ready, fits and touches
    it. A group can run as one because nothing outside ran while it grew. Linear in edges.
    """
    return _Growth(graph).runs()


class _Growth:
    """The state of one scheduling run."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.place = graph, {node: i for i, node in enumerate(graph.nodes)}
        before = dependencies(graph)
        self.waiting = {node: len(before[node]) for node in graph.nodes}
        self.wakes: dict[Node, list[Node]] = {node: [] for node in graph.nodes}
        for node in graph.nodes:
            for need in before[node]:
                self.wakes[need].append(node)
        self.readers = users(graph)
        self.wanted = self._wanted()
        self.plain: list[int] = []  # ready nodes that no group takes, by place
        self.seeds: list[tuple[bool, int, int]] = []  # ready nodes that may start a group
        self.done: set[Node] = set()
        for node in graph.nodes:
            if not self.waiting[node]:
                self._ready(node)

    def runs(self) -> list[Group | Node]:
        """Run everything, a node or a group at a time."""
        found: list[Group | Node] = []
        while self.plain or self.seeds:
            if self.plain:
                node = self.graph.nodes[heapq.heappop(self.plain)]
            else:
                node = self.graph.nodes[heapq.heappop(self.seeds)[2]]
            if node in self.done:  # a group took it
                continue
            group = _seed(self.graph, node, self._readers(node))
            self._run(node)
            found += self._grown(group).parts() if group else [node]
        return found

    def _grown(self, group: Group) -> Group:
        """The group with all that is ready, fits and touches it, until nothing does."""
        touched: set[Value] = set()
        for member in group.nodes:  # grows meanwhile
            for other in self._neighbours(member, group, touched):
                ready = other not in self.done and not self.waiting[other]
                level = group.level(other) if ready else None
                if level is not None:
                    group.add(other, level)
                    self._run(other)
        return group

    def _neighbours(self, node: Node, group: Group, touched: set[Value]) -> Iterator[Node]:
        """What makes the other inputs of readers of ``node``, the readers, and its siblings."""
        near = self._readers(node)
        for reader in filter(_may_fuse, near):
            yield from self._makers(reader)
        yield from near
        shapes = self.graph.fact(SHAPES)
        for value in node.inputs:
            if shapes[value] == group.space and value not in touched:
                touched.add(value)
                left = (reader for reader, _ in self.readers[value] if reader not in self.done)
                yield from islice(left, MOST_NODES)  # of thousands, each group looks at a few

    def _makers(self, node: Node) -> list[Node]:
        """The last few nodes that ``node`` waits for and that could join, in order."""
        found: list[Node] = []
        stack = [value.node for value in node.inputs]
        while stack and len(found) < _FEW:
            maker = stack.pop()
            if maker not in self.done and _may_fuse(maker):
                found.append(maker)
                stack += [value.node for value in maker.inputs]
        return found[::-1]

    def _readers(self, node: Node) -> list[Node]:
        return [reader for reader, _ in self.readers.get(Value(node), ())]

    def _run(self, node: Node) -> None:
        self.done.add(node)
        for woken in self.wakes[node]:
            self.waiting[woken] -= 1
            if not self.waiting[woken]:
                self._ready(woken)

    def _ready(self, node: Node) -> None:
        place = self.place[node]
        if _seed(self.graph, node, self._readers(node)) is None and node.op not in _MOVES:
            heapq.heappush(self.plain, place)
            return
        large = elements(self.graph.fact(SHAPES)[Value(node)]) > 1
        early = large and node.op not in _MOVES and all(value.node.is_leaf for value in node.inputs)
        heapq.heappush(self.seeds, (early, self.wanted[node], place))

    def _wanted(self) -> dict[Node, int]:
        """The place at which each result meets another one: up to there a chain runs as one."""
        found: dict[Node, int] = {}
        for node in reversed(self.graph.nodes):
            places = [len(self.place)]
            for reader in self._readers(node):
                alone = all(v.node is node or v.node.is_leaf for v in reader.inputs)
                chain = alone and (reader.op.expr or reader.op in _MOVES)
                places.append(found[reader] if chain else self.place[reader])
            found[node] = min(places)
        return found


def _with_fused_nodes(graph: Graph, runs: Sequence[Group | Node]) -> Graph:
    """Build the graph in which each group is one node; types are kept."""
    new: dict[Value, Value] = {}
    moved: dict[Node, Node] = {}

    def follow(value: Value) -> Value:
        other = new[value]
        return value if other.node is value.node else other  # a kept leaf keeps the version read

    wanted = _read_outside(graph, runs)
    for run in runs:
        if isinstance(run, Node):
            after = tuple(moved[need] for need in run.after)
            made = run.with_inputs(tuple(follow(v) for v in run.inputs), after)
            new.update(zip(run.outputs, made.outputs))
            moved[run] = made
        else:
            results = [Value(node) for node in run.nodes if Value(node) in wanted]
            inputs, body = group_body(graph, run.nodes, results)
            name = "+".join(n.name or n.op.name for n in run.nodes if n.op not in _MOVES)
            made = ops.fused.node(
                [follow(v) for v in inputs], {"body": body}, name=name, source=run.nodes[0].source
            )
            new.update(zip(results, made.outputs))
            moved.update(dict.fromkeys(run.nodes, made))
    return carry_types(graph, Graph(tuple(follow(value) for value in graph.outputs)), new)


def _read_outside(graph: Graph, runs: Sequence[Group | Node]) -> set[Value]:
    """Values that are fetched, or read or waited for by a node of another run."""
    members = [[run] if isinstance(run, Node) else run.nodes for run in runs]
    run_of = {node: at for at, nodes in enumerate(members) for node in nodes}
    found = set(graph.outputs)
    for node in graph.nodes:
        reads = (*node.inputs, *(v for need in node.after for v in need.outputs))
        found.update(value for value in reads if run_of[value.node] != run_of[node])
    return found


def group_body(
    graph: Graph, nodes: Sequence[Node], results: Sequence[Value]
) -> tuple[list[Value], Graph]:
    """What a group reads, and the group as a graph on placeholders "x0", "x1", ... in that order.

    Constant numbers stay constants inside. The body carries SHAPES and DTYPES.
    """
    shapes, dtypes = graph.fact(SHAPES), graph.fact(DTYPES)
    inner: dict[tuple[Value, int], Value] = {}
    inputs: list[Value] = []

    def inside(value: Value) -> Value:
        key = (value, value.version)  # two versions of a variable are two inputs
        if key in inner:
            return inner[key]
        if value.node.op.name == "constant" and shapes[value] == ():
            inner[key] = value
        else:
            name = f"x{len(inputs)}"
            inputs.append(value)
            inner[key] = ops.placeholder(dtype=dtypes[value], shape=shapes[value], name=name)
        return inner[key]

    for node in nodes:
        made = node.with_inputs(tuple(inside(value) for value in node.inputs), ())
        inner[Value(node), 0] = Value(made)
    body = Graph(tuple(inner[value, 0] for value in results))
    present = {new: old for (old, _), new in inner.items()}
    body = body.with_fact(SHAPES, {v: shapes[present[v]] for n in body.nodes for v in n.outputs})
    return inputs, body.with_fact(DTYPES, {v: dtypes[present[v]] for v in body.facts[SHAPES]})
