"""Adjoints of reductions. Layer: adjoints.

A reduction forgets along which sizes it ran; ``broadcast_like`` takes the input itself as the
pattern, so that the rule needs to know neither the rank nor the sizes.
"""

from __future__ import annotations

from collections.abc import Mapping

from tinyflow import ops
from tinyflow.adjoints.table import AdjointRule, Adjoints, NoGradient
from tinyflow.ir import Node, Op, Value

__all__ = ["RULES", "reduce_sum_adjoint"]


def reduce_sum_adjoint(node: Node, dy: Value) -> tuple[Value | None, ...]:
    """Adjoint of the input of ``node``, which sums x along some axes.

    ``node.inputs`` is (x,). ``node.attrs["reduction_indices"]`` is a tuple of axes (negative ones
    count from the end) or None for all; ``node.attrs["keepdims"]`` says whether the summed axes
    stay as size 1. ``dy``, the adjoint of the sum, has the shape of the sum. Return a tuple of one:

        ∂L/∂x[i, j, ...] = dy at the position into which x[i, j, ...] was summed

    in the shape of x: every element was added with weight 1, so each gets the whole adjoint.

    ``ops.broadcast_like(dy, x, reduction_indices=..., keepdims=...)`` repeats ``dy`` to the shape
    of x; with ``keepdims=False`` it first inserts the axes in ``reduction_indices`` (None: all) as
    size 1. Pass both attributes on, or (3,) would be spread along the wrong axis of (3, 3). x is
    read for its shape only.

    Example: x (2, 3), reduction_indices=(1,), keepdims=False, dy = [10, 20] gives
    ∂L/∂x = [[10, 10, 10], [20, 20, 20]].

    Source: TensorFlow's _SumGrad; the attributes are those of tf.reduce_sum.
    """
    return (ops.broadcast_like(dy, node.inputs[0], **node.attrs),)


def reduce_mean_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = mean(x)  =>  dx = dy / n, repeated; n elements went into each result."""
    x = node.inputs[0]
    count = ops.size(x, reduction_indices=node.attrs["reduction_indices"])
    return (ops.broadcast_like(ops.div(dy, count), x, **node.attrs),)  # divide while it is small


def reduce_max_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = max(x) or min(x)  =>  dx = dy where x = z, ties share equally (as in TensorFlow)."""
    x, z = node.inputs[0], node.outputs[0]
    chosen = ops.cast_like(ops.equal(x, ops.broadcast_like(z, x, **node.attrs)), dy)
    share = ops.div(dy, ops.reduce_sum(chosen, **node.attrs))
    return (ops.mul(chosen, ops.broadcast_like(share, x, **node.attrs)),)


RULES: Mapping[Op, AdjointRule] = {
    ops.reduce_sum: reduce_sum_adjoint,
    ops.reduce_mean: reduce_mean_adjoint,
    ops.reduce_max: reduce_max_adjoint,
    ops.reduce_min: reduce_max_adjoint,
    ops.argmax: NoGradient("an index is constant almost everywhere"),
    ops.size: NoGradient("the result depends on the shape of the input only"),
}
