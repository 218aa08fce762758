"""Kernels in torch, with templates for emitted code. Layer: backends.

``writes_out`` is set only where torch computes into ``out`` itself; many of its functions allocate
and copy. Functions are bound as ``torch.mm``, which costs half a call of ``torch.ops.aten.mm.out``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from tinyflow import ops
from tinyflow.backends import torch_array, torch_conv
from tinyflow.backends.fused import fused_kernel
from tinyflow.backends.numpy_ import draw_normal, draw_truncated_normal, draw_uniform
from tinyflow.backends.table import Array, Kernel, Template, wrong_label
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
)
from tinyflow.backends.torch_table import CPU, TorchTable
from tinyflow.ir import Op
from tinyflow.ops.rules import normal_axes
from tinyflow.types import DType

__all__ = ["TORCH", "made_on"]

_nll_loss = torch._C._nn.nll_loss  # type: ignore[attr-defined]  # the stub lacks it
_ONE_BITS = 0x3F800000  # 1.0 as a float32
_MEAN = 1  # aten's code for reduction="mean"
_NEVER = -(2**62) - 1  # an ignore_index that no label has; the default, -100, is a likely mistake
_VECTOR_BYTES = {"AVX512": 64, "AVX2": 32}.get(torch.backends.cpu.get_cpu_capability(), 16)


# --- elementwise -------------------------------------------------------------------------------


def _relu(x: Tensor, out: Out = None) -> Tensor:
    return torch.clamp_min(x, 0, out=out)


def _copy(x: Tensor, out: Out = None) -> Tensor:
    return into(out, x)


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


def _reduce_sum(x: Tensor, reduction_indices: Axes, keepdims: bool, out: Out = None) -> Tensor:
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


# --- layout ------------------------------------------------------------------------------------


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
    return _reduce_sum(x, tuple(axes), False).reshape(like.shape)


def _fill(number: int, device: torch.device) -> Kernel:
    def fill(shape: tuple[int, ...], dtype: DType) -> Tensor:
        return torch.full(shape, number, dtype=DTYPES[dtype], device=device)

    return kernel(fill, writes_out=False)


# --- softmax and losses ------------------------------------------------------------------------


# torch normalises a row that is shorter than a vector register one element after the other, ten
# times slower than a column of a wide matrix: short rows are laid down first.


def _short_rows(shape: Sequence[int], axis: int, itemsize: int = 4) -> bool:
    last = axis in (1, -1) and len(shape) == 2
    return last and shape[0] >= 32 and shape[1] * itemsize < _VECTOR_BYTES


def _normalise(function: Callable[..., Tensor], x: Tensor, axis: int, out: Out) -> Tensor:
    if not _short_rows(x.shape, axis, x.element_size()):
        return function(x, axis, out=out)
    columns = function(x.t(), 0).t()
    return columns.contiguous() if out is None else out.copy_(columns)


def _softmax(x: Tensor, axis: int, out: Out = None) -> Tensor:
    return _normalise(torch.softmax, x, axis, out)


def _log_softmax(x: Tensor, axis: int, out: Out = None) -> Tensor:
    return _normalise(torch.log_softmax, x, axis, out)


def _normalise_template(name: str) -> Template:
    def template(attrs: Attrs, shapes: Shapes) -> str:
        if _short_rows(shapes[0], attrs["axis"]):
            return f"{{out}}.copy_({name}({{0t}}, 0).t())"
        return f"{name}({{0}}, {{@axis}}, out={{out}})"

    return template


def _softmax_grad(dy: Tensor, y: Tensor, axis: int, out: Out = None) -> Tensor:
    return torch._softmax_backward_data(dy, y, axis, y.dtype, grad_input=out)


def _log_softmax_grad(dy: Tensor, y: Tensor, axis: int, out: Out = None) -> Tensor:
    return torch._log_softmax_backward_data(dy, y, axis, y.dtype, out=out)


def _checked(labels: Tensor, classes: int) -> Tensor:
    """Labels as int64; floats must be whole. Range is checked where they are used as indices.

    A GPU does not come back from an index out of range, so there it is checked before.
    """
    if not labels.is_cpu:
        _refuse(labels, classes)
    if labels.dtype is torch.int64:
        return labels
    if labels.is_floating_point() and not torch.equal(labels, labels.floor()):
        _refuse(labels, classes)
    return labels.to(torch.int64)


def _refuse(labels: Tensor, classes: int) -> None:
    plain = labels.double() if labels.is_floating_point() else labels  # numpy has no bfloat16
    error = wrong_label(plain.cpu().numpy(), classes)
    if error:
        raise error


def _checked_labels(x: Tensor, hits: Tensor, labels: Tensor, classes: int) -> Tensor:
    if hits.item() != len(labels):
        _refuse(labels, classes)
    return x


def _sparse_loss(
    logits: Tensor, labels: Tensor, normalised: bool = False, out: Out = None
) -> Tensor:
    """nll_loss checks the range of the labels, on both sides."""
    index = _checked(labels, logits.shape[1])
    log_p = logits if normalised else _log_softmax(logits, 1)
    try:
        loss: Tensor = _nll_loss(log_p, index, None, _MEAN, _NEVER)
    except (IndexError, RuntimeError):
        _refuse(labels, logits.shape[1])
        raise
    return loss if out is None else out.copy_(loss)


@lru_cache(maxsize=64)
def _minus_one(count: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.full((), -1.0, dtype=dtype, device=device).expand(count, 1)


def _sparse_grad(
    dy: Tensor, logits: Tensor, labels: Tensor, normalised: bool = False, out: Out = None
) -> Tensor:
    """(p - onehot) * dy / n. Scatter checks the range of the labels; nll_loss_backward does not."""
    n, classes = logits.shape
    index = _checked(labels, classes)
    p = torch.exp(logits, out=out) if normalised else _softmax(logits, 1, out=out)
    try:
        p.scatter_add_(1, index.unsqueeze(1), _minus_one(n, p.dtype, p.device))
    except RuntimeError:
        _refuse(labels, classes)
        raise
    return p.mul_(dy / n)


def _weighted(logits: Tensor, labels: Tensor) -> Tensor:
    return _log_softmax(logits, -1).mul_(labels)


def _dense_loss(logits: Tensor, labels: Tensor, out: Out = None) -> Tensor:
    return torch.sum(_weighted(logits, labels), -1, out=out).neg_()


def _mean_dense_loss(logits: Tensor, labels: Tensor, out: Out = None) -> Tensor:
    rows = logits.shape[:-1].numel()
    return torch.sum(_weighted(logits, labels), None, out=out).div_(-rows)


# --- state and random --------------------------------------------------------------------------


def _drawn(draw: Callable[..., Array], device: torch.device) -> Kernel:
    """The numbers that the numpy backend draws, on each device; bfloat16 from float32."""

    def run(*like: Tensor, dtype: DType, **attrs: Any) -> Tensor:
        exact = DType.float32 if dtype is DType.bfloat16 else dtype
        if like:
            attrs["shape"] = tuple(like[0].shape)
        return torch.from_numpy(draw(dtype=exact, **attrs)).to(device, DTYPES[dtype])

    return kernel(run, writes_out=False)


def _assign(variable: Tensor | None, value: Tensor, out: Out = None) -> Tensor:
    dtype = value.dtype if variable is None else variable.dtype
    return value.to(dtype, copy=True) if out is None else out.copy_(value)


_COPY = "{out}.copy_({0})"


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
        ops.assign: kernel(_assign),
        ops.identity: kernel(_copy, _COPY),
        ops.copy_to: kernel(lambda x, device, out=None: _copy(x, out=out), _COPY),
        ops.stop_gradient: kernel(_copy, _COPY),
        ops.with_gradient: kernel(lambda y, *xs, backward, out=None: _copy(y, out=out), _COPY),
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
        ops.zeros_like: kernel(torch.zeros_like, writes_out=False),
        ops.ones_like: kernel(torch.ones_like, writes_out=False),
        ops.reduce_sum: kernel(_reduce_sum, _reduction("sum")),
        ops.reduce_mean: kernel(_reduce_mean, _reduction("mean")),
        ops.reduce_max: _extreme("amax"),
        ops.reduce_min: _extreme("amin"),
        ops.argmax: kernel(_argmax, "argmax({0}, {@axis}, False, out={out})"),
        ops.size: kernel(_size, writes_out=False),
        ops.matmul: kernel(_matmul, _matmul_template),
        ops.gemm: kernel(_gemm, _gemm_template),
        ops.linear: kernel(_linear, _linear_template),
        ops.reshape: kernel(_reshape, _reshape_template, writes_out=False),
        ops.reshape_like: kernel(_reshape_like, writes_out=False),
        ops.transpose: kernel(_transpose, _transpose_template),
        ops.broadcast_to: kernel(_broadcast_to, _COPY),
        ops.broadcast_like: kernel(_broadcast_like, writes_out=False),
        ops.sum_like: kernel(_sum_like, writes_out=False),
        ops.softmax: kernel(_softmax, _normalise_template("softmax")),
        ops.log_softmax: kernel(_log_softmax, _normalise_template("log_softmax")),
        ops.softmax_grad: kernel(
            _softmax_grad, "softmax_backward({0}, {1}, {@axis}, {1}.dtype, grad_input={out})"
        ),
        ops.log_softmax_grad: kernel(
            _log_softmax_grad, "log_softmax_backward({0}, {1}, {@axis}, {1}.dtype, out={out})"
        ),
        ops.checked_labels: kernel(
            _checked_labels, "checked_labels({0}, {1}, {2}, {@classes})", writes_out=False
        ),
        ops.mean_sparse_softmax_cross_entropy_with_logits: kernel(
            _sparse_loss, "sparse_loss({0}, {1}, {@normalised}, {out})"
        ),
        ops.sparse_softmax_cross_entropy_grad: kernel(
            _sparse_grad, "sparse_grad({0}, {1}, {2}, {@normalised}, {out})"
        ),
        ops.softmax_cross_entropy_with_logits: kernel(_dense_loss, "dense_loss({0}, {1}, {out})"),
        ops.mean_softmax_cross_entropy_with_logits: kernel(
            _mean_dense_loss, "mean_dense_loss({0}, {1}, {out})"
        ),
        **made_on(CPU),
        **torch_conv.KERNELS,
        **torch_array.KERNELS,
    },
    {
        **torch_conv.NAMESPACE,
        **torch_array.NAMESPACE,
        **{
            name: getattr(torch, name)
            for name in (
                *("add", "sub", "mul", "div", "pow", "eq", "gt"),
                *("neg", "exp", "log", "sqrt", "tanh", "sigmoid", "clamp_min"),
                *("sum", "mean", "amax", "amin", "argmax", "mm", "addmm", "softmax", "log_softmax"),
            )
        },
        "threshold_backward": aten.threshold_backward.grad_input,
        "tanh_backward": aten.tanh_backward.grad_input,
        "sigmoid_backward": aten.sigmoid_backward.grad_input,
        "softmax_backward": torch._softmax_backward_data,
        "log_softmax_backward": torch._log_softmax_backward_data,
        "checked_labels": _checked_labels,
        "converted": _converted,
        "sparse_loss": _sparse_loss,
        "sparse_grad": _sparse_grad,
        "dense_loss": _dense_loss,
        "mean_dense_loss": _mean_dense_loss,
    },
)
TORCH.add(ops.fused, fused_kernel(TORCH))
