"""Adjoints of ops that move or repeat elements. Layer: adjoints.

Moving elements is linear, so each rule is the move back; repeating is undone by summing.
"""

from __future__ import annotations

from collections.abc import Mapping

from tinyflow import ops
from tinyflow.adjoints.table import AdjointRule, Adjoints, NoGradient
from tinyflow.ir import Node, Op, Value

__all__ = ["RULES", "broadcast_to_adjoint"]


def broadcast_to_adjoint(node: Node, dy: Value) -> tuple[Value | None, ...]:
    """Adjoint of the input of ``node``, which repeats x to a larger shape as numpy does.

    ``node.inputs`` is (x,), ``node.attrs["shape"]`` the new shape, and ``dy``, the adjoint of the
    result, has that shape. Return a tuple of one:

        ∂L/∂x[i, ...] = the sum of dy over all positions to which x[i, ...] was copied

    in the shape and dtype of x: axes that x does not have are summed away, axes of size 1 that were
    repeated are summed to size 1. ``ops.sum_like(dy, x)`` does both, when the shape of x is known;
    it is not known here. This is the mirror image of the adjoint of a sum: a copy in the forward
    pass is a sum in the backward pass.

    Example: x (3, 1) repeated to shape=(2, 3, 4), dy all ones gives ∂L/∂x = [[8], [8], [8]]: each
    element was copied 2 * 4 times.

    Source: TensorFlow's _BroadcastToGrad; numpy's broadcasting rules.
    """
    return (ops.sum_like(dy, node.inputs[0]),)


def reshape_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = x in another shape  =>  dx = dy in the shape of x."""
    return (ops.reshape_like(dy, node.inputs[0]),)


def reshape_like_adjoint(node: Node, dy: Value) -> Adjoints:
    """As reshape; ``like`` is read for its shape only."""
    return ops.reshape_like(dy, node.inputs[0]), None


def transpose_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = x with axes in the order perm  =>  dx = dy with axes in the inverse order."""
    perm = node.attrs["perm"]
    if perm is None:  # reversing is its own inverse
        return (ops.transpose(dy),)
    axes = [axis % len(perm) for axis in perm]
    return (ops.transpose(dy, perm=tuple(axes.index(i) for i in range(len(axes)))),)


def sum_like_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = x summed to the shape of like  =>  dx = dy repeated to the shape of x."""
    return ops.broadcast_like(dy, node.inputs[0]), None


def broadcast_like_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = x repeated to the shape of like  =>  dx = dy summed over the repetitions.

    Axes that were inserted first (keepdims=False) are summed first: sum_like alone would not know
    which of two equal sizes is x's own.
    """
    if not node.attrs["keepdims"]:
        dy = ops.reduce_sum(dy, reduction_indices=node.attrs["reduction_indices"])
    return ops.sum_like(dy, node.inputs[0]), None


_FIXED = NoGradient("the result is a constant without inputs")

RULES: Mapping[Op, AdjointRule] = {
    ops.reshape: reshape_adjoint,
    ops.transpose: transpose_adjoint,
    ops.broadcast_to: broadcast_to_adjoint,
    ops.sum_like: sum_like_adjoint,
    ops.broadcast_like: broadcast_like_adjoint,
    ops.reshape_like: reshape_like_adjoint,
    ops.zeros: _FIXED,
    ops.ones: _FIXED,
}
