"""Ops in which each element needs the one before it. Layer: ops."""

from __future__ import annotations

from tinyflow.ir.op import Attribute, Op
from tinyflow.ops.rules import FLOATING, axis_shape

__all__ = ["recurrence"]

recurrence = Op(
    "recurrence",
    inputs=("a", "b"),
    attributes={
        "axis": Attribute("int", 0, "the axis; negative: counted from the end"),
        "reverse": Attribute("bool", False, "from the end: y[i] = a[i] * y[i + 1] + b[i]"),
    },
    shape=axis_shape,
    dtype=FLOATING,
    doc="""y[0] = b[0], y[i] = a[i] * y[i - 1] + b[i] along ``axis``; all of one shape. Running
    products, sums that fade, linear filters. Two steps y -> a y + b are one step of this form,
    so log n sweeps do. Source: Blelloch, Prefix sums and their applications, 1990, section 1.4.""",
)
