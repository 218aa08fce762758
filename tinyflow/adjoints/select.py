"""Adjoints of ops that compare and choose. Layer: adjoints.

What was chosen gets the adjoint, the rest gets 0. At ties, which have no derivative, the first
input of ``maximum`` and ``minimum`` counts as chosen, and |x| has slope 0 at 0, as in TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping

from tinyflow import ops
from tinyflow.adjoints.table import AdjointRule, Adjoints, NoGradient
from tinyflow.ir import Node, Op, Value

__all__ = ["RULES"]


def _chosen(condition: Value, dy: Value, x: Value, y: Value) -> tuple[Value, Value]:
    """dy where the condition holds, in the shape of x; dy elsewhere, in the shape of y."""
    dx, d_y = ops.where(condition, dy, 0.0), ops.where(condition, 0.0, dy)
    return ops.sum_like(dx, x), ops.sum_like(d_y, y)


def where_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = x where c, else y  =>  dx = dy where c, d_y = dy elsewhere, each summed to its input."""
    condition, x, y = node.inputs
    return None, *_chosen(condition, dy, x, y)


def maximum_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = max(x, y)  =>  dx = dy where x >= y, d_y = dy elsewhere."""
    x, y = node.inputs
    return _chosen(ops.greater_equal(x, y), dy, x, y)


def minimum_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = min(x, y)  =>  dx = dy where x <= y, d_y = dy elsewhere."""
    x, y = node.inputs
    return _chosen(ops.less_equal(x, y), dy, x, y)


def abs_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = |x|  =>  dx = dy where x > 0, -dy where x < 0, else 0."""
    (x,) = node.inputs
    below = ops.where(ops.less(x, 0.0), ops.neg(dy), 0.0)
    return (ops.where(ops.greater(x, 0.0), dy, below),)


_STEP = NoGradient("a comparison is constant almost everywhere")

RULES: Mapping[Op, AdjointRule] = {
    ops.less: _STEP,
    ops.less_equal: _STEP,
    ops.greater_equal: _STEP,
    ops.not_equal: _STEP,
    ops.maximum: maximum_adjoint,
    ops.minimum: minimum_adjoint,
    ops.abs: abs_adjoint,
    ops.where: where_adjoint,
}
