"""``tf.`` functions that compare, choose, join, cut and pick. Layer: frontend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyflow import ops
from tinyflow.errors import GraphError
from tinyflow.frontend.tf.known import forward_shape
from tinyflow.frontend.tf.scope import current_scope
from tinyflow.frontend.tf.tensor import Like, Tensor, apply, unwrap, wrap
from tinyflow.ops.rules import END
from tinyflow.types import DType, show_shape

__all__ = [
    "batch_matmul", "clip_by_value", "concat", "cumsum", "expand_dims", "gather", "logical_and",
    "logical_not", "logical_or", "one_hot", "slice", "split", "squeeze", "stack", "unstack",
    "where",
]  # fmt: skip


def logical_and(x: Like, y: Like, name: str | None = None) -> Tensor:
    """True where both are not 0; a bool, shapes broadcast."""
    return apply(ops.minimum, _truth(x), _truth(y), name=name)


def logical_or(x: Like, y: Like, name: str | None = None) -> Tensor:
    """True where one is not 0; a bool, shapes broadcast."""
    return apply(ops.maximum, _truth(x), _truth(y), name=name)


def logical_not(x: Like, name: str | None = None) -> Tensor:
    """True where x, of any shape, is 0 or False; a bool."""
    return apply(ops.equal, _truth(x), False, name=name)


def _truth(x: Like) -> Tensor:
    return apply(ops.cast, x, dtype=DType.bool)


def where(
    condition: Like, x: Like | None = None, y: Like | None = None, name: str | None = None
) -> Tensor:
    """x where the condition is True, else y; all broadcast as in numpy, x and y promote.

    Except that a condition of rank 1 chooses among the rows of an x of higher rank, as in
    TensorFlow 1. Raises GraphError without x and y; a run raises DTypeError for a condition that
    is no bool, ShapeError if shapes do not broadcast.
    """
    if x is None or y is None:
        fix = "Multiply by tf.cast(condition, tf.float32), or run the condition and use numpy."
        raise GraphError("where without x and y has no fixed shape", expected="x and y", fix=fix)
    ranks = [len(forward_shape(unwrap(value)) or ()) for value in (condition, x, y)]
    for _ in range(max(ranks) - 1 if ranks[0] == 1 else 0):
        condition = expand_dims(condition, -1)
    return apply(ops.where, condition, x, y, name=name)


def clip_by_value(
    t: Like, clip_value_min: Like, clip_value_max: Like, name: str | None = None
) -> Tensor:
    """t, raised to the minimum and lowered to the maximum; numbers, or tensors that broadcast."""
    low = apply(ops.maximum, t, clip_value_min)
    return apply(ops.minimum, low, clip_value_max, name=name)


def batch_matmul(
    x: Like, y: Like, adj_x: bool = False, adj_y: bool = False, name: str | None = None
) -> Tensor:
    """Matrix products (..., n, k) x (..., k, m) -> (..., n, m), of transposed operands if asked.

    Leading axes are equal in both. A run raises ShapeError where sizes do not fit.
    """
    return apply(ops.batch_matmul, x, y, transpose_a=adj_x, transpose_b=adj_y, name=name)


def concat(values: Sequence[Like], axis: int, name: str | None = None) -> Tensor:
    """The values one after the other along ``axis``, equal along the others; dtypes promote.

    Raises GraphError if there is none; a run raises ShapeError for sizes that differ.
    """
    if isinstance(values, int | np.integer):
        got, expected = f"concat({values}, [...])", "concat([...], axis)"
        fix = "Since TensorFlow 1.0 the tensors come first."
        raise GraphError("the arguments are in the old order", got=got, expected=expected, fix=fix)
    return apply(ops.concat, *values, axis=axis, name=name)


def stack(values: Sequence[Like], axis: int = 0, name: str | None = None) -> Tensor:
    """The values, all of one shape, side by side along a new ``axis``: n of (2, 3) -> (n, 2, 3).

    Raises GraphError if there is none; a run raises ShapeError for shapes that differ.
    """
    return concat([expand_dims(value, axis) for value in values], axis, name)


def split(
    value: Like, num_or_size_splits: int | Sequence[int], axis: int = 0, name: str | None = None
) -> list[Tensor]:
    """Parts of ``value`` along ``axis``: so many equal ones, or ones of these sizes.

    Raises GraphError for no parts; a run raises ShapeError if they do not make up the whole.
    """
    given, scope = num_or_size_splits, current_scope()
    attrs = {"num" if isinstance(given, int | np.integer) else "sizes": given, "axis": axis}
    name = name and scope.unique_name(name)
    node = ops.split.node((unwrap(value),), attrs, name=name, after=scope.waits)
    if not node.outputs:
        raise GraphError("nothing to split into", node=node, got=given, expected="a part or more")
    return [Tensor(part) for part in node.outputs]


def unstack(
    value: Like, num: int | None = None, axis: int = 0, name: str | None = None
) -> list[Tensor]:
    """The ``num`` parts of size 1 along ``axis``, without it. Raises GraphError if nobody knows how
    many there are: ``num`` is needed only where no shape tells it.
    """
    shape = forward_shape(unwrap(value))
    known = shape[axis] if num is None and shape and -len(shape) <= axis < len(shape) else num
    if known is None:
        fix = "Say num=, or give the placeholder a shape."
        raise GraphError("how many parts is not known", got=show_shape(shape), fix=fix)
    return [squeeze(part, axis) for part in split(value, known, axis, name)]


def slice(
    input_: Like, begin: Sequence[int], size: Sequence[int], name: str | None = None
) -> Tensor:
    """``size`` elements from ``begin`` on, along the first axes; size -1: all that follow.

    Raises GraphError for a negative begin or size, ShapeError for a range beyond the end.
    """
    if len(begin) != len(size) or min((*begin, 0)) < 0 or min((*size, 0)) < -1:
        expected = "one size per begin, neither negative (a size of -1: the rest)"
        raise GraphError("not a slice", got=f"{tuple(begin)}, {tuple(size)}", expected=expected)
    end = [END if count == -1 else first + count for first, count in zip(begin, size)]
    return apply(ops.slice, input_, begin=begin, end=end, exact=True, name=name)


def gather(params: Like, indices: Like, axis: int = 0, name: str | None = None) -> Tensor:
    """The parts of ``params`` along ``axis`` whose numbers stand in ``indices``.

    params (..., v, ...) and integers (i, ...) -> (..., i, ..., ...), in the dtype of params. A run
    raises RunError naming an index that is not among 0 to v - 1.
    """
    return apply(ops.gather, params, indices, axis=axis or 0, name=name)


def cumsum(
    x: Like, axis: int = 0, exclusive: bool = False, reverse: bool = False, name: str | None = None
) -> Tensor:
    """Running sums along ``axis``, in the shape of x.

    Exclusive: without the element itself; reverse: from the end. A run raises ShapeError for an
    axis that x lacks.
    """
    return apply(ops.cumsum, x, axis=axis, exclusive=exclusive, reverse=reverse, name=name)


def expand_dims(input: Like, axis: int, name: str | None = None) -> Tensor:
    """x with one more axis of size 1; ``dim`` is the old name of ``axis``.

    A run raises ShapeError for an axis out of range.
    """
    return apply(ops.expand_dims, input, axis=axis, name=name)


def squeeze(input: Like, axis: Any = None, name: str | None = None) -> Tensor:
    """x without its axes of size 1 (all by default); ``squeeze_dims`` is the old name.

    A run raises ShapeError for an axis of another size.
    """
    return apply(ops.squeeze, input, axes=axis, name=name)


def one_hot(
    indices: Like,
    depth: int,
    on_value: float | None = None,
    off_value: float | None = None,
    axis: int | None = None,
    dtype: DType | str | None = None,
    name: str | None = None,
) -> Tensor:
    """(...) -> (..., depth): ``on_value`` where the index along ``axis`` is the number in
    ``indices``, else ``off_value``; 1 and 0 if they are None.

    The new axis is the last one, unless ``axis`` says otherwise; the dtype is float32.
    """
    place = -1 if axis is None else axis
    numbers: Any = np.arange(depth, dtype=np.int32)
    if place != -1:  # as many axes of size 1 behind it as indices has from there on
        rank = len(wrap(unwrap(indices)).get_shape())
        numbers = numbers.reshape(-1, *(1,) * (rank - place if place >= 0 else -1 - place))
    here = apply(ops.equal, expand_dims(indices, place), numbers)
    chosen = (1 if on_value is None else on_value, 0 if off_value is None else off_value)
    on, off = (Tensor(ops.constant(value, dtype=dtype or DType.float32)) for value in chosen)
    return apply(ops.where, here, on, off, name=name)
