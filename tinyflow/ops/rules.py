"""Shape and dtype rules that several ops share. Layer: ops.

A rule looks at what is known of inputs and outputs and returns what is known after; it is pure, it
only ever adds knowledge, and it raises ShapeError or DTypeError on a contradiction. An op of its
own shape has its rule beside its row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinyflow.errors import DTypeError, GraphError, ShapeError
from tinyflow.ir.op import Attribute, DTypes, Op, Shapes
from tinyflow.types import DType, Shape, promote, show_shape, unify_dim, unify_shape

__all__ = [
    "ANY",
    "COMPARISON",
    "END",
    "FLOATING",
    "NUMBER",
    "Family",
    "TargetShape",
    "attribute_dtype",
    "attribute_shape",
    "axis_shape",
    "broadcast_shape",
    "broadcast_shapes",
    "fill_size",
    "kernel_dtypes",
    "normal_axes",
    "one_rank",
    "picked",
    "reduce_shape",
    "same_shape",
    "with_rank",
]

Attrs = Mapping[str, Any]
END = 2**62  # an index beyond every end: a slice up to the end


class TargetShape(Attribute):
    """Attribute of kind ``shape``: sizes known, but for at most ``unknown`` None (or -1)."""

    __slots__ = ("unknown",)
    unknown: int

    def __init__(self, doc: str, unknown: int = 0) -> None:
        Attribute.__init__(self, "shape", doc=doc)
        object.__setattr__(self, "unknown", unknown)

    def check(self, value: object) -> Any:
        """Return the shape normalised; raises GraphError with got and expected."""
        if isinstance(value, Sequence):
            value = tuple(None if dim == -1 else dim for dim in value)
        shape = Attribute.check(self, value)
        if shape is None or shape.count(None) > self.unknown:
            expected = "every size known" if not self.unknown else "at most one size to infer"
            raise GraphError("wrong attribute value", got=show_shape(shape), expected=expected)
        return shape


def same_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """All inputs and outputs have one shape: what is known of one is known of all."""
    shape: Shape = None
    for other in (*ins, *outs):
        shape = unify_shape(shape, other)
    return (shape,) * len(ins), (shape,) * len(outs)


def axis_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """One shape, which has the ``axis`` of the attribute."""
    ins, outs = same_shape(attrs, ins, outs)
    if ins[0] is not None:
        normal_axes((attrs["axis"],), len(ins[0]))
    return ins, outs


def attribute_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """The output has the shape of the attribute; what that leaves open may be known already."""
    return ins, tuple(unify_shape(attrs["shape"], out) for out in outs)


def broadcast_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """Numpy broadcasting of all inputs. Forward only: an output never tells what was stretched."""
    result: Shape = ()
    for shape in ins:
        result = broadcast_shapes(result, shape)
    return ins, (unify_shape(result, outs[0]),)


def broadcast_shapes(a: Shape, b: Shape) -> Shape:
    """The shape of ``a + b``; None if a rank is unknown. Raises ShapeError if they do not fit.

    An unknown size beside a size other than 1 must come out as that size; beside 1 it is unknown.

    >>> broadcast_shapes((None, 1, 3), (4, None))
    (None, 4, 3)
    """
    if a is None or b is None:
        return None
    if a == b or not a or not b:
        return a or b
    rank = max(len(a), len(b))
    pairs = zip((1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b)
    try:
        return tuple(_broadcast_dim(x, y) for x, y in pairs)
    except ShapeError:
        raise ShapeError(
            "shapes do not broadcast",
            got=f"{show_shape(a)} and {show_shape(b)}",
            expected="sizes, aligned at the right, that are equal or 1",
        ) from None


def _broadcast_dim(x: int | None, y: int | None) -> int | None:
    if x == 1 or y == 1:
        return y if x == 1 else x
    return unify_dim(x, y)


def reduce_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """Axes in ``reduction_indices`` (None: all) vanish, or stay with size 1 under ``keepdims``.

    Sizes that are kept are known of both sides as soon as they are known of one.
    """
    axes, keep = attrs["reduction_indices"], attrs["keepdims"]
    x, y = ins[0], outs[0]
    if axes is None and not keep:
        return ins, (unify_shape(y, ()),)
    if x is None and y is not None:
        rank = len(y) if keep else _rank_before(axes, len(y))
        x = None if rank is None else (None,) * rank
    if x is None:
        return ins, outs
    reduced = normal_axes(axes, len(x))
    if keep:
        y = unify_shape(tuple(1 if i in reduced else d for i, d in enumerate(x)), y)
        kept = iter([d for i, d in enumerate(y or ()) if i not in reduced])
    else:
        y = unify_shape(tuple(d for i, d in enumerate(x) if i not in reduced), y)
        kept = iter(y or ())
    return (tuple(d if i in reduced else next(kept) for i, d in enumerate(x)),), (y,)


def _rank_before(axes: Sequence[int], rank: int) -> int | None:
    """Rank of the input of a reduction; 0 and -1 may be one axis, so mixed signs tell nothing."""
    signs = {axis < 0 for axis in axes}
    return rank + len(set(axes)) if len(signs) < 2 else None


def normal_axes(axes: Sequence[int] | None, rank: int) -> tuple[int, ...]:
    """Axes counted from 0, ascending; None means all. Raises ShapeError: out of range, or twice.

    >>> normal_axes((-1, 0), 3)
    (0, 2)
    """
    if axes is None:
        return tuple(range(rank))
    found = sorted(axis + rank if axis < 0 else axis for axis in axes)
    if any(not 0 <= axis < rank for axis in found):
        expected = f"{-rank} to {rank - 1}" if rank else "no axes: the input is a scalar"
        raise ShapeError("an axis is out of range", got=tuple(axes), expected=expected)
    if len(set(found)) < len(found):
        raise ShapeError("an axis is named twice", got=tuple(axes), expected="different axes")
    return tuple(found)


def with_rank(shape: Shape, rank: int, what: str) -> tuple[int | None, ...]:
    """``shape``, or all sizes unknown; raises ShapeError naming ``what`` if the rank differs."""
    if shape is None:
        return (None,) * rank
    if len(shape) != rank:
        raise ShapeError(f"{what} has the wrong rank", got=show_shape(shape), expected=rank)
    return shape


def one_rank(*shapes: Shape) -> int | None:
    """The rank of the first shape of which it is known; the others should have it too."""
    return next((len(shape) for shape in shapes if shape is not None), None)


def picked(shape: Sequence[int | None], attrs: Attrs) -> list[tuple[int, range | None]]:
    """Each axis that a slice of an array of this ``shape`` cuts, and the indices that it takes.

    None stands for indices that depend on an unknown size. Raises ShapeError for attributes
    (``begin``, ``end``, ``axes``, ``strides``, ``exact``) that contradict each other or the shape.
    """
    begin, end = attrs["begin"], attrs["end"]
    axes = range(len(begin)) if attrs["axes"] is None else attrs["axes"]
    strides = (1,) * len(begin) if attrs["strides"] is None else attrs["strides"]
    lengths = {len(begin), len(end), len(axes), len(strides)}
    if len(lengths) > 1 or 0 in strides:
        got = f"begin {begin}, end {end}, axes {tuple(axes)}, strides {strides}"
        raise ShapeError("not a slice", got=got, expected="equally many of each, no stride 0")
    normal_axes(axes, len(shape))
    cuts = zip(begin, end, axes, strides)
    exact = attrs["exact"]
    return [
        (a % len(shape), _indices(shape[a], first, last, by, exact)) for first, last, a, by in cuts
    ]


def _indices(size: int | None, first: int, last: int, stride: int, exact: bool) -> range | None:
    """The indices that ``[first:last:stride]`` takes of ``size``; None if that is not known."""
    if size is None:
        known = exact and 0 <= first <= last < END
        return range(first, last, stride) or range(0) if known else None
    start, stop = (end + size if end < 0 else end for end in (first, last))
    if exact and not 0 <= start <= (size if last >= END else stop) <= size:
        got, expected = f"{first} to {last}", f"a range within 0 to {size}"
        raise ShapeError("the slice is out of range", got=got, expected=expected)
    return range(size)[first:last:stride] or range(0)  # an empty one may start at -1


def fill_size(shape: tuple[int | None, ...], count: int | None) -> tuple[int | None, ...]:
    """Fill in the one unknown size of a shape that has ``count`` elements.

    It stays unknown if another size is zero, for then it may be anything. Raises ShapeError if no
    size fits.
    """
    known = math.prod(d for d in shape if d is not None)
    missing = shape.count(None)
    if count is None or missing > 1 or (missing == 1 and known == count == 0):
        return shape
    if known != count and (missing == 0 or known == 0 or count % known):
        raise ShapeError("elements do not fit", got=count, expected=f"shape {show_shape(shape)}")
    return tuple(count // known if d is None else d for d in shape)


@dataclass(frozen=True, slots=True)
class Family:
    """DType rule of ops that compute in one dtype.

    The known inputs among ``decides`` (None: all) promote; ``computes`` turns that into the dtype
    the kernel works in; inputs among ``converts`` (None: those that decide) must have it, take it
    when they are unknown (weak constants), and are cast to it otherwise. Every output has it too,
    unless ``result`` names another.
    """

    computes: Callable[[DType], DType]
    decides: tuple[int, ...] | None = None
    converts: tuple[int, ...] | None = None
    result: DType | None = None

    def __call__(self, attrs: Attrs, ins: DTypes, outs: DTypes) -> tuple[DTypes, DTypes]:
        """Both directions: an unknown input of a known output takes the dtype of the output."""
        deciding = [ins[i] for i in self._positions(self.decides, ins)]
        out = outs[0] if self.result is None else None
        known = [d for d in (*deciding, out if None in deciding else None) if d is not None]
        if not known:
            return ins, (self.result,) * len(outs)
        dtype = self.computes(promote(*known))
        if out not in (None, dtype):
            raise DTypeError("dtypes contradict", got=out, expected=dtype, fix="Insert a cast.")
        weak = self._positions(self.converts or self.decides, ins)
        refined = [dtype if d is None and i in weak else d for i, d in enumerate(ins)]
        return refined, (self.result or dtype,) * len(outs)

    def kernel_dtypes(self, ins: DTypes) -> tuple[DType | None, ...]:
        """What each input must be cast to before the kernel runs; None where nothing is known."""
        known = [d for i in self._positions(self.decides, ins) if (d := ins[i]) is not None]
        if not known:
            return tuple(ins)
        dtype, cast = (
            self.computes(promote(*known)),
            self._positions(self.converts or self.decides, ins),
        )
        return tuple(dtype if i in cast else d for i, d in enumerate(ins))

    @staticmethod
    def _positions(chosen: tuple[int, ...] | None, ins: Sequence[object]) -> Sequence[int]:
        return range(len(ins)) if chosen is None else chosen


def _number(dtype: DType) -> DType:
    return DType.float32 if dtype is DType.bool else dtype


def _floating(dtype: DType) -> DType:
    return dtype if dtype.is_floating else DType.float32


ANY = Family(lambda dtype: dtype)  # moves elements, does not compute with them
NUMBER = Family(_number)  # truth values count as 0.0 and 1.0
FLOATING = Family(_floating)  # has no sense, or no exact result, among integers
COMPARISON = Family(lambda dtype: dtype, result=DType.bool)


def attribute_dtype(attrs: Attrs, ins: DTypes, outs: DTypes) -> tuple[DTypes, DTypes]:
    """The output has the dtype of the attribute, whatever goes in."""
    return ins, (attrs["dtype"],) * len(outs)


def kernel_dtypes(op: Op, attrs: Attrs, ins: DTypes, outs: DTypes) -> tuple[DType | None, ...]:
    """The dtype each input must have when the kernel of ``op`` runs, from the inferred dtypes.

    ``specialise`` inserts casts where it differs. An op whose dtype rule is a plain function takes
    its inputs as they come; inputs of which only the shape is read are never cast.
    """
    if not isinstance(op.dtype, Family):
        return tuple(ins)
    needed = op.dtype.kernel_dtypes(ins)
    if not op.shape_only:
        return needed
    return tuple(d if i in op.shape_only else n for i, (d, n) in enumerate(zip(ins, needed)))
