"""Adjoints of leaves, of ops on state, and of groups. Layer: adjoints."""

from __future__ import annotations

from collections.abc import Mapping

from tinyflow import ops
from tinyflow.adjoints.table import AdjointRule, Adjoints, NoGradient
from tinyflow.ir import CONSTANT, Node, Op, Value, rewrite

__all__ = ["RULES"]


def identity_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = x  =>  dx = dy."""
    return (dy,)


def with_gradient_adjoint(node: Node, dy: Value) -> Adjoints:
    """dx by the user's own graph, in which ``dy`` takes the place of its placeholder."""
    body = node.attrs["backward"]
    hole = body.outputs[0].node
    filled, _ = rewrite(body, lambda inner, _: (dy,) if inner is hole else None)
    return (None, *filled.outputs[1:])


_LEAF = NoGradient("a leaf has no inputs: gradients end here")

RULES: Mapping[Op, AdjointRule] = {
    CONSTANT: _LEAF,
    ops.placeholder: _LEAF,
    ops.variable: _LEAF,
    ops.assign: NoGradient("an assignment changes state; differentiate the value it assigns"),
    ops.group: NoGradient("a group has no value"),
    ops.identity: identity_adjoint,
    ops.copy_to: identity_adjoint,  # ``place`` copies dy to where it is needed
    ops.fused: NoGradient("groups are made after gradients; differentiate what is in the body"),
    ops.with_gradient: with_gradient_adjoint,
    ops.stop_gradient: NoGradient("it stops gradients on purpose"),
}
