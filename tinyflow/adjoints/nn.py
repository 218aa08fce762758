"""Adjoints of softmax and the cross entropies. Layer: adjoints."""

from __future__ import annotations

from collections.abc import Mapping

from tinyflow import ops
from tinyflow.adjoints.table import AdjointRule, Adjoints, NoGradient
from tinyflow.ir import Node, Op, Value

__all__ = ["RULES", "mean_sparse_softmax_cross_entropy_with_logits_adjoint"]


def softmax_adjoint(node: Node, dy: Value) -> Adjoints:
    """p = softmax(x)  =>  dx = p * (dy - sum(dy * p)), the sum along the axis."""
    return (ops.softmax_grad(dy, node.outputs[0], axis=node.attrs["axis"]),)


def log_softmax_adjoint(node: Node, dy: Value) -> Adjoints:
    """y = log_softmax(x)  =>  dx = dy - exp(y) * sum(dy), the sum along the axis."""
    return (ops.log_softmax_grad(dy, node.outputs[0], axis=node.attrs["axis"]),)


def softmax_grad_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = y * (g - sum(g * y))  =>  dg = softmax_grad(dy, y), and

    d_y = dy * (g - sum(g * y)) - g * sum(dy * y), the sums along the axis.
    """
    g, y = node.inputs
    axis = node.attrs["axis"]
    inner = ops.sub(g, _total(ops.mul(g, y), axis))
    d_y = ops.sub(ops.mul(dy, inner), ops.mul(g, _total(ops.mul(dy, y), axis)))
    return ops.softmax_grad(dy, y, axis=axis), d_y


def log_softmax_grad_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = g - exp(y) * sum(g)  =>  dg = dy - sum(dy * exp(y)), d_y = -dy * exp(y) * sum(g)."""
    g, y = node.inputs
    axis = node.attrs["axis"]
    weighted = ops.mul(dy, ops.exp(y))
    return ops.sub(dy, _total(weighted, axis)), ops.neg(ops.mul(weighted, _total(g, axis)))


def _total(x: Value, axis: int) -> Value:
    total: Value = ops.reduce_sum(x, reduction_indices=(axis,), keepdims=True)
    return total


def mean_sparse_softmax_cross_entropy_with_logits_adjoint(
    node: Node, dy: Value
) -> tuple[Value | None, ...]:
    """Adjoints of the inputs of ``node``, the mean cross entropy of logits and class labels.

    ``node.inputs`` is (logits, labels): logits (n, c) floating, labels (n,) whole numbers from 0 to
    c - 1. With p = softmax(logits) along the classes, the node computes the scalar

        z = -(1/n) * sum over i of log p[i, labels[i]]

    and ``dy``, the adjoint of z, is a scalar (0-d). Return (∂L/∂logits, None):

        ∂L/∂logits[i, j] = dy * (p[i, j] - (1 if j == labels[i] else 0)) / n       (n, c)

    Labels count classes, so no gradient flows to them: None, not zeros.

    Do not forget 1/n and do not forget ``dy``: it is 1 only when the loss itself is differentiated.
    One op does it all: ``ops.sparse_softmax_cross_entropy_grad(dy, logits, labels)`` takes the
    scalar dy and has divided by n already; it also has an adjoint of its own, so that second
    derivatives work. A label out of range is an error of the forward pass, not of this rule.

    Example: logits = [[0, 0], [0, 0]], labels = [0, 1], dy = 4: p is 1/2 everywhere, so
    ∂L/∂logits = 4 * [[-1/2, 1/2], [1/2, -1/2]] / 2 = [[-1, 1], [1, -1]].

    Source: Bridle, Probabilistic interpretation of feedforward classification network outputs,
    1990; TinyFlow's mean_sparse_softmax_cross_entropy_with_logits.
    """
    logits, labels = node.inputs
    return ops.sparse_softmax_cross_entropy_grad(dy, logits, labels), None


def sparse_softmax_cross_entropy_grad_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = g * (p - onehot) / n, p = softmax(x)  =>  dg = sum(dy * (p - onehot) / n) and

    dx = g / n * softmax_grad(dy, p).
    """
    g, logits, labels = node.inputs
    unit = ops.sparse_softmax_cross_entropy_grad(ops.ones_like(g), logits, labels)
    scale = ops.div(g, ops.size(logits, reduction_indices=(0,)))
    curve = ops.softmax_grad(dy, ops.softmax(logits))
    return ops.reduce_sum(ops.mul(dy, unit)), ops.mul(scale, curve), None


def softmax_cross_entropy_with_logits_adjoint(node: Node, dy: Value) -> Adjoints:
    """z[i] = -sum over j of t[i, j] * log p[i, j], dy (n,)  =>  with g = -dy, one per row,

    dx = log_softmax_grad(g * t), dt = g * log p. Rows of t need not sum to 1.
    """
    each = ops.broadcast_like(ops.neg(dy), node.inputs[0], reduction_indices=(1,), keepdims=False)
    return _dense(node, each)


def mean_softmax_cross_entropy_with_logits_adjoint(node: Node, dy: Value) -> Adjoints:
    """The mean of the above over n rows, dy ()  =>  g = -dy / n, the same for every row."""
    logits = node.inputs[0]
    rows = ops.size(logits, reduction_indices=(0,))
    return _dense(node, ops.broadcast_like(ops.div(ops.neg(dy), rows), logits))


def _dense(node: Node, each: Value) -> Adjoints:
    """``each`` (n, c) is g repeated along the classes."""
    logits, labels = node.inputs
    log_p = ops.log_softmax(logits)
    return ops.log_softmax_grad(ops.mul(each, labels), log_p), ops.mul(each, log_p)


RULES: Mapping[Op, AdjointRule | NoGradient] = {
    ops.checked_labels: NoGradient("it is made when gradients stand in the graph already"),
    ops.softmax: softmax_adjoint,
    ops.log_softmax: log_softmax_adjoint,
    ops.softmax_grad: softmax_grad_adjoint,
    ops.log_softmax_grad: log_softmax_grad_adjoint,
    ops.mean_sparse_softmax_cross_entropy_with_logits: (
        mean_sparse_softmax_cross_entropy_with_logits_adjoint
    ),
    ops.sparse_softmax_cross_entropy_grad: sparse_softmax_cross_entropy_grad_adjoint,
    ops.softmax_cross_entropy_with_logits: softmax_cross_entropy_with_logits_adjoint,
    ops.mean_softmax_cross_entropy_with_logits: mean_softmax_cross_entropy_with_logits_adjoint,
}
