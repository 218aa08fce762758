"""Adjoints of convolution, padding and flattening. Layer: adjoints.

A convolution is linear in the image and in the filter. So are its two adjoints in what they read,
and the three are each other's derivatives: with w fixed, <conv(x, w), dy> = <x, input_grad(dy, w)>.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinyflow import ops
from tinyflow.adjoints.table import AdjointRule, Adjoints
from tinyflow.ir import Node, Op, Value

__all__ = ["PLANE", "RULES"]

PLANE = (0, 2, 3)  # all axes of (n, c, h, w) but that of the channels


def _window(node: Node) -> dict[str, Any]:
    return {key: value for key, value in node.attrs.items() if key != "bias"}


def conv2d_adjoint(node: Node, dy: Value) -> Adjoints:
    """y = conv(x, w) + b  =>  dx, dw by the adjoint convolutions, db = dy summed over n, h, w."""
    x, weight = node.inputs[:2]
    bias, window = len(node.inputs) == 3, _window(node)
    dx = ops.conv2d_input_grad(dy, weight, x, **window)
    rest = ops.conv2d_weight_grad(dy, x, weight, bias=bias, **window)
    return (dx, *rest) if bias else (dx, rest)


def conv2d_input_grad_adjoint(node: Node, g: Value) -> Adjoints:
    """z = input_grad(dy, w)  =>  for dy conv(g, w), for w weight_grad(dy, g); none to x."""
    dy, weight, _ = node.inputs
    window = _window(node)
    back = ops.conv2d_weight_grad(dy, g, weight, **window)
    return ops.conv2d(g, weight, **window), back, None


def conv2d_weight_grad_adjoint(node: Node, *gs: Value | None) -> Adjoints:
    """z = weight_grad(dy, x)  =>  for dy conv(x, g), for x input_grad(dy, g); none to w.

    The gradient of the bias, a sum of dy, adds its own adjoint to every element of a channel.
    """
    dy, x, _ = node.inputs
    g, g_bias = (*gs, None)[:2]
    window = _window(node)
    parts = [] if g is None else [ops.conv2d(x, g, **window)]
    if g_bias is not None:
        each = ops.broadcast_like(g_bias, dy, reduction_indices=PLANE, keepdims=False)
        parts.append(each)
    back = None if g is None else ops.conv2d_input_grad(dy, g, x, **window)
    return (parts[0] if len(parts) == 1 else ops.add(*parts)), back, None


def pad_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = x and zeros  =>  dx = dy without the place of the zeros."""
    return (ops.crop(dy, **node.attrs),)


def crop_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = part of x  =>  dx = dy, and zeros in the place of the rest."""
    return (ops.pad(dy, **node.attrs),)


def flatten_layer_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = x as a matrix  =>  dx = dy in the shape of x."""
    return (ops.reshape_like(dy, node.inputs[0]),)


RULES: Mapping[Op, AdjointRule] = {
    ops.conv2d: conv2d_adjoint,
    ops.conv2d_input_grad: conv2d_input_grad_adjoint,
    ops.conv2d_weight_grad: conv2d_weight_grad_adjoint,
    ops.pad: pad_adjoint,
    ops.crop: crop_adjoint,
    ops.flatten_layer: flatten_layer_adjoint,
}
