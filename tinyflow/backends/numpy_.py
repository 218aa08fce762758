"""Kernels in numpy: the plain ones, and the oracle of all others. Layer: backends.

Everything is computed in the dtype of the inputs (sums of float16 in float32). Division by zero and
the like give inf and nan without a warning, as on every other backend.
"""

from __future__ import annotations

import numpy as np

from tinyflow import ops
from tinyflow.backends import numpy_array, numpy_conv, numpy_layout, numpy_loss, numpy_math
from tinyflow.backends.fused import fused_kernel
from tinyflow.backends.numpy_kernel import plain
from tinyflow.backends.numpy_table import NumpyTable
from tinyflow.backends.random import draw_normal, draw_truncated_normal, draw_uniform
from tinyflow.backends.table import Array, Kernel, Sizes
from tinyflow.types import DType

__all__ = ["NUMPY"]


def _fill(number: int) -> Kernel:
    def fill(shape: Sizes, dtype: DType) -> Array:
        return np.full(shape, number, dtype.numpy)

    return plain(fill)


NUMPY = NumpyTable(
    "numpy",
    {
        ops.normal: plain(draw_normal),
        ops.truncated_normal: plain(draw_truncated_normal),
        ops.uniform: plain(draw_uniform),
        ops.uniform_like: plain(lambda like, **attrs: draw_uniform(np.shape(like), **attrs)),
        ops.zeros: _fill(0),
        ops.ones: _fill(1),
        **numpy_math.KERNELS,
        **numpy_layout.KERNELS,
        **numpy_loss.KERNELS,
        **numpy_conv.KERNELS,
        **numpy_array.KERNELS,
    },
    {"copyto": np.copyto},
)
NUMPY.add(ops.fused, fused_kernel(NUMPY))
