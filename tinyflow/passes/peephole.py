"""Fold small patterns that meet in every training step. Layer: passes."""

from __future__ import annotations

from collections.abc import Callable

from tinyflow import ops
from tinyflow.ir import Graph, Node, Value, rewrite, users
from tinyflow.passes.infer import DTYPES, SHAPES, carry_types, infer, remember_types

__all__ = ["peephole"]


_LOSS = ops.mean_sparse_softmax_cross_entropy_with_logits
_SLOPE = ops.sparse_softmax_cross_entropy_grad


def peephole(graph: Graph) -> Graph:
    """Fold updates and share the softmax between a loss and its gradient; types stay as they are.

    - ``c - k * (a @ b)`` and ``c + k * (a @ b)`` become ``gemm(c, a, b)`` with alpha = -k or k: the
      gradient-descent update of a weight. The gradient never exists as an array of its own, and
      the step writes straight into the weight.
    - A sparse cross entropy and its gradient on the same logits both read one ``log_softmax``.
    """
    return _fold_updates(_share_softmax(graph))


def _share_softmax(graph: Graph) -> Graph:
    """Normalise logits once where loss and gradient both would."""
    # no leaves: a variable may be read before and after a write
    losses = {n.inputs[0] for n in graph.nodes if n.op is _LOSS and not n.inputs[0].node.is_leaf}
    shared = losses & {node.inputs[1] for node in graph.nodes if node.op is _SLOPE}
    if not shared:
        return graph
    made: dict[Value, Value] = {}

    def rule(node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...] | None:
        position = {_LOSS: 0, _SLOPE: 1}.get(node.op)
        if position is None or (logits := node.inputs[position]) not in shared:
            return None
        if logits not in made:
            made[logits] = ops.log_softmax(inputs[position], axis=1)
        values = (*inputs[:position], made[logits], *inputs[position + 1 :])
        return (node.op(*values, name=node.name, normalised=True),)

    return infer(remember_types(graph, *rewrite(graph, rule)))


def _fold_updates(graph: Graph) -> Graph:
    """Make gemms of scaled products that are added to something and read by nothing else."""
    if not any(node.op is ops.matmul for node in graph.nodes):
        return graph
    shapes, dtypes = graph.fact(SHAPES), graph.fact(DTYPES)
    readers = users(graph)

    def alone(value: Value) -> bool:
        return len(readers[value]) == 1 and value not in graph.outputs

    def rule(node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...] | None:
        if node.op not in (ops.sub, ops.add) or not alone(node.inputs[1]):
            return None
        a, b = [(shapes[value], dtypes[value]) for value in node.inputs]
        if a != b or a[0] is None or a[1] is None or not a[1].is_floating:
            return None
        found = _scaled_product(node.inputs[1], inputs[1], alone)
        if found is None or not found[1]:  # BLAS reads no factors for a scale of 0: no nan
            return None
        product, scale = found
        alpha = -scale if node.op is ops.sub else scale
        return (ops.gemm(inputs[0], *product.inputs, alpha=alpha, **product.attrs),)

    return carry_types(graph, *rewrite(graph, rule))


def _scaled_product(
    old: Value, new: Value, alone: Callable[[Value], bool]
) -> tuple[Node, float] | None:
    """(matmul node on new inputs, k) if the value is k * matmul, or matmul alone.

    None if one of them waits for other nodes.
    """
    if old.node.op is ops.matmul and not old.node.after:
        return new.node, 1.0
    if old.node.op is not ops.mul or old.node.after:
        return None
    for position in (0, 1):
        product, factor = old.node.inputs[position], old.node.inputs[1 - position]
        number = factor.node.op.name == "constant" and factor.node.attrs["value"].ndim == 0
        plain = product.node.op is ops.matmul and not product.node.after and alone(product)
        if plain and number:
            return new.node.inputs[position].node, float(factor.node.attrs["value"])
    return None
