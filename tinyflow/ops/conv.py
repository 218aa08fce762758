"""Convolution, and what surrounds it: padding, cropping, flattening. Layer: ops.

Images are NCHW: x (n, c, h, w). Filters are OIHW: weight (o, c, kh, kw). Another layout is a matter
of the front end, which transposes, or of strides.
"""

from __future__ import annotations

from tinyflow.errors import ShapeError
from tinyflow.ir.op import Attribute, Op, Shapes
from tinyflow.ops.rules import ANY, FLOATING, Attrs, fill_size, normal_axes, with_rank
from tinyflow.ops.window import SPREAD, reach, slide
from tinyflow.types import Shape, elements, is_static, show_shape, unify_dim

__all__ = [
    "conv2d", "conv2d_input_grad", "conv2d_weight_grad", "crop", "flatten_layer", "pad",
]  # fmt: skip


def _relate(attrs: Attrs, x: Shape, weight: Shape, y: Shape) -> list[Shape]:
    """x (n, c, h, w), weight (o, c/g, kh, kw), y (n, o, h', w'): what each tells of the others."""
    n, c, *image = with_rank(x, 4, "x")
    o, part, *window = with_rank(weight, 4, "the weight")
    n2, o2, *result = with_rank(y, 4, "y")
    n, o, groups = unify_dim(n, n2), unify_dim(o, o2), attrs["groups"]
    if groups < 1 or (c or 0) % groups or (o or 0) % groups:
        got = f"x {show_shape(x)}, weight {show_shape(weight)}, {groups} groups"
        raise ShapeError("cannot cut into groups", got=got, expected="equal parts, 1 or more")
    if c is not None and part is not None and c != groups * part:
        times = f"{groups} * {part}" if groups > 1 else part
        raise ShapeError(
            "the channels do not fit",
            got=f"x {show_shape(x)}, weight {show_shape(weight)}",
            expected=f"axis 1 of equal size, not {c} and {times}",
            fix="x is NCHW, the weight OIHW: is a transpose missing?",
        )
    c = groups * part if c is None and part is not None else c
    image, result = slide(attrs, image, reach(window, attrs["dilations"]), result)
    return [
        (n, c, *image),
        (o, None if c is None else c // groups, *window),
        (n, o, *result),
    ]


def _conv_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """The weight knows its channels from x, the bias its size from the weight."""
    x, weight, y = _relate(attrs, ins[0], ins[1], outs[0])
    if len(ins) == 2:
        return (x, weight), (y,)
    (o,) = with_rank(ins[2], 1, "the bias")
    assert weight is not None and y is not None
    o = unify_dim(o, weight[0])
    return (x, (o, *weight[1:]), (o,)), ((y[0], o, *y[2:]),)


conv2d = Op(
    "conv2d",
    inputs=("x", "weight", "bias"),
    optional=1,
    attributes=SPREAD,
    shape=_conv_shape,
    dtype=FLOATING,
    doc="""y[n, o, i, j] = bias[o] + Σ x[n, c, i * s + a, j * s' + b] * weight[o, c, a, b] over c, a
    and b, x padded with zeros. x (n, c, h, w), weight (o, c, kh, kw), bias (o,) -> (n, o, h', w')
    with h' = ⌊(h + padding - kh) / s⌋ + 1. A correlation, as in every framework. Dilations d stand
    before a and b, and kh counts as (kh - 1) * d + 1. In g groups, the first o/g filters see the
    first c/g channels, and so on: weight (o, c/g, kh, kw); g = c is a depthwise convolution.""",
)


def _input_grad_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    x, weight, dy = _relate(attrs, ins[2], ins[1], ins[0])
    dx, weight, dy = _relate(attrs, outs[0], weight, dy)
    x, weight, dy = _relate(attrs, _both(x, dx), weight, dy)
    return (dy, weight, x), (x,)


def _both(a: Shape, b: Shape) -> Shape:
    assert a is not None and b is not None
    return tuple(unify_dim(p, q) for p, q in zip(a, b))


conv2d_input_grad = Op(
    "conv2d_input_grad",
    inputs=("dy", "weight", "x"),
    attributes=SPREAD,
    shape=_input_grad_shape,
    dtype=FLOATING,
    doc="""Adjoint of conv2d with respect to x, of which only the shape counts: under a stride, dy
    does not tell how large x was. dy (n, o, h', w'), weight (o, c, kh, kw) -> (n, c, h, w).""",
)


def _weight_grad_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    x, weight, dy = _relate(attrs, ins[1], _both_known(ins[2], outs[0]), ins[0])
    assert weight is not None and dy is not None
    if len(outs) == 1:
        return (dy, x, weight), (weight,)
    (o,) = with_rank(outs[1], 1, "the gradient of the bias")
    o = unify_dim(o, weight[0])
    weight, dy = (o, *weight[1:]), (dy[0], o, *dy[2:])
    return (dy, x, weight), (weight, (o,))


def _both_known(a: Shape, b: Shape) -> Shape:
    return _both(with_rank(a, 4, "the weight"), with_rank(b, 4, "the gradient of the weight"))


conv2d_weight_grad = Op(
    "conv2d_weight_grad",
    inputs=("dy", "x", "weight"),
    attributes={**SPREAD, "bias": Attribute("bool", False, "also return that of the bias")},
    outputs=lambda attrs: ("dweight", "dbias") if attrs["bias"] else ("dweight",),
    shape=_weight_grad_shape,
    dtype=FLOATING,
    doc="""Adjoint of conv2d with respect to the weight, of which only the shape counts, and of the
    bias, which one sweep over dy gives as well. dy (n, o, h', w'), x (n, c, h, w) -> (o, c, kh, kw)
    and (o,).""",
)

_STRIP = {
    "dim": Attribute("int", 0, "the axis; negative: counted from the last"),
    "pad": Attribute("int", 0, "how many; negative: before the first element, else after the last"),
}


def _grown(attrs: Attrs, small: Shape, large: Shape) -> tuple[Shape, Shape]:
    """Two shapes that are equal, but for |pad| more along dim."""
    known = large if small is None else small
    if known is None:
        return small, large
    (dim,) = normal_axes((attrs["dim"],), len(known))
    small, large = with_rank(small, len(known), "x"), with_rank(large, len(known), "y")
    extra = [abs(attrs["pad"]) if axis == dim else 0 for axis in range(len(known))]
    low = [None if size is None else size - more for size, more in zip(large, extra)]
    if any(size is not None and size < 0 for size in low):
        raise ShapeError(
            "more than there is", got=show_shape(large), expected=f"{extra[dim]} along axis {dim}"
        )
    small = tuple(unify_dim(a, b) for a, b in zip(small, low))
    return small, tuple(
        b if size is None else size + more for size, b, more in zip(small, large, extra)
    )


def _pad_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    small, large = _grown(attrs, ins[0], outs[0])
    return (small,), (large,)


def _crop_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    small, large = _grown(attrs, outs[0], ins[0])
    return (large,), (small,)


pad = Op(
    "pad",
    inputs=("x",),
    attributes=_STRIP,
    shape=_pad_shape,
    dtype=ANY,
    doc="x with |pad| zeros more along ``dim``: before it if pad is negative, else after it.",
)

crop = Op(
    "crop",
    inputs=("x",),
    attributes=_STRIP,
    shape=_crop_shape,
    dtype=ANY,
    doc="x without its first (pad negative) or last |pad| elements along ``dim``: undoes a pad.",
)


def _flatten_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """x (n, ...) has k elements a row."""
    x, (n, k) = ins[0], with_rank(outs[0], 2, "the output")
    if x is None:
        return ins, ((n, k),)
    if not x:
        raise ShapeError("x has no rows", got=show_shape(x), expected="rank 1 or more")
    n, rest = unify_dim(x[0], n), fill_size(x[1:], k)
    (k,) = fill_size((k,), elements(rest)) if is_static(rest) else (k,)
    return ((n, *rest),), ((n, k),)


flatten_layer = Op(
    "flatten_layer",
    inputs=("x",),
    shape=_flatten_shape,
    dtype=ANY,
    aliases=((0, 0),),
    doc="x (n, ...) as a matrix (n, k) with a row for each of the n.",
)
