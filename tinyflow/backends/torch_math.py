"""Elementwise functions, reductions and matrix products in torch. Layer: backends.

``KERNELS`` and the functions that their templates name, ``NAMESPACE``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tinyflow import ops
from tinyflow.backends.table import Kernel, Kernels, Namespace, Template
from tinyflow.backends.torch_kernel import (
    DTYPES,
    Attrs,
    Axes,
    Out,
    Shapes,
    aten,
    backward,
    function,
    into,
    kernel,
    named,
)
from tinyflow.ops.rules import normal_axes
from tinyflow.types import DType

__all__ = ["KERNELS", "NAMESPACE", "reduce_sum"]

_ONE_BITS = 0x3F800000  # 1.0 as a float32


# --- elementwise -------------------------------------------------------------------------------


def _relu(x: Tensor, out: Out = None) -> Tensor:
    return torch.clamp_min(x, 0, out=out)


def _cast(x: Tensor, dtype: DType, out: Out = None) -> Tensor:
    return x.to(DTYPES[dtype], copy=True) if out is None else _converted(x, out)


def _converted(x: Tensor, out: Tensor) -> Tensor:
    """``out.copy_(x)``; of truth values as the bits of 0.0 and 1.0, a quarter of the time."""
    if x.dtype is torch.bool and out.dtype is torch.float32 and out.is_cpu:
        out.view(torch.int32).copy_(x).mul_(_ONE_BITS)
        return out
    return out.copy_(x)


def _cast_like(x: Tensor, like: Tensor) -> Tensor:
    return x.to(like.dtype, copy=True)


# --- reductions --------------------------------------------------------------------------------
# torch takes an empty tuple of axes for "all": a reduction over no axes is a copy.


def reduce_sum(x: Tensor, reduction_indices: Axes, keepdims: bool, out: Out = None) -> Tensor:
    """Σ x in the dtype of x, of truth values in float32; see ``ops.reduce_sum``."""
    x = x.to(torch.float32) if x.dtype is torch.bool else x
    if reduction_indices == ():
        return into(out, x)
    return torch.sum(x, reduction_indices, keepdims, dtype=x.dtype, out=out)


def _reduce_mean(x: Tensor, reduction_indices: Axes, keepdims: bool, out: Out = None) -> Tensor:
    x = x if x.is_floating_point() else x.to(torch.float32)
    if reduction_indices == ():
        return into(out, x)
    return torch.mean(x, reduction_indices, keepdims, out=out)


def _extreme(name: str) -> Kernel:
    """Kernel of ``torch.amax`` or ``torch.amin``."""
    extreme = getattr(torch, name)

    def run(x: Tensor, reduction_indices: Axes, keepdims: bool, out: Out = None) -> Tensor:
        if reduction_indices == ():
            return into(out, x)
        result: Tensor = extreme(x, reduction_indices or (), keepdims, out=out)
        return result

    return kernel(run, _reduction(name))


def _reduction(name: str) -> Template:
    def template(attrs: Attrs, shapes: Shapes) -> str:
        axes = attrs["reduction_indices"]
        if axes == ():
            return "{out}.copy_({0})"
        dims = "()" if axes is None and name in ("amax", "amin") else str(axes)
        return f"{name}({{0}}, {dims}, {attrs['keepdims']}, out={{out}})"

    return template


def _argmax(x: Tensor, axis: int, out: Out = None) -> Tensor:
    return torch.argmax(x, axis, False, out=out)


def _size(x: Tensor, reduction_indices: Axes) -> Tensor:
    count = math.prod(x.shape[axis] for axis in normal_axes(reduction_indices, x.dim()))
    return x.new_full((), count, dtype=x.dtype if x.is_floating_point() else torch.float32)


# --- matrices ----------------------------------------------------------------------------------


def _matmul(x: Tensor, y: Tensor, transpose_a: bool, transpose_b: bool, out: Out = None) -> Tensor:
    return torch.mm(x.t() if transpose_a else x, y.t() if transpose_b else y, out=out)


def _factors(attrs: Attrs, first: int) -> str:
    a = f"{{{first}t}}" if attrs["transpose_a"] else f"{{{first}}}"
    return a + ", " + (f"{{{first + 1}t}}" if attrs["transpose_b"] else f"{{{first + 1}}}")


def _matmul_template(attrs: Attrs, shapes: Shapes) -> str:
    return f"mm({_factors(attrs, 0)}, out={{out}})"


def _gemm(
    c: Tensor,
    a: Tensor,
    b: Tensor,
    alpha: float,
    beta: float,
    transpose_a: bool,
    transpose_b: bool,
    out: Out = None,
) -> Tensor:
    a, b = a.t() if transpose_a else a, b.t() if transpose_b else b
    return torch.addmm(c, a, b, beta=beta, alpha=alpha, out=out)


def _gemm_template(attrs: Attrs, shapes: Shapes) -> str:
    return f"addmm({{0}}, {_factors(attrs, 1)}, beta={{@beta}}, alpha={{@alpha}}, out={{out}})"


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, out: Out = None) -> Tensor:
    x = x.reshape(x.shape[0], weight.shape[1])
    if bias is None:
        return torch.mm(x, weight.t(), out=out)
    return torch.addmm(bias, x, weight.t(), out=out)


def _linear_template(attrs: Attrs, shapes: Shapes) -> str:
    rows, inner = shapes[0][0], shapes[1][1]
    x = "{0}" if len(shapes[0]) == 2 else f"{{0}}.reshape({rows}, {inner})"
    product = f"{x}, {{1t}}, out={{out}})"
    return f"addmm({{2}}, {product}" if len(shapes) == 3 else f"mm({product}"


KERNELS: Kernels = {
    ops.add: function("add", 2),
    ops.sub: function("sub", 2),
    ops.mul: function("mul", 2),
    ops.div: function("div", 2),
    ops.pow: function("pow", 2),
    ops.equal: function("eq", 2),
    ops.greater: function("gt", 2),
    ops.neg: function("neg", 1),
    ops.exp: function("exp", 1),
    ops.log: function("log", 1),
    ops.sqrt: function("sqrt", 1),
    ops.tanh: function("tanh", 1),
    ops.sigmoid: function("sigmoid", 1),
    ops.relu: kernel(_relu, "clamp_min({0}, 0, out={out})"),
    ops.relu_grad: backward("threshold_backward", 0),
    ops.tanh_grad: backward("tanh_backward"),
    ops.sigmoid_grad: backward("sigmoid_backward"),
    ops.cast: kernel(_cast, "converted({0}, {out})"),
    ops.cast_like: kernel(_cast_like, writes_out=False),
    ops.reduce_sum: kernel(reduce_sum, _reduction("sum")),
    ops.reduce_mean: kernel(_reduce_mean, _reduction("mean")),
    ops.reduce_max: _extreme("amax"),
    ops.reduce_min: _extreme("amin"),
    ops.argmax: kernel(_argmax, "argmax({0}, {@axis}, False, out={out})"),
    ops.size: kernel(_size, writes_out=False),
    ops.matmul: kernel(_matmul, _matmul_template),
    ops.gemm: kernel(_gemm, _gemm_template),
    ops.linear: kernel(_linear, _linear_template),
}

NAMESPACE: Namespace = {
    **named("add sub mul div pow eq gt neg exp log sqrt tanh sigmoid clamp_min"),
    **named("sum mean amax amin argmax mm addmm"),
    "threshold_backward": aten.threshold_backward.grad_input,
    "tanh_backward": aten.tanh_backward.grad_input,
    "sigmoid_backward": aten.sigmoid_backward.grad_input,
    "converted": _converted,
}
