"""Matrix products. Layer: ops."""

from __future__ import annotations

from tinyflow.errors import ShapeError
from tinyflow.ir.op import Attribute, Op, Shapes
from tinyflow.ops.rules import FLOATING, NUMBER, Attrs, fill_size, with_rank
from tinyflow.types import elements, is_static, show_shape, unify_dim, unify_shape

__all__ = ["gemm", "linear", "matmul"]

_TRANSPOSES = {
    "transpose_a": Attribute("bool", False, "the first factor is stored as its transpose"),
    "transpose_b": Attribute("bool", False, "the second factor is stored as its transpose"),
}


def matmul_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """op(x) (n, k) @ op(y) (k, m) -> (n, m). Each size is known as soon as one place knows it."""
    x, y = with_rank(ins[0], 2, "the first factor"), with_rank(ins[1], 2, "the second factor")
    n, k = x[::-1] if attrs["transpose_a"] else x
    k2, m = y[::-1] if attrs["transpose_b"] else y
    n2, m2 = with_rank(outs[0], 2, "the product")
    try:
        n, k, m = unify_dim(n, n2), unify_dim(k, k2), unify_dim(m, m2)
    except ShapeError:
        raise ShapeError(
            "the factors do not fit",
            got=f"{show_shape(x)} and {show_shape(y)}, product {show_shape((n2, m2))}",
            expected=f"inner sizes that are equal, not {k} and {k2}",
            fix="Is a transpose missing?",
        ) from None
    x, y = (k, n) if attrs["transpose_a"] else (n, k), (m, k) if attrs["transpose_b"] else (k, m)
    return (x, y), ((n, m),)


matmul = Op(
    "matmul",
    inputs=("x", "y"),
    attributes=_TRANSPOSES,
    shape=matmul_shape,
    dtype=NUMBER,
    doc="""z = op(x) @ op(y), where op transposes if its attribute says so. op(x) is (n, k), op(y)
    (k, m), z (n, m).""",
)


def _gemm_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """c has the shape of the product."""
    c = unify_shape(ins[0], outs[0])
    (x, y), (c,) = matmul_shape(attrs, ins[1:], (c,))
    return (c, x, y), (c,)


gemm = Op(
    "gemm",
    inputs=("c", "a", "b"),
    attributes={
        "alpha": Attribute("float", 1.0, "factor of the product"),
        "beta": Attribute("float", 1.0, "factor of c"),
        **_TRANSPOSES,
    },
    shape=_gemm_shape,
    dtype=FLOATING,
    inplace=((0, 0),),
    doc="""z = beta * c + alpha * op(a) @ op(b). c (n, m), op(a) (n, k), op(b) (k, m) -> (n, m). A
    step of gradient descent on a weight is one gemm into its storage. Source: BLAS level 3.""",
)


def _linear_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """x (n, ...) has k elements a row; weight (m, k), bias (m,) -> (n, m). Weights from inputs."""
    x, (m, k) = ins[0], with_rank(ins[1], 2, "the weight")
    n, m2 = with_rank(outs[0], 2, "the output")
    m = unify_dim(m, m2)
    if len(ins) == 3:
        (m3,) = with_rank(ins[2], 1, "the bias")
        m = unify_dim(m, m3)
    if x is not None:
        if len(x) < 2:
            raise ShapeError("x has no rows", got=show_shape(x), expected="rank 2 or more")
        rest = fill_size(x[1:], k)
        x = (unify_dim(x[0], n), *rest)
        n = x[0]
        (k,) = fill_size((k,), elements(rest)) if is_static(rest) else (k,)
    return (x, (m, k), (m,))[: len(ins)], ((n, m),)


linear = Op(
    "linear",
    inputs=("x", "weight", "bias"),
    optional=1,
    shape=_linear_shape,
    dtype=FLOATING,
    doc="""y = x @ weightᵀ + bias, the fully connected layer. x (n, k), weight (m, k), bias (m,) ->
    (n, m); an x of higher rank is flattened to (n, k) first.""",
)
