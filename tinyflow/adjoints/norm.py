"""Adjoints of batch normalisation. Layer: adjoints.

Throughout, s = 1 / √(variance + epsilon) and k = gamma * s, a number for each channel; z is x
normalised, (x - mean) * s; m is the number of elements of a channel; Σ and mean() run over batch,
rows and columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

from tinyflow import ops
from tinyflow.adjoints.conv import PLANE
from tinyflow.adjoints.table import AdjointRule, Adjoints
from tinyflow.ir import Node, Op, Value

__all__ = ["RULES"]


def _each(vector: Value, x: Value) -> Value:
    """A number for each channel, repeated over the images x."""
    repeated: Value = ops.broadcast_like(vector, x, reduction_indices=PLANE, keepdims=False)
    return repeated


def _sum(x: Value) -> Value:
    total: Value = ops.reduce_sum(x, reduction_indices=PLANE)
    return total


def _mean(x: Value) -> Value:
    mean: Value = ops.reduce_mean(x, reduction_indices=PLANE)
    return mean


def _scale(variance: Value, epsilon: float) -> Value:
    """s."""
    scale: Value = ops.div(1.0, ops.sqrt(ops.add(variance, epsilon)))
    return scale


def _add(parts: list[Value]) -> Value | None:
    return reduce(ops.add, parts) if parts else None


def batch_norm_adjoint(node: Node, *dys: Value | None) -> Adjoints:
    """In training, batch_norm_grad does it; the moving values are not looked at.

    The batch mean and variance are results too: dmean adds dmean / m to every x, and dvariance adds
    dvariance * 2 (x - mean) / m. Without training see ``_inference``.
    """
    x, gamma = node.inputs[:2]
    if not node.attrs["training"]:
        return _inference(node, dys[0])
    dy, dmean, dvariance = dys
    _, mean, variance = node.outputs
    parts, dgamma, dbeta = [], None, None
    if dy is not None:
        epsilon = node.attrs["epsilon"]
        dx, dgamma, dbeta = ops.batch_norm_grad(dy, x, gamma, mean, variance, epsilon=epsilon)
        parts.append(dx)
    count = ops.size(x, reduction_indices=PLANE)
    if dmean is not None:
        parts.append(_each(ops.div(dmean, count), x))
    if dvariance is not None:
        slope = ops.div(ops.mul(dvariance, 2.0), count)
        parts.append(ops.mul(_each(slope, x), ops.sub(x, _each(mean, x))))
    return _add(parts), dgamma, dbeta, None, None


def _inference(node: Node, dy: Value | None) -> Adjoints:
    """y = k (x - mean) + beta  =>  dx = k dy, dgamma = Σ dy z, dbeta = Σ dy, dmean = -k Σ dy,

    dvariance = -dgamma * gamma * s^2 / 2.
    """
    assert dy is not None
    x, gamma, _, mean, variance = node.inputs
    s = _scale(variance, node.attrs["epsilon"])
    k = ops.mul(gamma, s)
    z = ops.mul(ops.sub(x, _each(mean, x)), _each(s, x))
    dgamma, dbeta = _sum(ops.mul(dy, z)), _sum(dy)
    dvariance = ops.mul(ops.mul(dgamma, -0.5), ops.mul(k, s))
    return ops.mul(dy, _each(k, x)), dgamma, dbeta, ops.neg(ops.mul(dbeta, k)), dvariance


def batch_norm_grad_adjoint(node: Node, *gs: Value | None) -> Adjoints:
    """The second derivative. With a, b, c the adjoints of dx, dgamma, dbeta, and writing

        dx = k r,   r = dy - mean(dy) - z mean(dy z),   dgamma = Σ dy z,   dbeta = Σ dy

    one step back at a time:

        for dy:  batch_norm_grad(a) + b z + c         (a's way through r is that of dy itself)
        for z:   q = dy (b - mean(k a z)) - k a mean(dy z)
        for x:   q s;   for mean:  -Σ q s;   for gamma:  s Σ a r
        for s:   Σ q (x - mean) + gamma Σ a r;   for variance: that * -s^3 / 2
    """
    dy, x, gamma, mean, variance = node.inputs
    a, b, c = gs
    epsilon = node.attrs["epsilon"]
    s = _scale(variance, epsilon)
    centred = ops.sub(x, _each(mean, x))
    z = ops.mul(centred, _each(s, x))
    d_dy: list[Value] = []
    through: Value | None = b  # what dy is multiplied by in q
    q: list[Value] = []
    d_gamma = None
    if a is not None:
        ka = ops.mul(a, _each(ops.mul(gamma, s), x))
        d_dy.append(ops.batch_norm_grad(a, x, gamma, mean, variance, epsilon=epsilon)[0])
        sr = ops.batch_norm_grad(dy, x, ops.ones_like(gamma), mean, variance, epsilon=epsilon)[0]
        d_gamma = _sum(ops.mul(a, sr))
        inner = _mean(ops.mul(ka, z))
        through = ops.neg(inner) if b is None else ops.sub(b, inner)
        q.append(ops.neg(ops.mul(ka, _each(_mean(ops.mul(dy, z)), x))))
    if b is not None:
        d_dy.append(ops.mul(z, _each(b, x)))
    if c is not None:
        d_dy.append(_each(c, x))
    if through is None:
        return _add(d_dy), None, None, None, None
    back = _add([*q, ops.mul(dy, _each(through, x))])
    assert back is not None
    d_x = ops.mul(back, _each(s, x))
    d_s = _sum(ops.mul(back, centred))
    if d_gamma is not None:
        d_s = ops.add(d_s, ops.div(ops.mul(gamma, d_gamma), s))
    d_variance = ops.mul(d_s, ops.mul(ops.mul(s, s), ops.mul(s, -0.5)))
    return _add(d_dy), d_x, d_gamma, ops.neg(_sum(d_x)), d_variance


RULES: Mapping[Op, AdjointRule] = {
    ops.batch_norm: batch_norm_adjoint,
    ops.batch_norm_grad: batch_norm_grad_adjoint,
}
