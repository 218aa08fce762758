"""Equations between ops that make a graph smaller. Layer: ops.

Source: Jacob et al., Quantization and training of neural networks for efficient integer-arithmetic-
only inference, CVPR 2018, section 3.2 (normalisation in a convolution).
"""

from __future__ import annotations

from collections.abc import Mapping

from tinyflow import ops
from tinyflow.ir import Op, Value
from tinyflow.ops.site import Rule, Site
from tinyflow.types import DType, elements

__all__ = ["ABSORBED", "NEUTRAL"]

NEUTRAL: Mapping[str, tuple[float, tuple[int, ...]]] = {  # op: number, positions it may stand at
    "add": (-0.0, (0, 1)),  # -0.0 + 0.0 is 0.0
    "sub": (0.0, (1,)),
    "mul": (1.0, (0, 1)),
    "div": (1.0, (1,)),
    "pow": (1.0, (1,)),
}


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
