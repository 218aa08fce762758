"""The switch from training to inference, for every front end. Layer: frontend."""

from __future__ import annotations

from tinyflow import ops
from tinyflow.ir import Graph, Node, Value, rewrite

__all__ = ["for_inference"]


def for_inference(graph: Graph) -> Graph:
    """Let every batch normalisation use its moving mean and variance, which it takes as inputs.

    Who reads the mean or variance of the batch reads the moving one. Variables stay the same ones.
    """

    def rule(node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...] | None:
        if node.op is not ops.batch_norm or not node.attrs["training"]:
            return None
        attrs = {**node.attrs, "training": False}
        made = node.op.node(inputs, attrs, name=node.name, source=node.source)
        return (*made.outputs, *inputs[3:])

    return rewrite(graph, rule)[0]
