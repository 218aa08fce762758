"""Equations between ops that make a graph smaller. Layer: ops.

Source: Jacob et al., Quantization and training of neural networks for efficient integer-arithmetic-
only inference, CVPR 2018, section 3.2 (normalisation in a convolution).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinyflow import ops
from tinyflow.ir import Node, Op, Value
from tinyflow.ops.site import Rule, Site
from tinyflow.types import DType, elements

__all__ = ["ABSORBED", "FILLS", "IDLE", "number", "repeated", "shorter"]

FILLS: Mapping[Op, float] = {ops.zeros: 0.0, ops.ones: 1.0}
_NEUTRAL: Mapping[Op, tuple[float, tuple[int, ...]]] = {  # number, positions it may stand at
    ops.add: (-0.0, (0, 1)),  # -0.0 + 0.0 is 0.0
    ops.sub: (0.0, (1,)),
    ops.mul: (1.0, (0, 1)),
    ops.div: (1.0, (1,)),
    ops.pow: (1.0, (1,)),
}
_SAME = (ops.reshape, ops.broadcast_to, ops.cast, ops.with_gradient)  # where the type is the same
IDLE = frozenset({*_NEUTRAL, *_SAME, ops.neg, ops.transpose, ops.matmul})  # what may change nothing


def number(value: Value) -> Any:
    """The number that a constant without axes states, or None."""
    node = value.node
    plain = node.op.name == "constant" and node.attrs["value"].ndim == 0
    return node.attrs["value"][()] if plain else None


def repeated(node: Node) -> Value | None:
    """The value that a node repeats if it has the node's type: x of ``x + 0`` or ``-(-x)``."""
    inputs = node.inputs
    neutral, places = _NEUTRAL.get(node.op, (0.0, ()))
    for position in places:
        found = FILLS.get(inputs[position].node.op, number(inputs[position]))
        if found == neutral and _sign(found) in (None, _sign(neutral)):
            return inputs[1 - position]
    if node.op in (ops.neg, ops.reshape, ops.transpose) and _cancel(inputs[0].node, node):
        return inputs[0].node.inputs[0]
    if node.op in _SAME:
        return inputs[0]
    perm = node.attrs["perm"] if node.op is ops.transpose else None
    return inputs[0] if perm == tuple(range(len(perm or ()))) else None


def _sign(x: Any) -> bool | None:
    """Of a floating number: +0.0 and -0.0 differ. Integers have one zero."""
    return bool(np.signbit(x)) if isinstance(x, float | np.floating) else None


def _cancel(first: Node, second: Node) -> bool:
    """True if the second of two equal ops undoes the first, up to the shape."""
    a, b = first.attrs.get("perm"), second.attrs.get("perm")
    if first.op is not second.op or a is None or b is None:
        return first.op is second.op and a is b  # None reverses the axes, or there is no perm
    return [a[axis] for axis in b] == sorted(a)


def shorter(node: Node) -> tuple[Value, ...] | None:
    """The node without a move in front of it that it can make itself."""
    inputs = node.inputs
    if node.op is ops.reshape and inputs[0].node.op is ops.reshape:
        return (ops.reshape(inputs[0].node.inputs[0], name=node.name, **node.attrs),)
    if node.op is not ops.matmul:
        return None
    attrs, factors = dict(node.attrs), list(inputs)
    for position, flag in enumerate(("transpose_a", "transpose_b")):
        maker = factors[position].node
        if maker.op is ops.transpose and maker.attrs["perm"] in (None, (1, 0)):
            factors[position], attrs[flag] = maker.inputs[0], not attrs[flag]
    return None if tuple(factors) == inputs else (ops.matmul(*factors, name=node.name, **attrs),)


def _normalised(site: Site) -> Value | None:
    """The batch normalisation of a convolution, by moving values, as one convolution.

    With s = gamma / √(variance + epsilon), s * (conv(x, w) + b - mean) + beta is a convolution by
    s * w with the bias s * (b - mean) + beta: a pass over the images less. Scaling the filters must
    cost less than that, so they have no more elements than the images. In half precision epsilon
    may round to 0: it stays as it is.
    """
    conv, attrs = site.inputs[0].node, site.node.attrs
    if conv.op is not ops.conv2d or attrs["training"] or conv.device != site.node.device:
        return None
    filtered = Site(site.node.inputs[0].node, conv.inputs, site.shapes, site.dtypes)
    long = elements(filtered.shape(1)) > elements(site.shape(0))
    if long or site.dtype() not in (DType.float32, DType.float64):
        return None
    _, gamma, beta, mean, variance = site.inputs
    x, weight, *bias = conv.inputs
    epsilon = ops.constant(attrs["epsilon"], dtype=site.dtype())
    s = ops.div(gamma, ops.sqrt(ops.add(variance, epsilon)))
    scaled = ops.mul(weight, ops.reshape(s, shape=(site.shape(0)[1], 1, 1, 1)))
    centre = ops.sub(bias[0], mean) if bias else ops.neg(mean)
    shift = ops.add(ops.mul(s, centre), beta)
    result: Value = ops.conv2d(x, scaled, shift, name=conv.name, **conv.attrs)
    return result


ABSORBED: Mapping[Op, Rule] = {ops.batch_norm: _normalised}  # by what makes the first input
