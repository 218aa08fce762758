"""Copies, and other shapes of the same numbers, in numpy. Layer: backends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinyflow import ops
from tinyflow.backends.numpy_kernel import Axes, plain
from tinyflow.backends.numpy_math import reduce_sum
from tinyflow.backends.table import Array, Kernel, Kernels, Sizes
from tinyflow.ops.rules import normal_axes

__all__ = ["KERNELS"]


def _assign(variable: Array, value: Array) -> Array:
    return np.array(value, None if variable is None else np.asarray(variable).dtype)


def _reshape(x: Array, shape: Sequence[int | None]) -> Array:
    return np.reshape(x, tuple(-1 if dim is None else dim for dim in shape))


def _reshape_like(x: Array, like: Array) -> Array:
    return np.reshape(x, np.shape(like))


def _transpose(x: Array, perm: Axes) -> Array:
    return np.transpose(x, perm).copy()


def _broadcast_to(x: Array, shape: Sizes) -> Array:
    return np.broadcast_to(x, shape).copy()


def _broadcast_like(x: Array, like: Array, reduction_indices: Axes, keepdims: bool) -> Array:
    shape = np.shape(like)
    if not keepdims:
        x = np.expand_dims(x, normal_axes(reduction_indices, len(shape)))
    return np.broadcast_to(x, shape).copy()


def _sum_like(x: Array, like: Array) -> Array:
    shape, target = np.shape(x), np.shape(like)
    lead = len(shape) - len(target)
    stretched = [i for i in range(lead, len(shape)) if target[i - lead] == 1 != shape[i]]
    return reduce_sum(x, (*range(lead), *stretched)).reshape(target)


def _fill_like(number: int) -> Kernel:
    return plain(lambda x: np.full(np.shape(x), number, np.asarray(x).dtype))


KERNELS: Kernels = {
    ops.identity: plain(np.array),
    ops.copy_to: plain(lambda x, device: np.array(x)),
    ops.stop_gradient: plain(np.array),
    ops.with_gradient: plain(lambda y, *xs, backward: np.array(y)),
    ops.assign: plain(_assign),
    ops.zeros_like: _fill_like(0),
    ops.ones_like: _fill_like(1),
    ops.reshape: plain(_reshape),
    ops.reshape_like: plain(_reshape_like),
    ops.transpose: plain(_transpose),
    ops.broadcast_to: plain(_broadcast_to),
    ops.broadcast_like: plain(_broadcast_like),
    ops.sum_like: plain(_sum_like),
}
