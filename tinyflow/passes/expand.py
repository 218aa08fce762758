"""Write composite ops as the elementwise ops and reductions that they are. Layer: passes.

A kernel of its own is the best form of a softmax, unless its neighbours can be fused with it.
"""

from __future__ import annotations

from collections.abc import Mapping

from tinyflow.ir import Graph, Node, Value, rewrite
from tinyflow.ops.composite import FORMULAS
from tinyflow.ops.site import Site, write_out
from tinyflow.passes.infer import DTYPES, SHAPES, remember_types
from tinyflow.types import DType, Shape, is_static

__all__ = ["expand"]


def expand(graph: Graph) -> Graph:
    """Expand softmax, its relatives and losses along the last axis of static floating arrays.

    Labels of a sparse loss are compared with 0, 1, ... in each column; ``checked_labels`` refuses
    wrong ones, as the kernel of the loss does, before anything is written.
    """
    if not any(node.op in FORMULAS for node in graph.nodes):
        return graph
    shapes, dtypes = graph.fact(SHAPES), graph.fact(DTYPES)

    def rule(node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...] | None:
        floating = dtypes[node.outputs[0]] in (DType.float32, DType.float64)
        if not floating or not _along_last_axis(node, shapes):
            return None
        return write_out(FORMULAS, Site(node, inputs, shapes, dtypes))

    return remember_types(graph, *rewrite(graph, rule))


def _along_last_axis(node: Node, shapes: Mapping[Value, Shape]) -> bool:
    """True for an op along the last axis of arrays whose sizes are known, and not 0."""
    sizes = [shape for shape in map(shapes.get, node.inputs) if is_static(shape) and 0 not in shape]
    rank = max(map(len, sizes), default=0)
    known = len(sizes) == len(node.inputs) and rank > 0
    return known and node.attrs.get("axis", -1) in (-1, rank - 1)
