"""Whole numbers: floor, and division with a remainder, of ops that there are. Layer: frontend."""

from __future__ import annotations

from tinyflow import ops
from tinyflow.ir import Value
from tinyflow.types import DType

__all__ = ["floor_of", "floor_quotient", "floor_rest"]


def floor_of(x: Value) -> Value:
    """The largest whole number up to x, in its dtype; no gradient passes.

    Found in float64, which holds all other floats: a cast to integers cuts towards 0; what is too
    large for it, infinite or nan, has no fraction.
    """
    wide = ops.cast(ops.stop_gradient(x), dtype=DType.float64)
    small = ops.less(ops.abs(wide), 2.0**52)
    whole = ops.cast(ops.where(small, wide, 0.0), dtype=DType.int64)
    cut = ops.cast(whole, dtype=DType.float64)
    down = ops.sub(cut, ops.cast_like(ops.greater(cut, wide), wide))
    floor: Value = ops.cast_like(ops.where(small, down, wide), x)
    return floor


def floor_quotient(x: Value, y: Value, dtype: DType) -> Value:
    """floor(x / y) in ``dtype``, that of both together; exact for integers of up to 2 ** 53.

    Integers divided by 0 give 0, as in numpy.
    """
    if dtype.is_floating:
        return floor_of(ops.div(x, y))
    nothing = ops.equal(y, 0)
    wide = [ops.cast(v, dtype=DType.float64) for v in (x, ops.where(nothing, ops.ones_like(y), y))]
    quotient = ops.cast(floor_of(ops.div(*wide)), dtype=dtype)
    whole: Value = ops.where(nothing, ops.zeros_like(quotient), quotient)
    return whole


def floor_rest(x: Value, y: Value, dtype: DType) -> Value:
    """x - floor(x / y) * y, with the sign of y; dx = dz and dy = -floor(x / y) * dz."""
    rest: Value = ops.sub(x, ops.mul(floor_quotient(x, y, dtype), y))
    return rest
