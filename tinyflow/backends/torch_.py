"""Kernels in torch, with templates for emitted code. Layer: backends.

``writes_out`` is set only where torch computes into ``out`` itself; many of its functions allocate
and copy. Functions are bound as ``torch.mm``, which costs half a call of ``torch.ops.aten.mm.out``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tinyflow import ops
from tinyflow.backends import torch_array, torch_conv, torch_layout, torch_loss, torch_math
from tinyflow.backends.fused import fused_kernel
from tinyflow.backends.random import draw_normal, draw_truncated_normal, draw_uniform
from tinyflow.backends.table import Array, Kernel
from tinyflow.backends.torch_kernel import DTYPES, kernel
from tinyflow.backends.torch_table import CPU, TorchTable
from tinyflow.ir import Op
from tinyflow.types import DType

__all__ = ["TORCH", "made_on"]


def _fill(number: int, device: torch.device) -> Kernel:
    def fill(shape: tuple[int, ...], dtype: DType) -> Tensor:
        return torch.full(shape, number, dtype=DTYPES[dtype], device=device)

    return kernel(fill, writes_out=False)


def _drawn(draw: Callable[..., Array], device: torch.device) -> Kernel:
    """The same numbers on every backend and device; bfloat16 from float32."""

    def run(*like: Tensor, dtype: DType, **attrs: Any) -> Tensor:
        exact = DType.float32 if dtype is DType.bfloat16 else dtype
        if like:
            attrs["shape"] = tuple(like[0].shape)
        return torch.from_numpy(draw(dtype=exact, **attrs)).to(device, DTYPES[dtype])

    return kernel(run, writes_out=False)


def made_on(device: torch.device) -> dict[Op, Kernel]:
    """Kernels of ops that make arrays from nothing. All others compute where their inputs are."""
    return {
        ops.normal: _drawn(draw_normal, device),
        ops.truncated_normal: _drawn(draw_truncated_normal, device),
        ops.uniform: _drawn(draw_uniform, device),
        ops.uniform_like: _drawn(draw_uniform, device),
        ops.zeros: _fill(0, device),
        ops.ones: _fill(1, device),
    }


TORCH = TorchTable(
    "torch",
    {
        **made_on(CPU),
        **torch_math.KERNELS,
        **torch_layout.KERNELS,
        **torch_loss.KERNELS,
        **torch_conv.KERNELS,
        **torch_array.KERNELS,
    },
    {
        **torch_math.NAMESPACE,
        **torch_loss.NAMESPACE,
        **torch_conv.NAMESPACE,
        **torch_array.NAMESPACE,
    },
)
TORCH.add(ops.fused, fused_kernel(TORCH))
