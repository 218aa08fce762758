"""Write composite ops as the elementwise ops and reductions that they are. Layer: passes.

A kernel of its own is the best form of a softmax, unless its neighbours can be fused with it.
"""

from __future__ import annotations

from tinyflow.ir import Graph, Node, Value, rewrite
from tinyflow.ops.composite import FORMULAS, Site
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
        formula, dtype = FORMULAS.get(node.op), dtypes[Value(node)]
        known = tuple(shapes[value] for value in node.inputs)
        if formula is None or dtype not in (DType.float32, DType.float64):
            return None
        if not all(is_static(shape) for shape in known) or not _last_axis(node, known):
            return None
        made = formula(Site(node, inputs, known, dtype))
        return made if isinstance(made, tuple) else (made,)

    return remember_types(graph, *rewrite(graph, rule))


def _last_axis(node: Node, shapes: tuple[Shape, ...]) -> bool:
    rank = max(len(shape or ()) for shape in shapes)
    return (
        node.attrs.get("axis", -1) in (-1, rank - 1)
        and rank > 0
        and not any(0 in shape for shape in shapes if shape)
    )
