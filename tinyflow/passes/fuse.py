"""Group ops that one kernel can compute together. Layer: passes.

A chain of elementwise ops spends its time carrying arrays to and from memory. A group reads each
input once and writes only what others need. ``fused`` nodes hold their group as a graph of its own,
so that scheduling, planning and printing need to know nothing about fusion.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from graphlib import CycleError

from tinyflow import ops
from tinyflow.ir import Graph, Node, Value, rewrite, users
from tinyflow.ops.fused import group_body, likeness
from tinyflow.ops.sweep import MOVES, Group, computes
from tinyflow.passes.grow import grow_groups
from tinyflow.passes.infer import DTYPES, SHAPES, carry_types

__all__ = ["forward_assigned", "fuse"]


def fuse(graph: Graph) -> Graph:
    """Replace groups of elementwise, broadcast and trailing-reduction ops by ``fused`` nodes.

    Needs static shapes; nodes whose shapes are not known stay as they are. Groups are grown while
    scheduling, so no path leaves a group and comes back: the result has no cycle. Linear in edges.
    A graph that cannot run in any order stays as it is, for ``order`` to say why.
    """
    if not any(map(computes, graph.nodes)):
        return graph
    graph = forward_assigned(graph)
    try:
        return _with_fused_nodes(graph, grow_groups(graph))
    except CycleError:
        return graph


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


def _with_fused_nodes(graph: Graph, runs: Sequence[Group | Node]) -> Graph:
    """Make each group one node; types are kept, equal groups share a body."""
    new: dict[Value, Value] = {}
    bodies: dict[Hashable, Graph] = {}

    def follow(values: Sequence[Value]) -> tuple[Value, ...]:
        """The new values; a kept leaf keeps the version read."""
        return tuple([v if (made := new[v]).node is v.node else made for v in values])

    for run, results in zip(runs, _results(graph, runs)):
        if isinstance(run, Node):
            after = tuple(new[need.outputs[0]].node for need in run.after)
            made = run.with_inputs(follow(run.inputs), after)
        else:
            if (key := likeness(run, results)) not in bodies:
                body, old = group_body(run, results)
                inside = [value for node in body.nodes for value in node.outputs]
                body = body.with_fact(SHAPES, {value: run.shapes[old[value]] for value in inside})
                body = body.with_fact(DTYPES, {value: run.dtypes[old[value]] for value in inside})
                bodies[key] = body
            name = "+".join(n.name or n.op.name for n in run.nodes if n.op not in MOVES)
            inputs, attrs = follow(run.reads()), {"body": bodies[key]}
            made = ops.fused.node(inputs, attrs, name=name, source=run.nodes[0].source)
        new.update(zip(results, made.outputs))
    return carry_types(graph, Graph(follow(graph.outputs)), new)


def _results(graph: Graph, runs: Sequence[Group | Node]) -> Iterator[Sequence[Value]]:
    """Of each run the values that are fetched, or read or waited for by another run."""
    kept = {*graph.outputs, *(v for node in graph.nodes for n in node.after for v in n.outputs)}
    readers = users(graph)
    for run in runs:
        if isinstance(run, Node):
            yield run.outputs
        else:
            inside = set(run.nodes)
            made = (node.outputs[0] for node in run.nodes)
            yield [v for v in made if v in kept or any(r not in inside for r, _ in readers[v])]
