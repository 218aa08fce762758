"""``x[1:, ..., None, 0]``: what stands between the brackets, as nodes. Layer: frontend."""

from __future__ import annotations

from operator import index
from typing import Any

from tinyflow import ops
from tinyflow.errors import GraphError
from tinyflow.ir import Value
from tinyflow.ops.rules import END

__all__ = ["indexed"]


def indexed(x: Value, key: object) -> Value:
    """x[key] as in numpy, for integers, slices, ``...`` and ``None`` (a new axis).

    The rank of x need not be known: what follows ``...`` is counted from the end. Slices cut off
    what is not there; an integer that is out of range is a ShapeError. Raises GraphError for other
    keys.
    """
    keys = list(key) if isinstance(key, tuple) else [key]
    dots = [at for at, item in enumerate(keys) if item is Ellipsis]
    if len(dots) > 1:
        raise GraphError("more than one '...'", node=x.node, got=len(dots), expected="at most 1")
    front = keys[: dots[0]] if dots else keys
    back = keys[dots[0] + 1 :] if dots else []
    old_front = [item for item in front if item is not None]
    old_back = [item for item in back if item is not None]
    cuts = dict(enumerate(old_front)) | {at - len(old_back): k for at, k in enumerate(old_back)}
    y = _cut(x, {axis: item for axis, item in cuts.items() if isinstance(item, slice)})
    y = _pick(y, {axis: _whole(x, k) for axis, k in cuts.items() if not isinstance(k, slice)})
    for at, item in enumerate(front):
        if item is None:
            y = ops.expand_dims(y, axis=sum(_stays(other) for other in front[:at]))
    for at, item in enumerate(back):
        if item is None:
            after = [other for other in back[at + 1 :] if other is not None]
            y = ops.expand_dims(y, axis=-1 - sum(map(_stays, after)))
    return y


def _stays(item: object) -> bool:
    """True if there is an axis for this key in the result."""
    return item is None or isinstance(item, slice)


def _whole(x: Value, item: Any) -> int:
    try:
        return index(item)
    except TypeError:
        raise GraphError(
            "cannot index with this",
            node=x.node,
            got=type(item).__name__,
            expected="integers, slices, ... and None",
            fix="tf.gather and tf.where take tensors.",
        ) from None


def _cut(x: Value, cuts: dict[int, slice]) -> Value:
    """The slices, but those that take everything."""
    cuts = {axis: item for axis, item in cuts.items() if item != slice(None)}
    if not cuts:
        return x
    steps = [1 if item.step is None else _whole(x, item.step) for item in cuts.values()]
    pairs = zip(cuts.values(), steps)
    ends = [(0, END, 1) if step > 0 else (END, -END, -1) for step in steps]
    begin = [e[0] if i.start is None else _whole(x, i.start) for i, e in zip(cuts.values(), ends)]
    end = [e[1] if i.stop is None else _whole(x, i.stop) for (i, _), e in zip(pairs, ends)]
    cut: Value = ops.slice(x, begin=begin, end=end, axes=list(cuts), strides=steps)
    return cut


def _pick(x: Value, picks: dict[int, int]) -> Value:
    """One index each, and its axis away."""
    if not picks:
        return x
    begin, axes = list(picks.values()), list(picks)
    end = [END if at == -1 else at + 1 for at in begin]
    picked = ops.slice(x, begin=begin, end=end, axes=axes, exact=True)
    picked = ops.squeeze(picked, axes=axes)
    return picked  # type: ignore[no-any-return]
