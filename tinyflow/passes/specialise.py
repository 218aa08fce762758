"""Make the stand-ins of the gradient concrete, once shapes and dtypes are known. Layer: passes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tinyflow import ops
from tinyflow.ir import Graph, Node, Value, rewrite
from tinyflow.ops.rules import kernel_dtypes
from tinyflow.passes.infer import DTYPES, SHAPES, remember_types
from tinyflow.types import DType, Shape, is_static

__all__ = ["specialise"]


@dataclass(frozen=True, slots=True)
class _Site:
    """One node under rewriting: the old node with what is known of it, and its new inputs."""

    node: Node
    inputs: tuple[Value, ...]
    shapes: Mapping[Value, Shape]
    dtypes: Mapping[Value, DType | None]

    def shape(self, position: int) -> Shape:
        return self.shapes[self.node.inputs[position]]

    @property
    def out_shape(self) -> Shape:
        return self.shapes[Value(self.node)]

    @property
    def out_dtype(self) -> DType | None:
        return self.dtypes[Value(self.node)]


def specialise(graph: Graph) -> Graph:
    """Replace shape-free ops by concrete ones and insert the dtype casts that kernels need.

    ``sum_like`` becomes a reduction and a reshape (or nothing), ``broadcast_like`` a reshape and a
    ``broadcast_to``, ``reshape_like`` a ``reshape``, ``cast_like`` a ``cast``, ``size`` a constant,
    ``zeros_like`` and ``ones_like`` a fill; a ``like`` that an attribute can replace becomes one;
    constants take their dtype; identities vanish where no variable can change under them. What
    is not known yet stays as it is and runs by its own kernel.
    """
    shapes, dtypes = graph.fact(SHAPES), graph.fact(DTYPES)

    def rule(node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...] | None:
        site = _Site(node, inputs, shapes, dtypes)
        concrete = _RULES.get(node.op.name)
        value = concrete(site) if concrete else None
        if value is None:
            return _with_casts(site)
        return value if isinstance(value, tuple) else (value,)

    return remember_types(graph, *rewrite(graph, rule))


def _with_casts(site: _Site) -> tuple[Value, ...] | None:
    """Cast each input to the dtype that the kernel needs."""
    node = site.node
    got = [dtype for value in node.inputs if (dtype := site.dtypes[value]) is not None]
    results = [dtype for value in node.outputs if (dtype := site.dtypes[value]) is not None]
    if len(got) < len(node.inputs) or len(results) < len(node.outputs):
        return None
    needed = kernel_dtypes(node.op, node.attrs, got, results)
    inputs = tuple(
        value if have is want else ops.cast(value, dtype=want)
        for value, have, want in zip(site.inputs, got, needed)
    )
    return None if inputs == site.inputs else node.with_inputs(inputs).outputs


def _constant(site: _Site) -> Value | None:
    dtype = site.out_dtype
    if dtype is None or site.node.attrs["dtype"] is not None:
        return None
    return ops.constant(site.node.attrs["value"], dtype=dtype)


def _sum_like(site: _Site) -> Value | None:
    x, like = site.shape(0), site.shape(1)
    if not (is_static(x) and is_static(like)):
        return None
    assert x is not None and like is not None
    return sum_to(site.inputs[0], x, like)


def sum_to(value: Value, shape: Shape, target: Shape) -> Value:
    """Undo broadcasting: sum ``value`` of the static ``shape`` down to the static ``target``."""
    assert shape is not None and target is not None
    lead = len(shape) - len(target)
    axes = tuple(range(lead)) + tuple(
        axis for axis in range(lead, len(shape)) if target[axis - lead] == 1 != shape[axis]
    )
    if axes:
        value = ops.reduce_sum(value, reduction_indices=axes, keepdims=False)
    kept = tuple(dim for axis, dim in enumerate(shape) if axis not in axes)
    return value if kept == target else ops.reshape(value, shape=target)


def _broadcast_like(site: _Site) -> Value | None:
    x, like = site.shape(0), site.shape(1)
    if not (is_static(x) and is_static(like)):
        return None
    assert x is not None and like is not None
    value, attrs = site.inputs[0], site.node.attrs
    if not attrs["keepdims"]:
        axes = attrs["reduction_indices"]
        axes = range(len(like)) if axes is None else {axis % len(like) for axis in axes}
        inserted = tuple(1 if axis in axes else dim for axis, dim in enumerate(like))
        if inserted != x:
            value, x = ops.reshape(value, shape=inserted), inserted
    return value if x == like else ops.broadcast_to(value, shape=like)


def _reshape_like(site: _Site) -> Value | None:
    if not is_static(site.out_shape):
        return None
    same = site.shape(0) == site.out_shape
    return site.inputs[0] if same else ops.reshape(site.inputs[0], shape=site.out_shape)


def _cast(site: _Site) -> Value | None:
    have, want = site.dtypes[site.node.inputs[0]], site.out_dtype
    if want is None or have is None:
        return None
    return site.inputs[0] if have is want else ops.cast(site.inputs[0], dtype=want)


def _fill(maker: Callable[..., Value]) -> Callable[[_Site], Value | None]:
    def fill(site: _Site) -> Value | None:
        if not is_static(site.out_shape) or site.out_dtype is None:
            return None
        return maker(shape=site.out_shape, dtype=site.out_dtype)

    return fill


def _size(site: _Site) -> Value | None:
    shape, dtype = site.shape(0), site.out_dtype
    if not is_static(shape) or dtype is None:
        return None
    assert shape is not None
    axes = site.node.attrs["reduction_indices"]
    axes = range(len(shape)) if axes is None else axes
    return ops.constant(np.array(float(math.prod(shape[axis] or 0 for axis in axes))), dtype=dtype)


def _identity(site: _Site) -> Value | None:
    """An identity of a variable keeps the old value across a write; every other one is idle."""
    source = site.inputs[0].node
    while source.op.aliases and source.inputs:
        source = source.inputs[0].node
    return None if source.op.name == "variable" else site.inputs[0]


def _uniform_like(site: _Site) -> Value | None:
    if not is_static(site.out_shape):
        return None
    value: Value = ops.uniform(name=site.node.name, shape=site.out_shape, **site.node.attrs)
    return value


def _shape_attribute(site: _Site) -> Value | None:
    """The last input told the shape of the result; now the attribute does."""
    if len(site.inputs) < len(site.node.op.inputs) or not is_static(site.out_shape):
        return None
    attrs = {**site.node.attrs, "shape": site.out_shape}
    value: Value = site.node.op(*site.inputs[:-1], name=site.node.name, **attrs)
    return value


def _split_like(site: _Site) -> tuple[Value, ...] | None:
    shapes, axis = [site.shapes[value] for value in site.node.outputs], site.node.attrs["axis"]
    if not all(map(is_static, shapes)):
        return None
    sizes = [shape[axis] for shape in shapes if shape is not None]
    return ops.split.node(site.inputs[:1], {"sizes": sizes, "axis": axis}).outputs


_RULES: dict[str, Callable[[_Site], Value | tuple[Value, ...] | None]] = {
    "constant": _constant,
    "sum_like": _sum_like,
    "broadcast_like": _broadcast_like,
    "reshape_like": _reshape_like,
    "expand_dims": _reshape_like,
    "squeeze": _reshape_like,
    "split_like": _split_like,
    "slice_grad": _shape_attribute,
    "gather_grad": _shape_attribute,
    "uniform_like": _uniform_like,
    "cast": _cast,
    "cast_like": _cast,
    "zeros_like": _fill(ops.zeros),
    "ones_like": _fill(ops.ones),
    "size": _size,
    "identity": _identity,
    "stop_gradient": _identity,
}
