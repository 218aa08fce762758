"""Random arrays. Layer: ops.

A random op is a pure function of (session seed, its ``seed``, run count): a clone of the node draws
the same numbers, so merging two equal nodes and recomputing one are both safe. Every node that is
to draw its own numbers needs its own ``seed``; the front end counts them up.
"""

from __future__ import annotations

from tinyflow.errors import DTypeError
from tinyflow.ir.op import Attribute, DTypes, Op
from tinyflow.ops.rules import Attrs, TargetShape, attribute_shape, same_shape
from tinyflow.types import DType

__all__ = ["normal", "truncated_normal", "uniform", "uniform_like"]


def _drawn_dtype(attrs: Attrs, ins: DTypes, outs: DTypes) -> tuple[DTypes, DTypes]:
    """The dtype of the attribute, which must be a floating one."""
    dtype = attrs["dtype"]
    if not dtype.is_floating:
        raise DTypeError("random numbers are real", got=dtype, expected="a floating dtype")
    return ins, (dtype,)


_SHAPE = TargetShape("shape of the result")
_DTYPE = Attribute("dtype", DType.float32, "a floating dtype")
_SEED = Attribute("int", 0, "nodes of one seed draw the same numbers")

_NORMAL = {
    "shape": _SHAPE,
    "stdev": Attribute("float", 1.0, "standard deviation"),
    "mean": Attribute("float", 0.0, "expectation"),
    "dtype": _DTYPE,
    "seed": _SEED,
}

normal = Op(
    "normal",
    inputs=(),
    attributes=_NORMAL,
    shape=attribute_shape,
    dtype=_drawn_dtype,
    random=True,
    doc="y ~ N(mean, stdev²), independent elements.",
)

truncated_normal = Op(
    "truncated_normal",
    inputs=(),
    attributes=_NORMAL,
    shape=attribute_shape,
    dtype=_drawn_dtype,
    random=True,
    doc="y ~ N(mean, stdev²) given |y - mean| <= 2 stdev: what falls outside is drawn again.",
)

_UNIFORM = {
    "low": Attribute("float", 0.0, "lower bound"),
    "high": Attribute("float", 1.0, "upper bound, up to rounding"),
    "dtype": _DTYPE,
    "seed": _SEED,
}

uniform = Op(
    "uniform",
    inputs=(),
    attributes={"shape": _SHAPE, **_UNIFORM},
    shape=attribute_shape,
    dtype=_drawn_dtype,
    random=True,
    doc="y ~ U[low, high), independent elements.",
)

uniform_like = Op(
    "uniform_like",
    inputs=("like",),
    attributes=_UNIFORM,
    shape=same_shape,
    dtype=_drawn_dtype,
    shape_only=frozenset({0}),
    random=True,
    doc="""y ~ U[low, high) in the shape of ``like``: for a dropout of what has no shape yet. The
    forward and the backward pass read the one node, so they drop the same elements.""",
)
