"""Convolution, pooling and batch normalisation in torch. Layer: backends.

Inputs may have any strides; what torch returns for channels-last inputs is channels-last too.
torch pads both sides alike: where they differ (TensorFlow's SAME), the image is padded first.
Convolutions and batch normalisation allocate their results; pools write into ``out``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from tinyflow import ops
from tinyflow.backends.table import Kernel, Kernels, Namespace, Template
from tinyflow.backends.torch_kernel import Attrs, Out, Shapes, aten, into, kernel
from tinyflow.ops.window import reach, resolve_padding

__all__ = ["KERNELS", "NAMESPACE"]

Ints = tuple[int, ...]
_conv_backward = aten.convolution_backward.default
_max_backward = aten.max_pool2d_with_indices_backward
_avg_backward = aten.avg_pool2d_backward
_norm_backward = aten.native_batch_norm_backward.default
_max = torch._C._nn.max_pool2d_with_indices
_avg: Callable[..., Tensor] = torch._C._nn.avg_pool2d  # its stub lacks out


def _even(pads: Ints) -> Ints | None:
    """Padding (rows, columns) as torch takes it; None if two sides differ."""
    top, bottom, left, right = pads
    return (top, left) if top == bottom and left == right else None


def _around(x: Tensor, pads: Ints, value: float = 0) -> Tensor:
    top, bottom, left, right = pads
    return torch.constant_pad_nd(x, (left, right, top, bottom), value)


def _without(pads: Ints) -> Ints:
    return tuple(-amount for amount in pads)


# --- convolution -------------------------------------------------------------------------------


def _given(x: Sequence[int], weight: Sequence[int], window: Attrs) -> tuple[Ints, tuple[Any, ...]]:
    """Padding, and what torch takes after it: dilation, not transposed, no output padding, groups.

    x and weight are shapes.
    """
    inside = reach(weight[2:], window["dilations"])
    pads = resolve_padding(window["padding"], window["strides"], x[2:], inside)
    return pads, (window["dilations"], False, (0, 0), window["groups"])


def _conv2d(x: Tensor, weight: Tensor, bias: Tensor | None = None, **window: Any) -> Tensor:
    pads, more = _given(x.shape, weight.shape, window)
    even = _even(pads)
    if even is None:
        x, even = _around(x, pads), (0, 0)
    return torch.convolution(x, weight, bias, window["strides"], even, *more)


def _input_grad(dy: Tensor, weight: Tensor, x: Tensor, **window: Any) -> Tensor:
    pads, more = _given(x.shape, weight.shape, window)
    even, strides, mask = _even(pads), window["strides"], (True, False, False)
    if even is not None:
        dx: Tensor = _conv_backward(dy, x, weight, None, strides, even, *more, mask)[0]
        return dx
    wide = _around(x, pads)
    dx = _conv_backward(dy, wide, weight, None, strides, (0, 0), *more, mask)[0]
    return _around(dx, _without(pads))


def _weight_grad(
    dy: Tensor, x: Tensor, weight: Tensor, bias: bool, **window: Any
) -> Tensor | tuple[Tensor, ...]:
    pads, more = _given(x.shape, weight.shape, window)
    even, mask = _even(pads), (False, True, bias)
    if even is None:
        x, even = _around(x, pads), (0, 0)
    sizes = [weight.shape[0]] if bias else None
    _, dw, db = _conv_backward(dy, x, weight, sizes, window["strides"], even, *more, mask)
    return (dw, db) if bias else dw


def _numbers(x: Sequence[int], weight: Sequence[int], attrs: Attrs) -> str | None:
    """Strides, padding and what follows, as text; None where the image must be padded first."""
    pads, more = _given(x, weight, attrs)
    even = _even(pads)
    return None if even is None else f"{(attrs['strides'], even, *more)}"[1:-1]


def _conv_template(attrs: Attrs, shapes: Shapes) -> str | None:
    numbers = _numbers(shapes[0], shapes[1], attrs)
    bias = "{2}" if len(shapes) == 3 else "None"
    return numbers and f"convolution({{0}}, {{1}}, {bias}, {numbers})"


def _input_grad_template(attrs: Attrs, shapes: Shapes) -> str | None:
    numbers = _numbers(shapes[2], shapes[1], attrs)
    call = f"conv_backward({{0}}, {{2}}, {{1}}, None, {numbers}, (True, False, False))[0]"
    return numbers and call


def _weight_grad_template(attrs: Attrs, shapes: Shapes) -> str | None:
    numbers = _numbers(shapes[1], shapes[2], attrs)
    sizes, which = (f"[{shapes[2][0]}]", "1:") if attrs["bias"] else ("None", "1")
    call = f"conv_backward({{0}}, {{1}}, {{2}}, {sizes}, {numbers}"
    return numbers and f"{call}, (False, True, {attrs['bias']}))[{which}]"


def _pads(attrs: Attrs, x: Sequence[int], window: Sequence[int]) -> Ints:
    return resolve_padding(attrs["padding"], attrs["strides"], x[2:], window)


# --- pooling -----------------------------------------------------------------------------------


def _simple(pads: Ints, ksize: Ints) -> Ints | None:
    """Padding as torch's pools take it: alike on both sides, at most half a window."""
    even = _even(pads)
    fits = even is not None and all(2 * p <= k for p, k in zip(even, ksize))
    return even if fits else None


def _max_pool(x: Tensor, ksize: Ints, strides: Ints, padding: Ints | None) -> tuple[Tensor, Tensor]:
    pads = resolve_padding(padding, strides, x.shape[2:], ksize)
    simple = _simple(pads, ksize)
    if simple is not None:
        y, index = _max(x, ksize, strides, simple)
        return y, index
    wide = _around(x, pads, -math.inf)
    y, index = _max(wide, ksize, strides)
    row, column = index // wide.shape[3] - pads[0], index % wide.shape[3] - pads[2]
    inside = row.clamp_min_(0) * x.shape[3] + column.clamp_min_(0)  # all of it -inf: any place
    return y, inside


def _max_pool_grad(
    dy: Tensor,
    index: Tensor,
    x: Tensor,
    ksize: Ints,
    strides: Ints,
    padding: Ints | None,
    out: Out = None,
) -> Tensor:
    simple = _simple(resolve_padding(padding, strides, x.shape[2:], ksize), ksize)
    if simple is None:
        n, c, h, w = x.shape
        flat = dy.new_zeros((n, c, h * w))
        flat.scatter_add_(2, index.flatten(2), dy.flatten(2))
        return into(out, flat.view(n, c, h, w))
    attrs = (ksize, strides, simple, (1, 1), False, index)
    if out is None:
        dx: Tensor = _max_backward(dy, x, *attrs)
        return dx
    _max_backward.grad_input(dy, x, *attrs, grad_input=out)
    return out


def _max_pool_take(
    x: Tensor, index: Tensor, ksize: Ints, strides: Ints, padding: Ints | None, out: Out = None
) -> Tensor:
    return into(out, x.flatten(2).gather(2, index.flatten(2)).view(index.shape))


def _share(x: Tensor, ksize: Ints, strides: Ints, pads: Ints) -> Tensor:
    """Which part of each window is no padding."""
    ones = x.new_ones((1, 1, *x.shape[2:]))
    share: Tensor = _avg(_around(ones, pads), ksize, strides)
    return share


def _avg_pool(
    x: Tensor,
    ksize: Ints,
    strides: Ints,
    padding: Ints | None,
    count_padding: bool,
    out: Out = None,
) -> Tensor:
    pads = resolve_padding(padding, strides, x.shape[2:], ksize)
    simple = _simple(pads, ksize)
    if simple is not None:
        y: Tensor = _avg(x, ksize, strides, simple, False, count_padding, None, out=out)
        return y
    y = _avg(_around(x, pads), ksize, strides, out=out)
    return y if count_padding else y.div_(_share(x, ksize, strides, pads))


def _avg_pool_grad(
    dy: Tensor,
    x: Tensor,
    ksize: Ints,
    strides: Ints,
    padding: Ints | None,
    count_padding: bool,
    out: Out = None,
) -> Tensor:
    pads = resolve_padding(padding, strides, x.shape[2:], ksize)
    simple = _simple(pads, ksize)
    if simple is None:
        dy = dy if count_padding else dy / _share(x, ksize, strides, pads)
        more = ((0, 0), False, True, None)
        dx: Tensor = _avg_backward(dy, _around(x, pads), ksize, strides, *more)
        return into(out, _around(dx, _without(pads)))
    attrs = (ksize, strides, simple, False, count_padding, None)
    if out is None:
        dx = _avg_backward(dy, x, *attrs)
        return dx
    _avg_backward.grad_input(dy, x, *attrs, grad_input=out)
    return out


def _pool_template(name: str, image: int, call: str) -> Template:
    """Template of a pool: ``call`` with the window's numbers filled in, if torch takes them."""

    def template(attrs: Attrs, shapes: Shapes) -> str | None:
        simple = _simple(_pads(attrs, shapes[image], attrs["ksize"]), attrs["ksize"])
        if simple is None:
            return None
        window = f"{attrs['ksize']}, {attrs['strides']}, {simple}"
        counted = str(attrs.get("count_padding"))
        return f"{name}({call})".replace("WINDOW", window).replace("COUNTED", counted)

    return template


# --- normalisation and shape -------------------------------------------------------------------


def _batch_norm(
    x: Tensor,
    gamma: Tensor,
    beta: Tensor,
    moving_mean: Tensor,
    moving_variance: Tensor,
    training: bool,
    epsilon: float,
) -> Tensor | tuple[Tensor, ...]:
    if not training:
        means = (moving_mean, moving_variance)
        return torch.native_batch_norm(x, gamma, beta, *means, False, 0.0, epsilon)[0]
    if not x.numel():  # torch refuses: the mean of nothing
        return x.clone(), torch.full_like(gamma, math.nan), torch.full_like(gamma, math.nan)
    y, mean, scale = torch.native_batch_norm(x, gamma, beta, None, None, True, 0.0, epsilon)
    return y, mean, scale.pow_(-2).sub_(epsilon).clamp_min_(0)


def _batch_norm_grad(
    dy: Tensor, x: Tensor, gamma: Tensor, mean: Tensor, variance: Tensor, epsilon: float
) -> tuple[Tensor, ...]:
    if not x.numel():  # torch divides by the number of elements, and the process dies
        return x.clone(), torch.zeros_like(gamma), torch.zeros_like(gamma)
    scale = variance.add(epsilon).rsqrt_()
    results: tuple[Tensor, ...] = _norm_backward(
        dy, x, gamma, None, None, mean, scale, True, epsilon, (True, True, True)
    )
    return results


def _batch_norm_template(attrs: Attrs, shapes: Shapes) -> str:
    return f"batch_norm({{0}}, {{1}}, {{2}}, {{3}}, {{4}}, {attrs['training']}, {{@epsilon}})"


def _pad(x: Tensor, dim: int, pad: int, out: Out = None) -> Tensor:
    shape = list(x.shape)
    shape[dim] += abs(pad)
    out = x.new_zeros(shape) if out is None else out.zero_()
    out.narrow(dim, max(-pad, 0), x.shape[dim]).copy_(x)
    return out


def _crop(x: Tensor, dim: int, pad: int, out: Out = None) -> Tensor:
    return into(out, x.narrow(dim, max(-pad, 0), x.shape[dim] - abs(pad)))


def _flatten(x: Tensor) -> Tensor:
    return x.reshape(x.shape[0], math.prod(x.shape[1:]))


def _flatten_template(attrs: Attrs, shapes: Shapes) -> str:
    return f"{{0}}.reshape({shapes[0][0]}, {math.prod(shapes[0][1:])})"


def _own(compute: Callable[..., Any], template: Template | str | None) -> Kernel:
    return kernel(compute, template, writes_out=False)


KERNELS: Kernels = {
    ops.conv2d: _own(_conv2d, _conv_template),
    ops.conv2d_input_grad: _own(_input_grad, _input_grad_template),
    ops.conv2d_weight_grad: _own(_weight_grad, _weight_grad_template),
    ops.max_pool2d: _own(_max_pool, _pool_template("max_pool", 0, "{0}, WINDOW")),
    ops.max_pool2d_grad: kernel(
        _max_pool_grad,
        _pool_template("max_backward", 2, "{0}, {2}, WINDOW, (1, 1), False, {1}, grad_input={out}"),
    ),
    ops.max_pool2d_take: kernel(_max_pool_take),
    ops.avg_pool2d: kernel(
        _avg_pool,
        _pool_template("avg_pool", 0, "{0}, WINDOW, False, COUNTED, None, out={out}"),
    ),
    ops.avg_pool2d_grad: kernel(
        _avg_pool_grad,
        _pool_template(
            "avg_backward", 1, "{0}, {1}, WINDOW, False, COUNTED, None, grad_input={out}"
        ),
    ),
    ops.batch_norm: _own(_batch_norm, _batch_norm_template),
    ops.batch_norm_grad: _own(
        _batch_norm_grad, "batch_norm_grad({0}, {1}, {2}, {3}, {4}, {@epsilon})"
    ),
    ops.pad: kernel(_pad, "pad({0}, {@dim}, {@pad}, {out})"),
    ops.crop: kernel(_crop, "crop({0}, {@dim}, {@pad}, {out})"),
    ops.flatten_layer: _own(_flatten, _flatten_template),
}

NAMESPACE: Namespace = {
    "convolution": torch.convolution,
    "conv_backward": _conv_backward,
    "max_pool": _max,
    "max_backward": _max_backward.grad_input,
    "avg_pool": _avg,
    "avg_backward": _avg_backward.grad_input,
    "batch_norm": _batch_norm,
    "batch_norm_grad": _batch_norm_grad,
    "pad": _pad,
    "crop": _crop,
}
