"""Adjoints of matrix products. Layer: adjoints."""

from __future__ import annotations

from collections.abc import Mapping

from tinyflow import ops
from tinyflow.adjoints.table import AdjointRule, Adjoints
from tinyflow.ir import Node, Op, Value

__all__ = ["RULES", "matmul_adjoint"]


def matmul_adjoint(node: Node, dy: Value) -> tuple[Value | None, ...]:
    """Adjoints of both inputs of ``node``, which computes the matrix product z = A B.

    ``node.inputs`` is (x, y). ``node.attrs["transpose_a"]`` says whether A is x or x^T, and
    ``node.attrs["transpose_b"]`` whether B is y or y^T. A (n, k), B (k, m), z and ``dy`` (n, m),
    all floating and of rank 2. With neither transpose set, return (∂L/∂x, ∂L/∂y) with

        ∂L/∂x = dy B^T  (n, k)           ∂L/∂y = A^T dy  (k, m)

    If x enters as x^T, its adjoint is the transpose of that formula, (dy B^T)^T = B dy^T (k, n), in
    the shape of x; y^T likewise: there are four cases.

    Build each adjoint as *one* ``ops.matmul(a, b, transpose_a=..., transpose_b=...)``, whose
    arguments transpose a and b for free. A node of its own for a transpose would move memory.
    Matrix products do not broadcast: no ``sum_like`` is needed. No shape is known here, and square
    matrices hide a wrong transpose: test with n, k and m all different.

    Example: x = [[1, 2, 3]] (1, 3), y = [[1, 0], [0, 1], [2, 2]] (3, 2), dy = [[10, 1]] (1, 2)
    gives ∂L/∂x = dy y^T = [[10, 1, 22]] and ∂L/∂y = x^T dy = [[10, 1], [20, 2], [30, 3]].

    Source: Giles, Collected matrix derivative results for forward and reverse mode algorithmic
    differentiation, 2008, section 2.2.2; TensorFlow's _MatMulGrad.
    """
    x, y = node.inputs
    ta, tb = node.attrs["transpose_a"], node.attrs["transpose_b"]
    if ta:
        dx = ops.matmul(y, dy, transpose_a=tb, transpose_b=True)
    else:
        dx = ops.matmul(dy, y, transpose_b=not tb)
    if tb:
        return dx, ops.matmul(dy, x, transpose_a=True, transpose_b=ta)
    return dx, ops.matmul(x, dy, transpose_a=not ta)


def gemm_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = beta C + alpha A B  =>  dC = beta dy; dA, dB as for matmul, of alpha dy."""
    c, a, b = node.inputs
    attrs = {key: node.attrs[key] for key in ("transpose_a", "transpose_b")}
    product = ops.matmul(a, b, **attrs).node
    da, db = matmul_adjoint(product, ops.mul(dy, node.attrs["alpha"]))
    return ops.sum_like(ops.mul(dy, node.attrs["beta"]), c), da, db


def linear_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = x W^T + b, dy (n, m)  =>  dx = dy W in the shape of x, dW = dy^T x, db = column sums.

    x of higher rank counts as (n, k); dy W has exactly that shape and serves as the pattern for it.
    """
    x, weight = node.inputs[:2]
    flat_x, dx = x, ops.matmul(dy, weight)
    if not _is_matrix(x):
        flat_x, dx = ops.reshape_like(x, dx), ops.reshape_like(dx, x)
    dw = ops.matmul(dy, flat_x, transpose_a=True)
    if len(node.inputs) == 2:
        return dx, dw
    return dx, dw, ops.reduce_sum(dy, reduction_indices=(0,))


def _is_matrix(x: Value) -> bool:
    """True if x is seen to have two axes: a product, a placeholder that says so, or f(those)."""
    while x.node.op.expr and len(x.node.inputs) == 1:
        x = x.node.inputs[0]
    return x.node.op in _MATRICES or len(x.node.attrs.get("shape") or ()) == 2


_MATRICES = (ops.linear, ops.matmul, ops.flatten_layer)
RULES: Mapping[Op, AdjointRule] = {
    ops.matmul: matmul_adjoint,
    ops.gemm: gemm_adjoint,
    ops.linear: linear_adjoint,
}
