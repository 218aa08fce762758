"""What a run is fed: checked, converted, and put in the place of inner values. Layer: runtime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyflow import ops
from tinyflow.errors import FeedError, ShapeError
from tinyflow.ir import Graph, Node, Value, rewrite
from tinyflow.types import DType, show_shape, unify_shape

__all__ = ["FEED_DTYPES", "Array", "check_fed", "checked_feeds", "cut"]

Array = np.ndarray[Any, Any]
FEED_DTYPES: dict[np.dtype[Any], DType] = {d.numpy: d for d in DType if d is not DType.bfloat16}


def checked_feeds(fed: Sequence[Value], given: Sequence[Any]) -> list[Array]:
    """One array per fed value, converted within its kind; raises FeedError."""
    if len(set(fed)) < len(fed):
        twice = next(value for at, value in enumerate(fed) if value in fed[:at])
        raise FeedError("the same value is fed twice", node=twice.node, fix="Feed it once.")
    return [_checked(value, array) for value, array in zip(fed, given)]


def _checked(value: Value, given: Any) -> Array:
    """Check one feed against its placeholder and convert it within its kind."""
    node = value.node
    try:
        array = np.asarray(given)  # of a subclass, too: np.matrix multiplies otherwise
    except (ValueError, TypeError, RuntimeError) as error:
        what = f"not something numpy makes an array of: {error}"
        raise FeedError(what, node=node, got=type(given).__name__) from None
    declared = node.attrs.get("dtype") if node.op.name == "placeholder" else None
    have = FEED_DTYPES.get(array.dtype)
    if have is not declared and declared is not None:
        array = _convert(node, array, declared)
    elif have is None:
        array = _convert(node, array, DType.float32 if array.dtype.kind == "f" else DType.int64)
    shape = node.attrs.get("shape")
    if shape is not None:
        try:
            unify_shape(shape, array.shape)
        except ShapeError:
            raise FeedError(
                "a feed has the wrong shape",
                node=node,
                got=show_shape(array.shape),
                expected=show_shape(shape),
            ) from None
    return array


def _convert(node: Node, array: Array, want: DType) -> Array:
    """The array as ``want``, if no number loses its kind: an int becomes a float, never back."""
    if want is DType.bfloat16:
        fix = "Make a float32 placeholder and tf.cast it."
        raise FeedError("numpy has no bfloat16 to feed", node=node, got=array.dtype, fix=fix)
    if want in (DType.int32, DType.int64) and array.size and _may_overflow(array, want):
        _check_range(node, array, want)
    kinds = {
        "f": want.is_floating,
        "i": want is not DType.bool,
        "u": want is not DType.bool,
        "b": True,
    }
    if not kinds.get(array.dtype.kind, False):
        raise FeedError(
            "a feed has the wrong dtype",
            node=node,
            got=array.dtype,
            expected=want,
            fix=f"Convert it with array.astype('{want}') if that is what you mean.",
        )
    return array.astype(want.numpy)


def _may_overflow(array: Array, want: DType) -> bool:
    if array.dtype.kind == "O":  # what numpy makes of integers too large for any dtype
        return all(isinstance(number, int) for number in array.flat)
    return array.dtype.kind in "iu" and not np.can_cast(array.dtype, want.numpy)


def _check_range(node: Node, array: Array, want: DType) -> None:
    """Raise FeedError if an integer has no place in ``want``: it would come back as another."""
    limits = np.iinfo(want.numpy)
    for number in (array.min(), array.max()):
        if not limits.min <= int(number) <= limits.max:
            raise FeedError(
                f"a number does not fit in {want}",
                node=node,
                got=number,
                expected=f"{limits.min} to {limits.max}",
                fix="Feed smaller numbers, or make a placeholder of tf.int64 or tf.float64.",
            )


def check_fed(graph: Graph, feeds: Sequence[Value]) -> None:
    """Raise FeedError if the graph reads a placeholder that is not among ``feeds``."""
    unfed = [n for n in graph.nodes if n.op.name == "placeholder" and Value(n) not in feeds]
    if unfed:
        raise FeedError("placeholder is not fed", node=unfed[0], fix="Give it in feed_dict.")


def cut(
    graph: Graph, feeds: tuple[Value, ...], arrays: Sequence[Array]
) -> tuple[Graph, tuple[Value, ...]]:
    """Replace fed inner values by placeholders of the arrays' shapes: the graph, and what to feed.

    Nothing that only they need is left in the graph.
    """
    inner = {
        v: ops.placeholder(dtype=FEED_DTYPES[array.dtype], shape=array.shape, name=v.node.name)
        for v, array in zip(feeds, arrays)
        if v.node.op.name != "placeholder"
    }
    if not inner:
        return graph, feeds

    def rule(node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...] | None:
        if not any(value in inner for value in node.outputs):
            return None
        return tuple(inner.get(value, value) for value in node.outputs)

    return rewrite(graph, rule)[0], tuple(inner.get(value, value) for value in feeds)
