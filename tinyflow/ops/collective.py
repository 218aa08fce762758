"""Between devices. Layer: ops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinyflow.ir.op import Attribute, Op
from tinyflow.ops.rules import ANY, Attrs, same_shape
from tinyflow.types import Device, Shape

__all__ = ["copy_to"]


def _copied_shape(attrs: Attrs, ins: Sequence[Shape], outs: Sequence[Shape]) -> Any:
    Device.parse(attrs["device"])
    return same_shape(attrs, ins, outs)


copy_to = Op(
    "copy_to",
    inputs=("x",),
    attributes={"device": Attribute("str", doc="where the copy lives: 'cpu:1', 'gpu:0'")},
    shape=_copied_shape,
    dtype=ANY,
    doc="y = x on another device. The pass ``place`` inserts it; the gradient is copied back.",
)
