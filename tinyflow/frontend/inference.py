"""The switch from training to inference, for every front end. Layer: frontend."""

from __future__ import annotations

import numpy as np

from tinyflow import ops
from tinyflow.ir import CONSTANT, Graph, Node, Value, rewrite

__all__ = ["for_inference"]


def for_inference(graph: Graph) -> Graph:
    """Let batch normalisation use its moving values, and dropout keep everything as it is.

    A batch normalisation takes its moving mean and variance as inputs. Who reads the mean or
    variance of the batch reads the moving one. Of a dropout its input stays; what was fed as its
    probability is no longer needed. Variables stay the same ones.
    """

    def rule(node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...] | None:
        if _drops(node):
            return (ops.identity(inputs[0], name=node.name),)
        if node.op is not ops.batch_norm or not node.attrs["training"]:
            return None
        attrs = {**node.attrs, "training": False}
        made = node.op.node(inputs, attrs, name=node.name, source=node.source)
        return (*made.outputs, *inputs[3:])

    return rewrite(graph, rule)[0]


def _drops(node: Node) -> bool:
    """x * (cast_like(uniform_like(x) < keep, x) / keep), as all front ends write a dropout.

    Its expectation is x. The gradient dy * (...) is one too: that of the identity.
    """
    if node.op is not ops.mul or node.inputs[1].node.op is not ops.div:
        return False
    kept, keep = node.inputs[1].node.inputs
    if kept.node.op is not ops.cast_like or kept.node.inputs[0].node.op is not ops.less:
        return False
    drawn, below = kept.node.inputs[0].node.inputs
    numbers = drawn.node.attrs.get("low"), drawn.node.attrs.get("high")
    return drawn.node.op is ops.uniform_like and numbers == (0, 1) and _equal(below, keep)


def _equal(x: Value, y: Value) -> bool:
    """Whether both are one value, or constants with the same content."""
    if x.node.op is CONSTANT is y.node.op:
        return np.array_equal(x.node.attrs["value"], y.node.attrs["value"])
    return x == y
