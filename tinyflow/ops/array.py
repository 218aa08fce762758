"""Ops that join, cut and pick parts of arrays. Layer: ops.

Every rule works both ways: what is known of the parts tells about the whole, and back. Axes may be
negative; they are checked as soon as a rank is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tinyflow.errors import DTypeError, GraphError, ShapeError
from tinyflow.ir.op import Attribute, DTypes, Op, Shapes
from tinyflow.ops.rules import (
    ANY,
    NUMBER,
    Attrs,
    Family,
    axis_shape,
    normal_axes,
    one_rank,
    picked,
    with_rank,
)
from tinyflow.types import DType, Shape, show_shape, unify_dim, unify_shape

__all__ = [
    "concat", "cumsum", "expand_dims", "gather", "gather_grad", "slice", "slice_grad", "split",
    "split_like", "squeeze",
]  # fmt: skip

_X = Family(ANY.computes, decides=(0,))
_AXIS = Attribute("int", 0, "the axis; negative: counted from the end")
_SHAPE = Attribute("shape", None, "shape of the result, if there is no ``like``")
_Sizes = Sequence[int | None]


def _add_up(sizes: _Sizes, total: int | None) -> tuple[_Sizes, int | None]:
    """Sizes of parts and their sum; the one that is missing follows from the others."""
    known, missing = sum(d for d in sizes if d is not None), sizes.count(None)
    if total is not None and (known > total or (known < total and not missing)):
        got = f"{' + '.join('?' if d is None else str(d) for d in sizes)}"
        raise ShapeError("the parts do not add up to the whole", got=got, expected=total)
    if missing == 0:
        return sizes, known
    if missing == 1 and total is not None:
        return [total - known if d is None else d for d in sizes], total
    return sizes, total


def _concat_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """Sizes along the axis add up; the others are equal."""
    rank = one_rank(*ins, *outs)
    if rank is None:
        return ins, outs
    (axis,) = normal_axes((attrs["axis"],), rank)
    parts, whole = [with_rank(x, rank, "a part") for x in ins], with_rank(outs[0], rank, "y")
    rest: Shape = None
    for shape in (*parts, whole):
        rest = unify_shape(rest, (*shape[:axis], None, *shape[axis + 1 :]))
    assert rest is not None
    before, after = rest[:axis], rest[axis + 1 :]
    sizes, total = _add_up([shape[axis] for shape in parts], whole[axis])
    return [(*before, size, *after) for size in sizes], [(*before, total, *after)]


concat = Op(
    "concat",
    inputs=("x", "more"),
    variadic=True,
    attributes={"axis": _AXIS},
    shape=_concat_shape,
    dtype=ANY,
    doc="The inputs one after the other along ``axis``: (2, 3) and (4, 3) -> (6, 3) for axis 0.",
)


def _split_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """Concatenating the parts gives x."""
    rank = one_rank(*ins, *outs)
    if rank is None:
        return ins, outs
    (axis,) = normal_axes((attrs["axis"],), rank)
    sizes: _Sizes | None = attrs["sizes"]
    if sizes is None:
        sizes = _equal_sizes(with_rank(ins[0], rank, "x")[axis], axis, rank, outs)
    if any(size is not None and size < 0 for size in sizes):
        raise ShapeError("a size is negative", got=tuple(sizes), expected="sizes of 0 or more")
    after = (None,) * (rank - axis - 1)
    parts = [unify_shape(y, (*(None,) * axis, d, *after)) for y, d in zip(outs, sizes)]
    parts, whole = _concat_shape(attrs, parts, ins)  # type: ignore[assignment]
    return whole, parts


def _equal_sizes(whole: int | None, axis: int, rank: int, parts: Shapes) -> _Sizes:
    """One size for all parts, from the whole or from any part."""
    if whole is not None and (not parts or whole % len(parts)):
        expected = f"a multiple of {len(parts)}" if parts else "one part or more"
        raise ShapeError("cannot cut into equal parts", got=whole, expected=expected)
    size = None if whole is None else whole // len(parts)
    for part in parts:
        size = unify_dim(size, with_rank(part, rank, "a part")[axis])
    return (size,) * len(parts)


def _parts(attrs: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the results; of billions, the names alone would fill the memory."""
    count = attrs["num"] if attrs.get("sizes") is None else len(attrs["sizes"])
    if not 0 <= count <= 2**16:
        raise GraphError("wrong number of parts", got=count, expected="0 to 65536")
    return tuple(f"y{i}" for i in range(count))


split = Op(
    "split",
    inputs=("x",),
    attributes={
        "num": Attribute("int", 1, "number of equal parts, if no sizes are given"),
        "sizes": Attribute("ints", None, "size of each part along the axis"),
        "axis": _AXIS,
    },
    shape=_split_shape,
    dtype=ANY,
    outputs=_parts,
    doc="x, cut along ``axis`` into ``num`` equal parts or into parts of these ``sizes``; copies.",
)


def _split_like_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """Each part has the shape of its ``like``."""
    likes = [unify_shape(like, y) for like, y in zip(ins[1:], outs, strict=True)]
    parts, whole = _concat_shape(attrs, likes, ins[:1])
    return (*whole, *parts), parts


split_like = Op(
    "split_like",
    inputs=("x", "likes"),
    variadic=True,
    attributes={"num": Attribute("int", doc="number of likes"), "axis": _AXIS},
    shape=_split_like_shape,
    dtype=_X,
    outputs=_parts,
    doc="x, cut along ``axis`` into parts of the shapes of the ``likes``: the adjoint of concat.",
)

_RANGES = {
    "begin": Attribute("ints", doc="first index along each of the axes"),
    "end": Attribute("ints", doc="index after the last; 2 ** 62 or more: up to the end"),
    "axes": Attribute("ints", None, "the axes that are cut; None: the first ones"),
    "strides": Attribute("ints", None, "steps, not 0; None: 1 everywhere"),
    "exact": Attribute("bool", False, "True: an index beyond the end is an error, not cut off"),
}


def _slice_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """Axes that are not cut have one size on both sides."""
    rank = one_rank(*ins, *outs)
    if rank is None:
        return ins, outs
    x, y = with_rank(ins[0], rank, "x"), with_rank(outs[0], rank, "y")
    whole = set(range(rank)) - {axis for axis, _ in picked(x, attrs)}
    x = tuple(unify_dim(d, y[i]) if i in whole else d for i, d in enumerate(x))
    sizes = list(x)
    for axis, indices in picked(x, attrs):
        sizes[axis] = None if indices is None else len(indices)
    return (x,), (unify_shape(y, tuple(sizes)),)


slice = Op(
    "slice",
    inputs=("x",),
    attributes=_RANGES,
    shape=_slice_shape,
    dtype=ANY,
    doc="""y = x[begin:end:strides] along each of ``axes``, as Python slices: negative indices count
    from the end. Axes that are not listed stay whole. A copy.""",
)


def _result_shape(attrs: Attrs, like: Shapes, outs: Shapes) -> Shape:
    """Shape of an op whose result has the shape of an optional input or of an attribute."""
    if not like and attrs["shape"] is None:
        raise ShapeError("the shape of the result is not given", expected="like, or shape=")
    return unify_shape(unify_shape(attrs["shape"], outs[0]), like[0] if like else None)


def _slice_grad_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """dy is what slice makes of the result."""
    whole = _result_shape(attrs, ins[1:], outs)
    (y,), (dy,) = _slice_shape(attrs, (whole,), ins[:1])
    return (dy, y)[: len(ins)], (y,)


slice_grad = Op(
    "slice_grad",
    inputs=("dy", "like"),
    optional=1,
    attributes={**_RANGES, "shape": _SHAPE},
    shape=_slice_grad_shape,
    dtype=_X,
    shape_only=frozenset({1}),
    doc="0 in the shape of ``like``, but dy where slice reads: the adjoint of slice.",
)


class _IndexedDType(Family):
    """The ids are integers, or floats checked by the kernel; they take no part otherwise."""

    __slots__ = ()

    def __call__(self, attrs: Attrs, ins: DTypes, outs: DTypes) -> tuple[DTypes, DTypes]:
        if ins[1] is DType.bool:
            expected = "an integer dtype, or floats without fraction"
            raise DTypeError("ids are not integers", got=ins[1], expected=expected)
        return Family.__call__(self, attrs, ins, outs)


def _gather_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """The axis of x gives way to the axes of ids."""
    (x, ids), y = ins, outs[0]
    if x is None and ids is not None and y is not None:
        x = (None,) * (len(y) - len(ids) + 1)
    if x is None:
        return ins, outs
    (axis,) = normal_axes((attrs["axis"],), len(x))
    if ids is None and y is not None:
        ids = (None,) * (len(y) - len(x) + 1)
    if ids is None:
        return ins, outs
    end = axis + len(ids)
    y = unify_shape((*x[:axis], *ids, *x[axis + 1 :]), y) or ()
    return ((*y[:axis], x[axis], *y[end:]), y[axis:end]), (y,)


gather = Op(
    "gather",
    inputs=("x", "ids"),
    attributes={"axis": _AXIS},
    shape=_gather_shape,
    dtype=_IndexedDType(ANY.computes, decides=(0,)),
    can_fail=True,
    doc="""y = x[ids] along ``axis``: rows of a table by number. x (v, d), ids (...) integers from 0
    to v - 1 (floats must have no fraction) -> (..., d) for axis 0.""",
)


def _gather_grad_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """dy is what gather makes of the result."""
    whole = _result_shape(attrs, ins[2:], outs)
    (y, ids), (dy,) = _gather_shape(attrs, (whole, ins[1]), ins[:1])
    return (dy, ids, y)[: len(ins)], (y,)


gather_grad = Op(
    "gather_grad",
    inputs=("dy", "ids", "like"),
    optional=1,
    attributes={"axis": _AXIS, "shape": _SHAPE},
    shape=_gather_grad_shape,
    dtype=_IndexedDType(NUMBER.computes, decides=(0,)),
    shape_only=frozenset({2}),
    doc="""0 in the shape of ``like``, plus each part of dy where gather read it: the adjoint of
    gather, which has checked the ids. Ids that occur twice add up.""",
)

cumsum = Op(
    "cumsum",
    inputs=("x",),
    attributes={
        "axis": _AXIS,
        "exclusive": Attribute("bool", False, "sum what comes before, without the element itself"),
        "reverse": Attribute("bool", False, "sum from the end"),
    },
    shape=axis_shape,
    dtype=NUMBER,
    doc="y[i] = x[0] + ... + x[i] along ``axis``; a float32 for bool.",
)


def _expand_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """An axis of size 1 more."""
    (x,), (y,) = ins, outs
    if x is None and y is not None:
        x = (None,) * (len(y) - 1)
    if x is None:
        return ins, outs
    (axis,) = normal_axes((attrs["axis"],), len(x) + 1)
    y = unify_shape((*x[:axis], 1, *x[axis:]), y) or ()
    return ((*y[:axis], *y[axis + 1 :]),), (y,)


expand_dims = Op(
    "expand_dims",
    inputs=("x",),
    attributes={"axis": Attribute("int", 0, "where the new axis stands in the result")},
    shape=_expand_shape,
    dtype=ANY,
    aliases=((0, 0),),
    doc="x with one more axis of size 1: (2, 3) -> (2, 1, 3) for axis 1.",
)


def _squeeze_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """Axes of size 1 less."""
    (x,), (y,), axes = ins, outs, attrs["axes"]
    if x is None or (axes is None and None in x):
        return ins, outs
    if axes is None:
        axes = tuple(i for i, d in enumerate(x) if d == 1)
    gone = normal_axes(axes, len(x))
    if any(x[axis] not in (None, 1) for axis in gone):
        raise ShapeError("an axis to squeeze is not 1", got=show_shape(x), expected=f"1 at {axes}")
    kept = iter(unify_shape(tuple(d for i, d in enumerate(x) if i not in gone), y) or ())
    x = tuple(1 if i in gone else next(kept) for i in range(len(x)))
    return (x,), (tuple(d for i, d in enumerate(x) if i not in gone),)


squeeze = Op(
    "squeeze",
    inputs=("x",),
    attributes={"axes": Attribute("ints", None, "axes of size 1 to take away; None: all of them")},
    shape=_squeeze_shape,
    dtype=ANY,
    aliases=((0, 0),),
    doc="x without axes of size 1: (2, 1, 3) -> (2, 3).",
)
