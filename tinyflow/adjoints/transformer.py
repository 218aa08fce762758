"""Adjoints of batched products, layer normalisation and gelu. Layer: adjoints."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tinyflow import ops
from tinyflow.adjoints.table import AdjointRule, Adjoints
from tinyflow.ir import Node, Op, Value

__all__ = ["RULES"]


def batch_matmul_adjoint(node: Node, dy: Value) -> Adjoints:
    """z[i] = A[i] B[i]  =>  dA[i] = dy[i] B[i]^T, dB[i] = A[i]^T dy[i], transposed as A, B are."""
    x, y = node.inputs
    ta, tb = node.attrs["transpose_a"], node.attrs["transpose_b"]
    product = ops.batch_matmul
    dx = product(dy, y, transpose_b=not tb)
    if ta:
        dx = product(y, dy, transpose_a=tb, transpose_b=True)
    d_y = product(x, dy, transpose_a=not ta)
    if tb:
        d_y = product(dy, x, transpose_a=True, transpose_b=ta)
    return dx, d_y


def layer_norm_adjoint(node: Node, dy: Value) -> Adjoints:
    """See the op layer_norm_grad, which computes all three."""
    x, gamma, _ = node.inputs
    return ops.layer_norm_grad(dy, x, gamma, **node.attrs)  # type: ignore[no-any-return]


def layer_norm_grad_adjoint(node: Node, *dys: Value | None) -> Adjoints:
    """With n, r, the symmetric slope of n, J(c) = r (c - mean c - n mean(c n)), and g = dy gamma:

    dx = J(g), dgamma = sum dy n, dbeta = sum dy. For u, v, w, the adjoints of these three,

        d_dy = gamma J(u) + v n + w         d_gamma = sum dy J(u)
        d_x = J(v dy - r (g mean(u n) + u mean(g n))) - n r^2 (mean(u g) - mean u mean g
                                                               - mean(u n) mean(g n)).
    """
    dy, x, gamma = node.inputs
    u, v, w = (ops.zeros_like(z) if d is None else d for z, d in zip(node.outputs, dys))
    normal, scale = _normal(x, node.attrs["epsilon"])
    g = ops.mul(dy, gamma)
    gn, un = _mean(ops.mul(g, normal)), _mean(ops.mul(u, normal))
    slope = _project(u, normal, scale)
    d_dy = ops.add(ops.add(ops.mul(gamma, slope), ops.mul(v, normal)), w)
    cross = ops.mul(scale, ops.add(ops.mul(g, un), ops.mul(u, gn)))
    inner = _project(ops.sub(ops.mul(v, dy), cross), normal, scale)
    spread = ops.sub(_mean(ops.mul(u, g)), ops.add(ops.mul(_mean(u), _mean(g)), ops.mul(un, gn)))
    d_x = ops.sub(inner, ops.mul(normal, ops.mul(ops.mul(scale, scale), spread)))
    return d_dy, d_x, ops.sum_like(ops.mul(dy, slope), gamma)


def _mean(x: Value) -> Value:
    mean: Value = ops.reduce_mean(x, reduction_indices=(-1,), keepdims=True)
    return mean


def _normal(x: Value, epsilon: float) -> tuple[Value, Value]:
    """n = (x - mean) r and r = 1 / sqrt(variance + epsilon), along the last axis."""
    centred = ops.sub(x, _mean(x))
    scale = ops.rsqrt(ops.add(_mean(ops.mul(centred, centred)), epsilon))
    return ops.mul(centred, scale), scale


def _project(c: Value, normal: Value, scale: Value) -> Value:
    """J(c)."""
    along = ops.add(_mean(c), ops.mul(normal, _mean(ops.mul(c, normal))))
    projected: Value = ops.mul(scale, ops.sub(c, along))
    return projected


def erf_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = erf(x)  =>  dx = dy * 2 / sqrt(pi) * exp(-x^2)."""
    (x,) = node.inputs
    bell = ops.exp(ops.neg(ops.mul(x, x)))
    return (ops.mul(dy, ops.mul(bell, 2 / math.sqrt(math.pi))),)


def rsqrt_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = 1 / sqrt(x)  =>  dx = -dy * z^3 / 2."""
    z = node.outputs[0]
    return (ops.mul(ops.mul(dy, -0.5), ops.mul(z, ops.mul(z, z))),)


def gelu_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = x Phi(x)  =>  dx = dy * (Phi(x) + x phi(x))."""
    return (ops.gelu_grad(dy, node.inputs[0]),)


def gelu_grad_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = g (Phi(x) + x phi(x))  =>  dg = gelu_grad(dy, x), dx = dy * g * phi(x) * (2 - x^2)."""
    g, x = node.inputs
    square = ops.mul(x, x)
    density = ops.mul(ops.exp(ops.mul(square, -0.5)), 1 / math.sqrt(2 * math.pi))
    return ops.gelu_grad(dy, x), ops.mul(ops.mul(dy, g), ops.mul(density, ops.sub(2.0, square)))


RULES: Mapping[Op, AdjointRule] = {
    ops.batch_matmul: batch_matmul_adjoint,
    ops.layer_norm: layer_norm_adjoint,
    ops.layer_norm_grad: layer_norm_grad_adjoint,
    ops.erf: erf_adjoint,
    ops.rsqrt: rsqrt_adjoint,
    ops.gelu: gelu_adjoint,
    ops.gelu_grad: gelu_grad_adjoint,
}
