"""Pooling: one number for each window of an image. Layer: ops.

Images are NCHW; strides and padding are those of convolution.
"""

from __future__ import annotations

from tinyflow.errors import ShapeError
from tinyflow.ir.op import Attribute, DTypes, Op, Shapes
from tinyflow.ops.rules import FLOATING, Attrs, Family, with_rank
from tinyflow.ops.window import WINDOW, Counts, slide
from tinyflow.types import DType, Shape, unify_dim, unify_shape

__all__ = [
    "avg_pool2d",
    "avg_pool2d_grad",
    "max_pool2d",
    "max_pool2d_grad",
    "max_pool2d_take",
]

_WINDOW = {"ksize": Counts("height and width of the window", 2, 1, (1, 1)), **WINDOW}
_AVERAGE = {
    **_WINDOW,
    "count_padding": Attribute("bool", True, "padding counts as zeros; False: it does not count"),
}


def _relate(attrs: Attrs, x: Shape, y: Shape) -> tuple[Shape, Shape]:
    """x (n, c, h, w), y (n, c, h', w'): what each tells of the other."""
    padding, window = attrs["padding"], attrs["ksize"]
    if padding is not None and any(p >= window[i // 2] for i, p in enumerate(padding)):
        raise ShapeError(
            "a window would see nothing but padding", got=padding, expected=f"less than {window}"
        )
    n, c, *image = with_rank(x, 4, "x")
    n2, c2, *result = with_rank(y, 4, "y")
    n, c = unify_dim(n, n2), unify_dim(c, c2)
    image, result = slide(attrs, image, window, result)
    return (n, c, *image), (n, c, *result)


def _max_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    x, y = _relate(attrs, ins[0], unify_shape(*outs))
    return (x,), (y, y)


def _avg_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    x, y = _relate(attrs, ins[0], outs[0])
    return (x,), (y,)


def _max_grad_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    x, dy = _relate(attrs, unify_shape(ins[2], outs[0]), unify_shape(ins[0], ins[1]))
    return (dy, dy, x), (x,)


def _avg_grad_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    x, dy = _relate(attrs, unify_shape(ins[1], outs[0]), ins[0])
    return (dy, x), (x,)


def _take_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    x, y = _relate(attrs, ins[0], unify_shape(ins[1], outs[0]))
    return (x, y), (y,)


class _PooledDType(Family):
    """The maximum has the dtype of x, its place is an int64."""

    __slots__ = ()

    def __call__(self, attrs: Attrs, ins: DTypes, outs: DTypes) -> tuple[DTypes, DTypes]:
        ins, results = Family.__call__(self, attrs, ins, outs)
        return ins, (results[0], DType.int64)


max_pool2d = Op(
    "max_pool2d",
    inputs=("x",),
    attributes=_WINDOW,
    outputs=("y", "index"),
    shape=_max_shape,
    dtype=_PooledDType(FLOATING.computes),
    doc="""y: the largest element of each window, padding left out; nan if one is nan. index: where
    it was, the first of equals, as row * w + column in x. x (n, c, h, w) -> (n, c, h', w') twice;
    the index is what the adjoint needs.""",
)

max_pool2d_grad = Op(
    "max_pool2d_grad",
    inputs=("dy", "index", "x"),
    attributes=_WINDOW,
    shape=_max_grad_shape,
    dtype=Family(FLOATING.computes, decides=(0, 2)),
    doc="""Adjoint of max_pool2d: dy, added up at the places ``index`` of an image of zeros as large
    as x. dy and index (n, c, h', w') -> (n, c, h, w).""",
)

max_pool2d_take = Op(
    "max_pool2d_take",
    inputs=("x", "index"),
    attributes=_WINDOW,
    shape=_take_shape,
    dtype=Family(FLOATING.computes, decides=(0,)),
    doc="""The elements of each plane of x at ``index``, which max_pool2d returned: the adjoint of
    max_pool2d_grad. x (n, c, h, w), index (n, c, h', w') -> (n, c, h', w').""",
)

avg_pool2d = Op(
    "avg_pool2d",
    inputs=("x",),
    attributes=_AVERAGE,
    shape=_avg_shape,
    dtype=FLOATING,
    doc="y: the mean of each window. x (n, c, h, w) -> (n, c, h', w').",
)

avg_pool2d_grad = Op(
    "avg_pool2d_grad",
    inputs=("dy", "x"),
    attributes=_AVERAGE,
    shape=_avg_grad_shape,
    dtype=FLOATING,
    doc="""Adjoint of avg_pool2d: each element of dy in equal parts to the window that it is the
    mean of. Of x only the shape counts. dy (n, c, h', w') -> (n, c, h, w).""",
)
