"""Keep fetched views of a variable from showing a later write. Layer: passes."""

from __future__ import annotations

from tinyflow import ops
from tinyflow.ir import Graph, Value

__all__ = ["pin"]


def pin(graph: Graph) -> Graph:
    """Copy each output that shows the storage of a variable (a view, the output of an assign).

    Fetching copies at the end of a run, when a later write of the same run may have changed the
    variable. A bare variable is left alone: it is meant to be read after all writes.
    """
    outputs = tuple(_copied(value) for value in graph.outputs)
    return graph if outputs == graph.outputs else Graph(outputs, graph.facts)


def _copied(value: Value) -> Value:
    if value.node.op is ops.variable or not ops.shows_variable(value):
        return value
    copy: Value = ops.identity(value)
    return copy
