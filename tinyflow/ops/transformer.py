"""What a transformer adds: products of many matrices, normalisation, gelu. Layer: ops."""

from __future__ import annotations

from tinyflow.errors import ShapeError
from tinyflow.ir.op import Attribute, Op, Shapes
from tinyflow.ops.linalg import matmul_shape
from tinyflow.ops.rules import FLOATING, NUMBER, Attrs, one_rank, same_shape, with_rank
from tinyflow.types import Shape, show_shape, unify_dim, unify_shape

__all__ = [
    "batch_matmul", "erf", "gelu", "gelu_grad", "layer_norm", "layer_norm_grad", "rsqrt",
]  # fmt: skip


def _batch_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """Leading sizes are equal; the last two are those of a matrix product."""
    rank = one_rank(*ins, *outs)
    if rank is None:
        return ins, outs
    if rank < 2:
        raise ShapeError("the factors are no matrices", got=f"rank {rank}", expected="2 or more")
    shapes = [with_rank(shape, rank, "a factor or the product") for shape in (*ins, *outs)]
    lead: Shape = None
    for shape in shapes:
        lead = unify_shape(lead, shape[:-2])
    x, y, z = (shape[-2:] for shape in shapes)
    matrices, products = matmul_shape(attrs, (x, y), (z,))
    return [(*lead, *m) for m in matrices], [(*lead, *m) for m in products]  # type: ignore[misc]


batch_matmul = Op(
    "batch_matmul",
    inputs=("x", "y"),
    attributes={
        "transpose_a": Attribute("bool", False, "the first matrices are stored as transposes"),
        "transpose_b": Attribute("bool", False, "the second matrices are stored as transposes"),
    },
    shape=_batch_shape,
    dtype=NUMBER,
    doc="""z[i] = op(x[i]) @ op(y[i]) for each index i of the leading axes, which x and y share.
    op(x) (..., n, k), op(y) (..., k, m) -> (..., n, m).""",
)


def _layer_norm_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """x and y (..., d), gamma and beta (d,)."""
    x = unify_shape(ins[0], outs[0])
    (d,), (d2,) = with_rank(ins[1], 1, "gamma"), with_rank(ins[2], 1, "beta")
    d = unify_dim(d, d2)
    if x is not None:
        if not x:
            raise ShapeError("x has no axis to normalise", got=show_shape(x), expected="rank 1")
        d = unify_dim(d, x[-1])
        x = (*x[:-1], d)
    return (x, (d,), (d,)), (x,)


_EPSILON = {"epsilon": Attribute("float", 1e-5, "added to the variance")}

layer_norm = Op(
    "layer_norm",
    inputs=("x", "gamma", "beta"),
    attributes=_EPSILON,
    shape=_layer_norm_shape,
    dtype=FLOATING,
    doc="""y = gamma * (x - mean) / √(variance + epsilon) + beta, statistics over the last axis.
    x (..., d), gamma (d,), beta (d,) -> (..., d). Source: Ba, Kiros and Hinton, 2016,
    arXiv:1607.06450.""",
)


def _layer_norm_grad_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """dy, x and dx (..., d), gamma, dgamma and dbeta (d,)."""
    dx = unify_shape(ins[0], outs[0])
    d = unify_shape(outs[1], outs[2])
    (x, gamma, _), _ = _layer_norm_shape(attrs, (ins[1], ins[2], d), (dx,))
    return (x, x, gamma), (x, gamma, gamma)


layer_norm_grad = Op(
    "layer_norm_grad",
    inputs=("dy", "x", "gamma"),
    attributes=_EPSILON,
    shape=_layer_norm_grad_shape,
    dtype=FLOATING,
    outputs=("dx", "dgamma", "dbeta"),
    doc="""Adjoints of layer_norm. With r = 1 / √(variance + epsilon), n = (x - mean) * r and
    g = dy * gamma: dx = r * (g - mean g - n * mean(g * n)), dgamma = Σ dy * n, dbeta = Σ dy.""",
)


def _unary(name: str, expr: str, doc: str) -> Op:
    return Op(name, ("x",), same_shape, FLOATING, inplace=((0, 0),), expr=expr, doc=doc)


erf = _unary("erf", "erf(x)", "y = 2/√π ∫ exp(-t²) dt from 0 to x.")
rsqrt = _unary("rsqrt", "rsqrt(x)", "y = 1 / √x; inf at 0, nan below.")
gelu = _unary(
    "gelu",
    "0.5 * x * (1 + erf(x * 0.7071067811865476))",
    "y = x Φ(x), Φ the normal distribution. Source: Hendrycks and Gimpel, 2016, arXiv:1606.08415.",
)

gelu_grad = Op(
    "gelu_grad",
    inputs=("dy", "x"),
    shape=same_shape,
    dtype=FLOATING,
    inplace=((0, 0), (1, 0)),
    expr=(
        "dy * (0.5 * (1 + erf(x * 0.7071067811865476))"
        " + x * exp(-0.5 * x * x) * 0.3989422804014327)"
    ),
    doc="y = gelu(x)  =>  dx = dy * (Φ(x) + x φ(x)), φ the normal density.",
)
