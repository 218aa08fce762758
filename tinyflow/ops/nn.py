"""Softmax and the losses made of it. Layer: ops.

All are computed from x - max x, so that no exponential overflows: softmax(x) = softmax(x - c).
"""

from __future__ import annotations

from tinyflow.errors import DTypeError, ShapeError
from tinyflow.ir.op import Attribute, DTypes, Op, Shapes
from tinyflow.ops.rules import ANY, FLOATING, Attrs, Family, axis_shape, with_rank
from tinyflow.types import DType, show_shape, unify_dim, unify_shape

__all__ = [
    "checked_labels", "log_softmax", "log_softmax_grad", "mean_softmax_cross_entropy_with_logits",
    "mean_sparse_softmax_cross_entropy_with_logits", "softmax", "softmax_cross_entropy_with_logits",
    "softmax_grad", "sparse_softmax_cross_entropy_grad",
]  # fmt: skip

_AXIS = {"axis": Attribute("int", -1, "the axis along which the probabilities sum to 1")}


softmax = Op(
    "softmax",
    inputs=("x",),
    attributes=_AXIS,
    shape=axis_shape,
    dtype=FLOATING,
    doc="y = exp(x) / Σ exp(x), the sum over ``axis``.",
)

log_softmax = Op(
    "log_softmax",
    inputs=("x",),
    attributes=_AXIS,
    shape=axis_shape,
    dtype=FLOATING,
    doc="y = x - ln Σ exp(x), the sum over ``axis``.",
)

softmax_grad = Op(
    "softmax_grad",
    inputs=("dy", "y"),
    attributes=_AXIS,
    shape=axis_shape,
    dtype=FLOATING,
    doc="y = softmax(x)  =>  dx = y * (dy - Σ dy * y).",
)

log_softmax_grad = Op(
    "log_softmax_grad",
    inputs=("dy", "y"),
    attributes=_AXIS,
    shape=axis_shape,
    dtype=FLOATING,
    doc="y = log_softmax(x)  =>  dx = dy - exp(y) * Σ dy.",
)


def _sparse_shape(logits: object, labels: object) -> Shapes:
    """logits (n, c) and labels (n,): what is known of n."""
    n, c = with_rank(logits, 2, "logits")  # type: ignore[arg-type]
    (n2,) = with_rank(labels, 1, "labels")  # type: ignore[arg-type]
    n = unify_dim(n, n2)
    return (n, c), (n,)


def _sparse_loss_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """logits (n, c), labels (n,) -> ()."""
    return _sparse_shape(*ins), (unify_shape((), outs[0]),)


class _LabelledDType(Family):
    """The labels are integers, or floats checked by the kernel; they take no part otherwise."""

    __slots__ = ()

    def __call__(self, attrs: Attrs, ins: DTypes, outs: DTypes) -> tuple[DTypes, DTypes]:
        if ins[-1] is DType.bool:
            expected = "an integer dtype, or floats without fraction"
            raise DTypeError("labels are not class numbers", got=ins[-1], expected=expected)
        return Family.__call__(self, attrs, ins, outs)


_NORMALISED = {
    "normalised": Attribute("bool", False, "a hint: logits are log_softmax of something already")
}

mean_sparse_softmax_cross_entropy_with_logits = Op(
    "mean_sparse_softmax_cross_entropy_with_logits",
    inputs=("logits", "labels"),
    attributes=_NORMALISED,
    shape=_sparse_loss_shape,
    dtype=_LabelledDType(FLOATING.computes, decides=(0,)),
    can_fail=True,
    doc="""loss = -1/n Σᵢ log_softmax(logits)[i, labels[i]]. logits (n, c), labels (n,) class
    numbers 0 to c - 1 (floats must have no fraction) -> (). Nan for n = 0. Normalising twice
    changes nothing, so a kernel need not where logits are ``normalised``.""",
)


def _sparse_grad_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """dy (), logits (n, c), labels (n,) -> (n, c)."""
    logits, labels = _sparse_shape(unify_shape(ins[1], outs[0]), ins[2])
    return (unify_shape((), ins[0]), logits, labels), (logits,)


sparse_softmax_cross_entropy_grad = Op(
    "sparse_softmax_cross_entropy_grad",
    inputs=("dy", "logits", "labels"),
    attributes=_NORMALISED,
    shape=_sparse_grad_shape,
    dtype=_LabelledDType(FLOATING.computes, decides=(0, 1)),
    can_fail=True,
    doc="""Adjoint of the mean sparse loss: dlogits = dy / n * (softmax(logits) - onehot(labels)).
    dy (), logits (n, c), labels (n,) -> (n, c).""",
)


class _CheckedDType(Family):
    """x keeps its dtype; the others may have any."""

    __slots__ = ()

    def __call__(self, attrs: Attrs, ins: DTypes, outs: DTypes) -> tuple[DTypes, DTypes]:
        x = ins[0] or outs[0]
        return (x, *ins[1:]), (x,)


def _checked_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """The result is x; hits is a scalar, labels (n,)."""
    x = unify_shape(ins[0], outs[0])
    return (x, unify_shape((), ins[1]), with_rank(ins[2], 1, "labels")), (x,)


checked_labels = Op(
    "checked_labels",
    inputs=("x", "hits", "labels"),
    attributes={"classes": Attribute("int", doc="labels must be smaller than this")},
    shape=_checked_shape,
    dtype=_CheckedDType(ANY.computes, decides=(), converts=()),
    aliases=((0, 0),),
    can_fail=True,
    doc="""x itself, if each of the n labels (n,) met its class: ``hits`` () is n. What a sparse
    loss checks, for one that is written as elementwise ops.""",
)


def _dense_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """logits and labels (..., c) -> (...)."""
    shape, rows = unify_shape(*ins), outs[0]
    if rows is not None:
        shape = unify_shape(shape, (*rows, None))
    if shape is not None and not shape:
        raise ShapeError("no classes", got=show_shape(shape), expected="rank 1 or more")
    return (shape, shape), (shape if shape is None else shape[:-1],)


softmax_cross_entropy_with_logits = Op(
    "softmax_cross_entropy_with_logits",
    inputs=("logits", "labels"),
    shape=_dense_shape,
    dtype=FLOATING,
    doc="""loss = -Σ labels * log_softmax(logits) over the last axis. logits (n, c), labels (n, c)
    probabilities -> (n,).""",
)


def _mean_dense_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """logits and labels (..., c) -> ()."""
    ins, _ = _dense_shape(attrs, ins, (None,))
    return ins, (unify_shape((), outs[0]),)


mean_softmax_cross_entropy_with_logits = Op(
    "mean_softmax_cross_entropy_with_logits",
    inputs=("logits", "labels"),
    shape=_mean_dense_shape,
    dtype=FLOATING,
    doc="""loss = -1/n Σ labels * log_softmax(logits). logits (n, c), labels (n, c) probabilities ->
    (). Nan for n = 0.""",
)
