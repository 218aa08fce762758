"""The switch from training to inference, for every front end. Layer: frontend."""

from __future__ import annotations

from tinyflow import ops
from tinyflow.ir import Graph, Node, Value, rewrite, users

__all__ = ["fold_batch_norm", "for_inference"]


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


def fold_batch_norm(graph: Graph) -> Graph:
    """Let a convolution do the work of the batch normalisation, without training, that follows it.

    With s = gamma / √(variance + epsilon), s * (conv(x, w) + b - mean) + beta is a convolution by
    s * w with the bias s * (b - mean) + beta: a pass over the images less. A convolution that
    someone else reads too stays as it is. Equal up to rounding.

    Source: Jacob et al., Quantization and training of neural networks for efficient
    integer-arithmetic-only inference, CVPR 2018, section 3.2.
    """
    readers = users(graph)

    def rule(node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...] | None:
        if node.op is not ops.batch_norm or node.attrs["training"]:
            return None
        read = node.inputs[0]
        alone = len(readers[read]) == 1 and read not in graph.outputs
        conv = inputs[0].node
        if conv.op is not ops.conv2d or not alone:
            return None
        _, gamma, beta, mean, variance = inputs
        x, weight, *bias = conv.inputs
        s = ops.div(gamma, ops.sqrt(ops.add(variance, node.attrs["epsilon"])))
        scaled = ops.mul(weight, ops.reshape(s, shape=(-1, 1, 1, 1)))
        centre = ops.sub(bias[0], mean) if bias else ops.neg(mean)
        shift = ops.add(ops.mul(s, centre), beta)
        attrs = {**conv.attrs, "name": conv.name, "after": conv.after}
        return (ops.conv2d(x, scaled, shift, **attrs),)

    return rewrite(graph, rule)[0]
