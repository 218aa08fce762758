"""Adjoints of pooling. Layer: adjoints."""

from __future__ import annotations

from collections.abc import Mapping

from tinyflow import ops
from tinyflow.adjoints.table import AdjointRule, Adjoints
from tinyflow.ir import Node, Op, Value

__all__ = ["RULES"]


def max_pool2d_adjoint(node: Node, dy: Value | None, _: Value | None) -> Adjoints:
    """y = the largest of each window  =>  dx = dy at the place it came from; windows add up."""
    if dy is None:
        return (None,)
    return (ops.max_pool2d_grad(dy, node.outputs[1], node.inputs[0], **node.attrs),)


def max_pool2d_grad_adjoint(node: Node, g: Value) -> Adjoints:
    """z = dy put to its places  =>  for dy, g taken from there; x counts by its shape only."""
    return ops.max_pool2d_take(g, node.inputs[1], **node.attrs), None, None


def max_pool2d_take_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = x at some places  =>  dx = dy put there."""
    x, index = node.inputs
    return ops.max_pool2d_grad(dy, index, x, **node.attrs), None


def avg_pool2d_adjoint(node: Node, dy: Value) -> Adjoints:
    """y = the mean of each window  =>  dx = dy in equal parts; windows add up."""
    return (ops.avg_pool2d_grad(dy, node.inputs[0], **node.attrs),)


def avg_pool2d_grad_adjoint(node: Node, g: Value) -> Adjoints:
    """z is linear in dy, and the adjoint of an adjoint is the op itself; none to x."""
    return ops.avg_pool2d(g, **node.attrs), None


RULES: Mapping[Op, AdjointRule] = {
    ops.max_pool2d: max_pool2d_adjoint,
    ops.max_pool2d_grad: max_pool2d_grad_adjoint,
    ops.max_pool2d_take: max_pool2d_take_adjoint,
    ops.avg_pool2d: avg_pool2d_adjoint,
    ops.avg_pool2d_grad: avg_pool2d_grad_adjoint,
}
