"""What ops that were made before shapes were known become once they are. Layer: ops.

A gradient says "summed to the shape of x" or "zeros like x". Each rule turns one of these stand-ins
into an op with the shape or dtype as an attribute, or into nothing; it asks its site for what it
needs, and the node stays as it is where that is not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import prod

import numpy as np

from tinyflow import ops
from tinyflow.ir import CONSTANT, Op, Value
from tinyflow.ops.rules import normal_axes
from tinyflow.ops.site import Rule, Site
from tinyflow.types import Shape

__all__ = ["CONCRETE"]


def _constant(site: Site) -> Value | None:
    """A number takes the dtype that it met."""
    value, dtype = site.node.attrs["value"], site.node.attrs["dtype"]
    return ops.constant(value, dtype=site.dtype()) if dtype is None else None


def _sum_like(site: Site) -> Value:
    """Undo broadcasting: sum over the axes that x has more than the target, or longer than 1."""
    value, shape, target = site.inputs[0], site.shape(0), site.shape(1)
    lead = len(shape) - len(target)
    axes = tuple(
        axis for axis, n in enumerate(shape) if axis < lead or target[axis - lead] == 1 != n
    )
    if axes:
        value = ops.reduce_sum(value, reduction_indices=axes, keepdims=False)
    return _reshaped(value, tuple(n for axis, n in enumerate(shape) if axis not in axes), target)


def _broadcast_like(site: Site) -> Value:
    """Undo a reduction: put the axes that it dropped back with size 1, then stretch them."""
    value, shape, target = site.inputs[0], site.shape(0), site.shape(1)
    if not site.node.attrs["keepdims"]:
        axes = normal_axes(site.node.attrs["reduction_indices"], len(target))
        inserted = tuple(1 if axis in axes else n for axis, n in enumerate(target))
        value, shape = _reshaped(value, shape, inserted), inserted
    return _same(value) if shape == target else ops.broadcast_to(value, shape=target)


def _reshaped(value: Value, shape: Shape, target: Shape) -> Value:
    return _same(value) if shape == target else ops.reshape(value, shape=target)


def _same(value: Value) -> Value:
    """The value, or a copy if a write may change it before the result is read."""
    copy: Value = ops.identity(value)
    return copy if ops.shows_variable(value) else value


def _reshape_like(site: Site) -> Value:
    return _reshaped(site.inputs[0], site.shapes[site.node.inputs[0]], site.results()[0])


def _cast(site: Site) -> Value:
    have, want = site.dtype(0), site.dtype()
    return _same(site.inputs[0]) if have is want else ops.cast(site.inputs[0], dtype=want)


def _fill(op: Op, site: Site) -> Value:
    value: Value = op(shape=site.results()[0], dtype=site.dtype())
    return value


def _size(site: Site) -> Value:
    """The number of elements that a reduction over these axes counts."""
    shape = site.shape(0)
    axes = normal_axes(site.node.attrs["reduction_indices"], len(shape))
    return ops.constant(np.array(float(prod(shape[axis] for axis in axes))), dtype=site.dtype())


def _identity(site: Site) -> Value | None:
    """An identity of a variable keeps the old value across a write; every other one is idle."""
    return None if ops.shows_variable(site.inputs[0]) else site.inputs[0]


def _uniform_like(site: Site) -> Value:
    value: Value = ops.uniform(name=site.node.name, shape=site.results()[0], **site.node.attrs)
    return value


def _shape_attribute(site: Site) -> Value | None:
    """The last input told the shape of the result; now the attribute does."""
    if len(site.inputs) < len(site.node.op.inputs):
        return None
    attrs = {**site.node.attrs, "shape": site.results()[0]}
    value: Value = site.node.op(*site.inputs[:-1], name=site.node.name, **attrs)
    return value


def _split_like(site: Site) -> tuple[Value, ...]:
    axis = site.node.attrs["axis"]
    sizes = [shape[axis] for shape in site.results()]
    return ops.split.node(site.inputs[:1], {"sizes": sizes, "axis": axis}).outputs


CONCRETE: Mapping[Op, Rule] = {
    CONSTANT: _constant,
    ops.sum_like: _sum_like,
    ops.broadcast_like: _broadcast_like,
    ops.reshape_like: _reshape_like,
    ops.expand_dims: _reshape_like,
    ops.squeeze: _reshape_like,
    ops.split_like: _split_like,
    ops.slice_grad: _shape_attribute,
    ops.gather_grad: _shape_attribute,
    ops.uniform_like: _uniform_like,
    ops.cast: _cast,
    ops.cast_like: _cast,
    ops.zeros_like: partial(_fill, ops.zeros),
    ops.ones_like: partial(_fill, ops.ones),
    ops.size: _size,
    ops.identity: _identity,
    ops.stop_gradient: _identity,
}
