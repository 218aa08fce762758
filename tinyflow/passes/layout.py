"""Choose how images lie in memory. Layer: passes.

Ops are written for NCHW, channels before rows and columns. Convolutions and pools on a CPU are
faster when the channels of one pixel lie side by side (NHWC): a max pool takes a tenth of the time.
The shapes stay NCHW; only the strides of the arrays change, and no transpose is inserted.
"""

from __future__ import annotations

from collections.abc import Mapping

from tinyflow import ops
from tinyflow.ir import Fact, Graph, Node, Value
from tinyflow.ops.fused import by_element
from tinyflow.passes.infer import SHAPES
from tinyflow.types import Shape, is_static

__all__ = ["STRIDES", "channels_last", "layout"]

Strides = tuple[int, ...]
STRIDES: Fact[Mapping[Value, Strides]] = Fact("strides")  # in elements; absent: row-major

_IMAGE_OPS = frozenset(
    {ops.conv2d, ops.conv2d_input_grad, ops.conv2d_weight_grad, ops.max_pool2d, ops.max_pool2d_grad}
) | {ops.avg_pool2d, ops.avg_pool2d_grad, ops.batch_norm, ops.batch_norm_grad}
_FILTER = {ops.conv2d: 1, ops.conv2d_input_grad: 1}  # where these ops read their filter


def layout(graph: Graph) -> Graph:
    """Provide STRIDES: images, filters and what is computed from them element by element are NHWC.

    Follows each image through elementwise ops and into the variables that they update, so that a
    filter, its gradient and its moving averages agree, and a variable with the filter that is
    computed from it. Per op, not per rank: other arrays with four axes keep their layout.
    """
    shapes, found = graph.fact(SHAPES), dict[Value, Strides]()
    before = -1
    while len(found) > before:  # what a variable is given decides how it is read
        before = len(found)
        for node in graph.nodes:
            for value in _images(node, found, shapes):
                shape = shapes[value]
                if is_static(shape) and len(shape) == 4:
                    found[value] = channels_last(shape)
    return graph.with_fact(STRIDES, found)


def _images(
    node: Node, found: Mapping[Value, Strides], shapes: Mapping[Value, Shape]
) -> list[Value]:
    """Values next to ``node`` that are to be NHWC."""
    if node.op in _IMAGE_OPS:
        filters = [node.inputs[_FILTER[node.op]]] if node.op in _FILTER else []
        filters += [v for made in filters if by_element(made.node) for v in made.node.inputs]
        ours = [v for v in filters if v.node.op is ops.variable or by_element(v.node)]
        return [*node.outputs, *ours]
    if node.op.mutates:
        either = any(value in found for value in (*node.inputs, *node.outputs))
        return [node.inputs[0], *node.outputs] if either else []
    images = [shapes[value] for value in node.inputs if value in found and by_element(node)]
    return [value for value in node.outputs if shapes[value] in images]


def channels_last(shape: tuple[int, ...]) -> Strides:
    """Strides in elements of (n, c, h, w) when the channels of a pixel are neighbours."""
    _, c, h, w = shape
    return (h * w * c, 1, w * c, c)
