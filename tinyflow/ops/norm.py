"""Batch normalisation. Layer: ops.

Source: Ioffe and Szegedy, Batch normalization: accelerating deep network training by reducing
internal covariate shift, ICML 2015.
"""

from __future__ import annotations

from tinyflow.ir.op import Attribute, Op, Shapes
from tinyflow.ops.rules import FLOATING, Attrs, with_rank
from tinyflow.types import Shape, unify_dim, unify_shape

__all__ = ["batch_norm", "batch_norm_grad"]

_EPSILON = Attribute("float", 1e-5, "added to the variance, which may be 0")


def _relate(x: Shape, vectors: Shapes) -> tuple[Shape, Shape]:
    """x (n, c, h, w), and vectors (c,) with a number for each channel."""
    x = with_rank(x, 4, "x")
    c = x[1]
    for vector in vectors:
        c = unify_dim(c, with_rank(vector, 1, "a parameter")[0])
    return (x[0], c, *x[2:]), (c,)


def _norm_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    x, c = _relate(unify_shape(ins[0], outs[0]), (*ins[1:], *outs[1:]))
    return (x, *(c,) * (len(ins) - 1)), (x, *(c,) * (len(outs) - 1))


batch_norm = Op(
    "batch_norm",
    inputs=("x", "gamma", "beta", "moving_mean", "moving_variance"),
    attributes={
        "training": Attribute("bool", True, "normalise by the batch; False: by the moving values"),
        "epsilon": _EPSILON,
    },
    outputs=lambda attrs: ("y", "mean", "variance") if attrs["training"] else ("y",),
    shape=_norm_shape,
    dtype=FLOATING,
    doc="""y = gamma * (x - mean) / √(variance + epsilon) + beta for each channel. In training, mean
    and variance (of the batch, divided by n, not n - 1) are computed over batch, rows and columns
    and returned too; the moving ones are not read then, and stand here for the day when the same
    node works without training. x (n, c, h, w), the others (c,) -> (n, c, h, w), (c,), (c,).""",
)


def _grad_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    x = unify_shape(unify_shape(ins[0], ins[1]), outs[0])
    x, c = _relate(x, (*ins[2:], *outs[1:]))
    return (x, x, c, c, c), (x, c, c)


batch_norm_grad = Op(
    "batch_norm_grad",
    inputs=("dy", "x", "gamma", "mean", "variance"),
    attributes={"epsilon": _EPSILON},
    outputs=("dx", "dgamma", "dbeta"),
    shape=_grad_shape,
    dtype=FLOATING,
    doc="""Adjoint of batch_norm in training; mean and variance are those that it returned. With
    s = 1 / √(variance + epsilon) and z = (x - mean) * s: dbeta = Σ dy, dgamma = Σ dy * z,
    dx = gamma * s * (dy - (dbeta + z * dgamma) / m), sums over the m elements of a channel.""",
)
