"""Generated convolutions, max pools and batch norms in the place of torch's. Layer: backends.

Only where they are faster: 3 x 3 filters, one step at a time, not too few channels and pixels;
windows that cover the image side by side. As our products they run on one thread, so torch must
have no more. Images and filters must lie NHWC, as the pass ``layout`` has it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Literal

import torch

from tinyflow import ops
from tinyflow.backends.native import NativeKernel, norm_kernel, pool_kernel, winograd_kernel
from tinyflow.backends.table import Kernels, Native, Shapes, Sizes
from tinyflow.backends.torch_ import TORCH
from tinyflow.codegen.norm import BatchNorm
from tinyflow.codegen.pool import MaxPool
from tinyflow.codegen.winograd import Winograd
from tinyflow.ir import Op
from tinyflow.ops.window import resolve_padding
from tinyflow.types import DType

__all__ = ["IMAGES"]

Attrs = Mapping[str, Any]
_FILTERS = 256, 1 << 14  # channels times filters: below it does not pay, above the cache is left
_CHANNELS = 256  # on either side; what is made of them stays in the cache
_STACK = 4096  # channels
_WINDOW = 16  # pixels; the code for each is written out
_PIXELS = 256  # of all images; with fewer, what is done to the filters takes longest


def _forward(attrs: Attrs, shapes: Shapes, dtypes: Sequence[DType]) -> NativeKernel | None:
    return _kernel("y", attrs, shapes[0], shapes[1], len(shapes) == 3, dtypes)


def _input_grad(attrs: Attrs, shapes: Shapes, dtypes: Sequence[DType]) -> NativeKernel | None:
    return _kernel("dx", attrs, shapes[2], shapes[1], False, dtypes)


def _weight_grad(attrs: Attrs, shapes: Shapes, dtypes: Sequence[DType]) -> NativeKernel | None:
    return _kernel("dweight", attrs, shapes[1], shapes[2], attrs["bias"], dtypes)


def _kernel(
    result: Literal["y", "dx", "dweight"],
    attrs: Attrs,
    x: Sizes,
    weight: Sizes,
    biased: bool,
    dtypes: Sequence[DType],
) -> NativeKernel | None:
    """The kernel for images x and filters of these shapes; None where torch's is the better one."""
    plain = attrs["strides"] == attrs["dilations"] == (1, 1) and attrs["groups"] == 1
    if not plain or weight[2:] != (3, 3) or any(dtype is not DType.float32 for dtype in dtypes):
        return None
    (images, channels, *size), filters, (fewest, most) = x, weight[0], _FILTERS
    fits = fewest <= channels * filters <= most and max(channels, filters) <= _CHANNELS
    if not fits or images * math.prod(size) < _PIXELS or torch.get_num_threads() > 1:
        return None
    top, bottom, left, right = resolve_padding(attrs["padding"], (1, 1), x[2:], (3, 3))
    y = size[0] + top + bottom - 2, size[1] + left + right - 2
    padding = top, left
    return _compiled(
        Winograd(result, images, (size[0], size[1]), y, padding, channels, filters, biased)
    )


def _max_pool(attrs: Attrs, shapes: Shapes, dtypes: Sequence[DType]) -> NativeKernel | None:
    return _pool(attrs, shapes[0], False, dtypes[0])


def _max_pool_grad(attrs: Attrs, shapes: Shapes, dtypes: Sequence[DType]) -> NativeKernel | None:
    return _pool(attrs, shapes[2], True, dtypes[0])


def _pool(attrs: Attrs, x: Sizes, backward: bool, dtype: DType) -> NativeKernel | None:
    """The kernel for images x; None unless whole windows cover them."""
    window, (images, channels, *size) = attrs["ksize"], x
    pads = resolve_padding(attrs["padding"], attrs["strides"], x[2:], window)
    rest = [pixels % side for pixels, side in zip(size, window)]
    if attrs["strides"] != window or any(pads) or any(rest) or 0 in x:
        return None
    if math.prod(window) > _WINDOW or dtype is not DType.float32 or torch.get_num_threads() > 1:
        return None
    high, wide = (pixels // side for pixels, side in zip(size, window))
    return _compiled_pool(MaxPool(window, images, channels, (high, wide), backward))


def _norm(attrs: Attrs, shapes: Shapes, dtypes: Sequence[DType]) -> NativeKernel | None:
    return _norm_kernel(attrs, shapes[0], False, dtypes) if attrs["training"] else None


def _norm_grad(attrs: Attrs, shapes: Shapes, dtypes: Sequence[DType]) -> NativeKernel | None:
    return _norm_kernel(attrs, shapes[0], True, dtypes)


def _norm_kernel(
    attrs: Attrs, x: Sizes, backward: bool, dtypes: Sequence[DType]
) -> NativeKernel | None:
    """The kernel for images x, of at least one pixel and no more channels than fit on the stack."""
    fits = 0 not in x and x[1] <= _STACK and set(dtypes) == {DType.float32}
    if not fits or torch.get_num_threads() > 1:
        return None
    return _compiled_norm(BatchNorm(x[0], x[1], (x[2], x[3]), attrs["epsilon"], backward))


_compiled = lru_cache(maxsize=1024)(winograd_kernel)
_compiled_pool = lru_cache(maxsize=1024)(pool_kernel)
_compiled_norm = lru_cache(maxsize=1024)(norm_kernel)
_NATIVE: Mapping[Op, Native] = {
    ops.conv2d: _forward,
    ops.conv2d_input_grad: _input_grad,
    ops.conv2d_weight_grad: _weight_grad,
    ops.max_pool2d: _max_pool,
    ops.max_pool2d_grad: _max_pool_grad,
    ops.batch_norm: _norm,
    ops.batch_norm_grad: _norm_grad,
}
IMAGES: Kernels = {op: replace(TORCH[op], native=made) for op, made in _NATIVE.items()}
