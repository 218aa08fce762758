"""A window that slides over an image: strides, padding, sizes. Layer: ops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tinyflow.errors import GraphError, ShapeError
from tinyflow.ir.op import Attribute
from tinyflow.ops.rules import Attrs
from tinyflow.types import unify_dim

__all__ = ["SPREAD", "WINDOW", "Counts", "reach", "resolve_padding", "slide"]


class Counts(Attribute):
    """Attribute of kind ``ints``: exactly ``count`` numbers, none below ``least``."""

    __slots__ = ("count", "least")
    count: int
    least: int

    def __init__(self, doc: str, count: int, least: int, default: tuple[int, ...]) -> None:
        Attribute.__init__(self, "ints", default, doc)
        object.__setattr__(self, "count", count)
        object.__setattr__(self, "least", least)

    def check(self, value: object) -> Any:
        """Return a tuple of ints; raises GraphError with got and expected."""
        numbers = Attribute.check(self, value)
        if len(numbers) != self.count or min(numbers) < self.least:
            expected = f"{self.count} integers >= {self.least}"
            raise GraphError("wrong attribute value", got=numbers, expected=expected)
        return numbers


class _Padding(Counts):
    """Four counts, or None for as many as the size of the image demands."""

    __slots__ = ()

    def check(self, value: object) -> Any:
        """Return a tuple of four ints, or None; raises GraphError with got and expected."""
        return None if value is None else Counts.check(self, value)


WINDOW: Mapping[str, Attribute] = {
    "strides": Counts("steps of the window, down and to the right", 2, 1, (1, 1)),
    "padding": _Padding(
        "rows and columns added at the top, bottom, left and right; None: TensorFlow's SAME, just "
        "enough for an output of size ceil(size / stride), the odd one at the end",
        *(4, 0, (0, 0, 0, 0)),
    ),
}

SPREAD: Mapping[str, Attribute] = {
    **WINDOW,
    "dilations": Counts("rows and columns from one place of the window to the next", 2, 1, (1, 1)),
    "groups": Attribute("int", 1, "parts, side by side: each sees its part of the channels only"),
}


def reach(window: Sequence[int | None], dilations: Sequence[int]) -> list[Any]:
    """Rows and columns of the image from the first to the last place of the window, inclusive."""
    return [None if k is None else (k - 1) * d + 1 for k, d in zip(window, dilations)]


def resolve_padding(
    padding: Sequence[int] | None,
    strides: Sequence[int],
    image: Sequence[int],
    window: Sequence[int],
) -> tuple[int, ...]:
    """Padding (top, bottom, left, right) for an image (h, w) under a window (kh, kw)."""
    if padding is not None:
        return tuple(padding)
    found: list[int] = []
    for size, reach, stride in zip(image, window, strides):
        missing = max((-(-size // stride) - 1) * stride + reach - size, 0)
        found += [missing // 2, missing - missing // 2]
    return tuple(found)


def slide(
    attrs: Attrs, x: Sequence[int | None], window: Sequence[int | None], y: Sequence[int | None]
) -> tuple[list[int | None], list[int | None]]:
    """What is known of image (h, w) and result (h, w), given what is known of both.

    A result of size m comes from an image of size m + k - 1 - padding, if the stride is 1. Raises
    ShapeError if the window is larger than the padded image.
    """
    before: list[int | None] = []
    after: list[int | None] = []
    for axis, (size, reach, result) in enumerate(zip(x, window, y)):
        stride, padding = attrs["strides"][axis], attrs["padding"]
        added = None if padding is None else padding[2 * axis] + padding[2 * axis + 1]
        if stride == 1 and result is not None and (added is None or reach is not None):
            inner = result if added is None else result + (reach or 0) - 1 - added
            size = unify_dim(size, inner)
        if size is not None and added is None:
            result = unify_dim(result, -(-size // stride))
        elif size is not None and added is not None and reach is not None:
            if size < 1 or size + added < reach:
                raise ShapeError(
                    "the window does not fit into the image",
                    got=f"size {size} + padding {added}, window {reach}",
                    expected="a window that is not larger",
                )
            result = unify_dim(result, (size + added - reach) // stride + 1)
        before.append(size)
        after.append(result)
    return before, after
