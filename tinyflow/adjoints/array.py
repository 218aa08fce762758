"""Adjoints of ops that join, cut and pick parts of arrays. Layer: adjoints.

All are linear in x: joining is undone by cutting, picking by putting back among zeros.
"""

from __future__ import annotations

from collections.abc import Mapping

from tinyflow import ops
from tinyflow.adjoints.table import AdjointRule, Adjoints
from tinyflow.ir import Node, Op, Value

__all__ = ["RULES"]


def concat_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = the inputs in a row  =>  each gets its part of dy."""
    attrs = {"num": len(node.inputs), "axis": node.attrs["axis"]}
    return ops.split_like.node((dy, *node.inputs), attrs).outputs


def split_adjoint(node: Node, *dys: Value | None) -> Adjoints:
    """z0, z1, ... = parts of x  =>  dx = the adjoints of the parts in a row, 0 for parts unused."""
    return (_joined(node, dys),)


def split_like_adjoint(node: Node, *dys: Value | None) -> Adjoints:
    """As split; the likes are read for their shapes only."""
    return _joined(node, dys), *(None for _ in node.inputs[1:])


def _joined(node: Node, dys: tuple[Value | None, ...]) -> Value:
    parts = (ops.zeros_like(z) if dy is None else dy for z, dy in zip(node.outputs, dys))
    whole: Value = ops.concat(*parts, axis=node.attrs["axis"])
    return whole


def slice_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = x[range]  =>  dx = dy at the range, 0 elsewhere."""
    return (ops.slice_grad(dy, node.inputs[0], **node.attrs),)


def slice_grad_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = 0, but z[range] = g  =>  dg = dy[range]."""
    attrs = {key: value for key, value in node.attrs.items() if key != "shape"}
    return ops.slice(dy, **attrs), *(None for _ in node.inputs[1:])


def gather_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = x[ids]  =>  dx = 0, plus each row of dy at the id that it was read by.

    It waits for the gather itself, which checks the ids before a step writes anything.
    """
    x, ids = node.inputs
    return ops.gather_grad(dy, ids, x, axis=node.attrs["axis"], after=(node,)), None


def gather_grad_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = 0, plus the rows of g at the ids  =>  dg = dy[ids]."""
    dg = ops.gather(dy, node.inputs[1], axis=node.attrs["axis"])
    return dg, *(None for _ in node.inputs[1:])


def cumsum_adjoint(node: Node, dy: Value) -> Adjoints:
    """z[i] = sum of x[j] over j <= i  =>  dx[j] = sum of dy[i] over i >= j: the other way round."""
    return (ops.cumsum(dy, **{**node.attrs, "reverse": not node.attrs["reverse"]}),)


def view_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = x with axes of size 1 more or less  =>  dx = dy in the shape of x."""
    return (ops.reshape_like(dy, node.inputs[0]),)


RULES: Mapping[Op, AdjointRule] = {
    ops.concat: concat_adjoint,
    ops.split: split_adjoint,
    ops.split_like: split_like_adjoint,
    ops.slice: slice_adjoint,
    ops.slice_grad: slice_grad_adjoint,
    ops.gather: gather_adjoint,
    ops.gather_grad: gather_grad_adjoint,
    ops.cumsum: cumsum_adjoint,
    ops.expand_dims: view_adjoint,
    ops.squeeze: view_adjoint,
}
