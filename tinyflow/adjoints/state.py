"""Adjoints of leaves, of ops on state, and of groups. Layer: adjoints."""

from __future__ import annotations

from collections.abc import Mapping

from tinyflow import ops
from tinyflow.adjoints.table import AdjointRule, Adjoints, NoGradient
from tinyflow.ir import CONSTANT, Node, Op, Value

__all__ = ["RULES"]


def identity_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = x  =>  dx = dy."""
    return (dy,)


_LEAF = NoGradient("a leaf has no inputs: gradients end here")

RULES: Mapping[Op, AdjointRule] = {
    CONSTANT: _LEAF,
    ops.placeholder: _LEAF,
    ops.variable: _LEAF,
    ops.assign: NoGradient("an assignment changes state; differentiate the value it assigns"),
    ops.group: NoGradient("a group has no value"),
    ops.identity: identity_adjoint,
    ops.fused: NoGradient("groups are made after gradients; differentiate what is in the body"),
    ops.stop_gradient: NoGradient("it stops gradients on purpose"),
}
