"""Copies, and other shapes of the same numbers, in torch. Layer: backends."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tinyflow import ops
from tinyflow.backends.table import Kernels
from tinyflow.backends.torch_kernel import Attrs, Axes, Out, Shapes, into, kernel
from tinyflow.backends.torch_math import reduce_sum
from tinyflow.ops.rules import normal_axes

__all__ = ["KERNELS"]

_COPY = "{out}.copy_({0})"


def _assign(variable: Tensor | None, value: Tensor, out: Out = None) -> Tensor:
    dtype = value.dtype if variable is None else variable.dtype
    return value.to(dtype, copy=True) if out is None else out.copy_(value)


def _copy(x: Tensor, out: Out = None) -> Tensor:
    return into(out, x)


def _reshape(x: Tensor, shape: Sequence[int | None]) -> Tensor:
    return x.reshape([-1 if dim is None else dim for dim in shape])


def _reshape_template(attrs: Attrs, shapes: Shapes) -> str:
    return f"{{0}}.reshape({tuple(-1 if dim is None else dim for dim in attrs['shape'])})"


def _reshape_like(x: Tensor, like: Tensor) -> Tensor:
    return x.reshape(like.shape)


def _transpose(x: Tensor, perm: Axes, out: Out = None) -> Tensor:
    view = x.permute(tuple(reversed(range(x.dim()))) if perm is None else perm)
    return into(out, view)


def _transpose_template(attrs: Attrs, shapes: Shapes) -> str:
    perm = attrs["perm"] or tuple(reversed(range(len(shapes[0]))))
    return "{out}.copy_({0t})" if perm == (1, 0) else f"{{out}}.copy_({{0}}.permute({perm}))"


def _broadcast_to(x: Tensor, shape: tuple[int, ...], out: Out = None) -> Tensor:
    return into(out, x.expand(shape))


def _broadcast_like(x: Tensor, like: Tensor, reduction_indices: Axes, keepdims: bool) -> Tensor:
    if not keepdims:
        for axis in normal_axes(reduction_indices, like.dim()):
            x = x.unsqueeze(axis)
    return _broadcast_to(x, tuple(like.shape))


def _sum_like(x: Tensor, like: Tensor) -> Tensor:
    lead = x.dim() - like.dim()
    axes = [i for i in range(x.dim()) if i < lead or like.shape[i - lead] == 1 != x.shape[i]]
    return reduce_sum(x, tuple(axes), False).reshape(like.shape)


KERNELS: Kernels = {
    ops.identity: kernel(_copy, _COPY),
    ops.copy_to: kernel(lambda x, device, out=None: _copy(x, out=out), _COPY),
    ops.stop_gradient: kernel(_copy, _COPY),
    ops.with_gradient: kernel(lambda y, *xs, backward, out=None: _copy(y, out=out), _COPY),
    ops.assign: kernel(_assign),
    ops.zeros_like: kernel(torch.zeros_like, writes_out=False),
    ops.ones_like: kernel(torch.ones_like, writes_out=False),
    ops.reshape: kernel(_reshape, _reshape_template, writes_out=False),
    ops.reshape_like: kernel(_reshape_like, writes_out=False),
    ops.transpose: kernel(_transpose, _transpose_template),
    ops.broadcast_to: kernel(_broadcast_to, _COPY),
    ops.broadcast_like: kernel(_broadcast_like, writes_out=False),
    ops.sum_like: kernel(_sum_like, writes_out=False),
}
