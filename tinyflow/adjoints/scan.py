"""Adjoints of what runs along an axis: a linear recurrence, and products of many. Layer: adjoints.

A recurrence is its own kind of adjoint: going back is a recurrence from the other end. So products
need no division, and their derivatives of any order hold where an element is 0.
"""

from __future__ import annotations

from collections.abc import Mapping

from tinyflow import ops
from tinyflow.adjoints.table import AdjointRule, Adjoints
from tinyflow.ir import Node, Op, Value
from tinyflow.ops.rules import END

__all__ = ["RULES"]


def _before(x: Value, axis: int, reverse: bool) -> Value:
    """For each element the one that the recurrence meets before it; 0 for the first."""
    edge, rest = ((-1, END), (1, END)) if reverse else ((0, 1), (0, -1))
    first, others = (
        ops.slice(x, begin=(begin,), end=(end,), axes=(axis,)) for begin, end in (edge, rest)
    )
    zero = ops.zeros_like(first)
    moved: Value = ops.concat(*((others, zero) if reverse else (zero, others)), axis=axis)
    return moved


def _product_of_others(x: Value, axis: int) -> Value:
    """Of all elements along the axis but each one itself: of those before, times those behind."""
    one = ops.ones_like(x)
    before, behind = (
        ops.recurrence(
            _before(x, axis, reverse),
            ops.sub(one, _before(one, axis, reverse)),  # 1, 0, 0, ...: where it starts
            axis=axis,
            reverse=reverse,
        )
        for reverse in (False, True)
    )
    product: Value = ops.mul(before, behind)
    return product


def recurrence_adjoint(node: Node, dy: Value) -> Adjoints:
    """y[i] = a[i] * y[i-1] + b[i]  =>  db[i] = dy[i] + a[i+1] * db[i+1], da[i] = db[i] * y[i-1]."""
    axis, reverse = node.attrs["axis"], node.attrs["reverse"]
    factors = _before(node.inputs[0], axis, not reverse)
    db = ops.recurrence(factors, dy, axis=axis, reverse=not reverse)
    return ops.mul(db, _before(node.outputs[0], axis, reverse)), db


def reduce_prod_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = Π x  =>  dx = dy times the product of all other elements, axis after axis."""
    x, axes = node.inputs[0], node.attrs["reduction_indices"]
    slope = ops.broadcast_like(dy, x, **node.attrs)
    if axes is None:
        others = _product_of_others(ops.reshape(x, shape=(-1,)), 0)
        return (ops.mul(slope, ops.reshape_like(others, x)),)
    part = x
    for axis in axes:
        slope = ops.mul(slope, _product_of_others(part, axis))
        part = ops.reduce_prod(part, reduction_indices=(axis,), keepdims=True)
    return (slope,)


RULES: Mapping[Op, AdjointRule] = {
    ops.recurrence: recurrence_adjoint,
    ops.reduce_prod: reduce_prod_adjoint,
}
