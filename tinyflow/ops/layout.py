"""Ops that move, repeat and fold elements. Layer: ops.

``*_like`` ops take the target shape from another value, so that gradients can be written down
before any shape is known; ``specialise`` replaces them once it is.
"""

from __future__ import annotations

from tinyflow.errors import ShapeError
from tinyflow.ir.op import Attribute, Op, Shapes
from tinyflow.ops.rules import (
    ANY,
    NUMBER,
    Attrs,
    Family,
    TargetShape,
    attribute_dtype,
    attribute_shape,
    broadcast_shapes,
    fill_size,
    normal_axes,
    with_rank,
)
from tinyflow.types import DType, Shape, elements, is_static, show_shape, unify_shape

__all__ = [
    "broadcast_like",
    "broadcast_to",
    "ones",
    "reshape",
    "reshape_like",
    "sum_like",
    "transpose",
    "zeros",
]

_X = Family(ANY.computes, decides=(0,))


def _reshape_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """Both sides have the same number of elements; one unknown size follows from it."""
    x, y = ins[0], unify_shape(attrs["shape"], outs[0])
    if is_static(x):
        y = fill_size(y or (), elements(x))
        if not is_static(y):
            shown = f"{show_shape(x)} to {show_shape(y)}"
            raise ShapeError("any size would do", got=shown, expected="every size given")
    elif x is not None and is_static(y):
        x = fill_size(x, elements(y))
    return (x,), (y,)


reshape = Op(
    "reshape",
    inputs=("x",),
    attributes={"shape": TargetShape("sizes; one may be None or -1: the rest of x", unknown=1)},
    shape=_reshape_shape,
    dtype=ANY,
    aliases=((0, 0),),
    doc="The elements of x, in row-major order, under another shape of as many elements.",
)


def _same_elements(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """The output has the shape of ``like``, and x as many elements."""
    x, like = ins[0], unify_shape(ins[1], outs[0])
    if x is not None and is_static(like):
        x = fill_size(x, elements(like))
    elif like is not None and is_static(x):
        like = fill_size(like, elements(x))
    return (x, like), (like,)


reshape_like = Op(
    "reshape_like",
    inputs=("x", "like"),
    shape=_same_elements,
    dtype=_X,
    aliases=((0, 0),),
    shape_only=frozenset({1}),
    doc="x, reshaped to the shape of ``like``.",
)


def _transpose_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """Sizes move with their axes; both directions."""
    x, y, perm = ins[0], outs[0], attrs["perm"]
    if perm is None:
        if x is None and y is None:
            return ins, outs
        perm = tuple(reversed(range(len(x if x is not None else y or ()))))
    if sorted(perm) != list(range(len(perm))):
        expected = f"each of 0 to {len(perm) - 1} once"
        raise ShapeError("perm is not a permutation", got=perm, expected=expected)
    x = with_rank(x, len(perm), "x")
    y = unify_shape(tuple(x[axis] for axis in perm), y)
    return (tuple((y or ())[perm.index(axis)] for axis in range(len(perm))),), (y,)


transpose = Op(
    "transpose",
    inputs=("x",),
    attributes={
        "perm": Attribute("ints", None, "axis i of y is axis perm[i] of x; None: reversed")
    },
    shape=_transpose_shape,
    dtype=ANY,
    doc="x with its axes in another order. y[i, j, ...] = x[...]; a copy.",
)


def _check_stretch(x: Shape, y: Shape) -> None:
    """Raise ShapeError if broadcasting x cannot give y."""
    if y is not None and x is not None:
        known = tuple(1 if d is None else d for d in x)
        stretched = broadcast_shapes(known, y)
        if len(x) > len(y) or unify_shape(stretched, y) != stretched:
            raise ShapeError("cannot broadcast", got=show_shape(x), expected=show_shape(y))


def _broadcast_to_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """The attribute tells the output; x must broadcast to it, and is never guessed."""
    _, (y,) = attribute_shape(attrs, ins, outs)
    _check_stretch(ins[0], y)
    return ins, (y,)


broadcast_to = Op(
    "broadcast_to",
    inputs=("x",),
    attributes={"shape": TargetShape("shape of the result")},
    shape=_broadcast_to_shape,
    dtype=ANY,
    doc="x, repeated along the axes that it lacks or has with size 1; a copy.",
)


def _broadcast_like_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """The output has the shape of ``like``; x, axes inserted, must broadcast to it."""
    x, like = ins[0], unify_shape(ins[1], outs[0])
    if like is not None and x is not None:
        if not attrs["keepdims"]:
            inserted = normal_axes(attrs["reduction_indices"], len(like))
            kept = iter(with_rank(x, len(like) - len(inserted), "x"))
            x = tuple(1 if i in inserted else next(kept) for i in range(len(like)))
        _check_stretch(x, like)
    return (ins[0], like), (like,)


broadcast_like = Op(
    "broadcast_like",
    inputs=("x", "like"),
    attributes={
        "reduction_indices": Attribute("ints", None, "axes a reduction took away; None: all"),
        "keepdims": Attribute("bool", True, "False: x lacks these axes, insert them with size 1"),
    },
    shape=_broadcast_like_shape,
    dtype=_X,
    shape_only=frozenset({1}),
    doc="""x, repeated to the shape of ``like``: broadcast_to, and the adjoint of a reduction of
    ``like`` when ``reduction_indices`` and ``keepdims`` are those of the reduction.""",
)


def _sum_like_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """The output has the shape of ``like``, which must broadcast to that of x."""
    x, like = ins[0], unify_shape(ins[1], outs[0])
    _check_stretch(like, x)
    return (x, like), (like,)


sum_like = Op(
    "sum_like",
    inputs=("x", "like"),
    shape=_sum_like_shape,
    dtype=Family(NUMBER.computes, decides=(0,)),
    shape_only=frozenset({1}),
    doc="""x, summed over the axes along which ``like`` would be repeated to become as large as x:
    the adjoint of broadcasting. (4, 3) like (3,) -> (3,); (4, 3) like (4, 1) -> (4, 1).""",
)


def _filled(name: str, doc: str) -> Op:
    """A new array; the shape is known."""
    attributes = {
        "shape": TargetShape("shape of the result"),
        "dtype": Attribute("dtype", DType.float32, "element type"),
    }
    return Op(name, (), attribute_shape, attribute_dtype, attributes, doc=doc)


zeros = _filled("zeros", "0 everywhere.")
ones = _filled("ones", "1 everywhere.")
