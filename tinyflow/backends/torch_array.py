"""Torch kernels of comparisons, of ops on parts of arrays, and of transformers. Layer: backends.

``KERNELS`` and the functions that their templates name, ``NAMESPACE``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from tinyflow import ops
from tinyflow.backends.table import Kernels, Namespace, wrong_id
from tinyflow.backends.torch_kernel import Attrs, Out, Shapes, aten, function, into, kernel, named
from tinyflow.ops.rules import picked

__all__ = ["KERNELS", "NAMESPACE"]

_gelu_function = torch._C._nn.gelu
_layer_norm_backward = aten.native_layer_norm_backward


_BITS = {torch.float32: torch.int32, torch.float64: torch.int64}
_FEW = 2**14  # elements for which one slow call is quicker than six fast ones
_MANY = 2**16  # elements of a band


# --- choices -----------------------------------------------------------------------------------


def _where(condition: Tensor, x: Tensor, y: Tensor, out: Out = None) -> Tensor:
    """y ^ ((x ^ y) & mask) on the bits of the numbers, a fifth of the time of torch.where.

    That one branches at each element, and conditions are hard to predict.
    """
    bits = _BITS.get(x.dtype)
    if out is None or bits is None or x.dtype is not y.dtype or out.numel() < _FEW:
        return torch.where(condition, x, y, out=out)
    if not out.is_cpu or x.data_ptr() == y.data_ptr():
        return out.copy_(torch.where(condition, x, y))
    inverted = out.data_ptr() == y.data_ptr()  # what is xored in the end must last so long
    parts = (condition, y, x) if inverted else (condition, x, y)
    for target, chosen, a, b in _bands(out, *parts):
        mask = chosen.to(bits)
        mask = mask.sub_(1) if inverted else mask.neg_()
        kept, target = b.view(bits), target.view(bits)
        torch.bitwise_and(torch.bitwise_xor(a.view(bits), kept), mask, out=target)
        target.bitwise_xor_(kept)
    return out


def _bands(out: Tensor, *inputs: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """All of them, some rows at a time: what is computed in between stays in the cache."""
    count = out.shape[0]
    rows = max(1, count * _MANY // out.numel())
    for at in range(0, count, rows):
        yield tuple(
            z[at : at + rows] if z.dim() == out.dim() and len(z) == count else z
            for z in (out, *inputs)
        )


# --- parts -------------------------------------------------------------------------------------


def _concat(*parts: Tensor, axis: int, out: Out = None) -> Tensor:
    return torch.cat(parts, axis, out=out)


def _concat_template(attrs: Attrs, shapes: Shapes) -> str:
    parts = ", ".join(f"{{{i}}}" for i in range(len(shapes)))
    return f"cat(({parts},), {{@axis}}, out={{out}})"


def _cut(x: Tensor, sizes: Sequence[int], axis: int) -> Any:
    """Copies of the parts of x; the part itself if it is the only one."""
    parts = tuple(into(None, part) for part in torch.split(x, list(sizes), axis))
    return parts if len(parts) > 1 else parts[0]


def _split(x: Tensor, num: int, sizes: Sequence[int] | None, axis: int) -> Any:
    return _cut(x, (x.shape[axis] // num,) * num if sizes is None else sizes, axis)


def _split_like(x: Tensor, *likes: Tensor, num: int, axis: int) -> Any:
    return _cut(x, [like.shape[axis] for like in likes], axis)


def _place(shape: Sequence[int], attrs: Attrs) -> tuple[tuple[slice, ...], list[int]]:
    """Index expression of a slice in ascending order, and the axes to reverse then."""
    index, reversed_axes = [slice(None)] * len(shape), []
    for axis, taken in picked(shape, attrs):
        if taken is not None and taken.step < 0:
            taken = taken[::-1]
            reversed_axes.append(axis)
        if taken is not None:
            index[axis] = slice(taken.start, max(taken.start, taken.stop), taken.step)
    return tuple(index), reversed_axes


def _slice(x: Tensor, out: Out = None, **attrs: Any) -> Tensor:
    index, reversed_axes = _place(x.shape, attrs)
    view = x[index]
    return into(out, view.flip(reversed_axes) if reversed_axes else view)


def _slice_template(attrs: Attrs, shapes: Shapes) -> str | None:
    index, reversed_axes = _place(shapes[0], attrs)
    if reversed_axes:
        return None
    ranges = (f"{i.start}:{i.stop}:{i.step}" if i.step else ":" for i in index)
    return f"{{out}}.copy_({{0}}[{', '.join(ranges) or '...'}])"


def _slice_grad(
    dy: Tensor, like: Tensor | None = None, *, shape: Any, out: Out = None, **attrs: Any
) -> Tensor:
    result = _zeros(dy, like, shape, out)
    index, reversed_axes = _place(result.shape, attrs)
    result[index] = dy.flip(reversed_axes) if reversed_axes else dy
    return result


def _zeros(dy: Tensor, like: Tensor | None, shape: Any, out: Out) -> Tensor:
    if out is not None:
        return out.zero_()
    return dy.new_zeros(like.shape if shape is None and like is not None else shape)


def _refuse(ids: Tensor, size: int) -> None:
    plain = ids.double() if ids.is_floating_point() else ids  # numpy has no bfloat16
    error = wrong_id(plain.cpu().numpy(), size)
    if error:
        raise error


def _whole(ids: Tensor, size: int) -> Tensor:
    """The ids in a row; floats must be whole. Their range is checked where they are used.

    A GPU does not come back from an index out of range, so there it is checked before.
    """
    if not ids.is_cpu:
        _refuse(ids, size)
    if ids.is_floating_point() and not torch.equal(ids, ids.floor()):
        _refuse(ids, size)
    return ids.reshape(-1).to(torch.int64)


def _gather(x: Tensor, ids: Tensor, axis: int, out: Out = None) -> Tensor:
    axis %= x.dim()
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    row = _whole(ids, x.shape[axis])
    try:
        if out is None:
            return torch.index_select(x, axis, row).reshape(before + ids.shape + after)
        torch.index_select(x, axis, row, out=out.view(*before, len(row), *after))
    except (IndexError, RuntimeError):
        _refuse(ids, x.shape[axis])
        raise
    return out


def _gather_grad(
    dy: Tensor, ids: Tensor, like: Tensor | None = None, *, axis: int, shape: Any, out: Out = None
) -> Tensor:
    result = _zeros(dy, like, shape, out)
    axis %= result.dim()
    row = _whole(ids, result.shape[axis])
    added = dy.reshape(*result.shape[:axis], len(row), *result.shape[axis + 1 :])
    try:
        return result.index_add_(axis, row, added)
    except (IndexError, RuntimeError):
        _refuse(ids, result.shape[axis])
        raise


def _cumsum(x: Tensor, axis: int, exclusive: bool, reverse: bool, out: Out = None) -> Tensor:
    if not exclusive and not reverse:
        return torch.cumsum(x, axis, dtype=x.dtype, out=out)
    y = x.flip(axis) if reverse else x
    if exclusive:
        y = y.roll(1, axis)
        y.narrow(axis, 0, min(1, y.shape[axis])).zero_()
    y = torch.cumsum(y, axis, dtype=x.dtype)
    y = y.flip(axis) if reverse else y
    return y if out is None else out.copy_(y)


def _cumsum_template(attrs: Attrs, shapes: Shapes) -> str | None:
    plain = not attrs["exclusive"] and not attrs["reverse"]
    return "cumsum({0}, {@axis}, dtype={0}.dtype, out={out})" if plain else None


def _recurrence(a: Tensor, b: Tensor, axis: int, reverse: bool, out: Out = None) -> Tensor:
    """After a sweep, a[i] and y[i] stand for twice as many steps that end in i."""
    a, y = (x.flip(axis) if reverse else x.clone() for x in (a, b))
    left, right, steps = a.movedim(axis, 0), y.movedim(axis, 0), 1
    while steps < len(right):
        right[steps:] = right[steps:] + left[steps:] * right[:-steps]
        left[steps:] = left[steps:] * left[:-steps]
        steps *= 2
    return into(out, y.flip(axis) if reverse else y)


def _reduce_prod(
    x: Tensor, reduction_indices: tuple[int, ...] | None, keepdims: bool, out: Out = None
) -> Tensor:
    rank, axes = x.dim(), reduction_indices
    for axis in sorted(range(rank) if axes is None else (a % rank for a in axes), reverse=True):
        x = torch.prod(x, axis, keepdims, dtype=x.dtype)
    return into(out, x)


def _expand_dims(x: Tensor, axis: int) -> Tensor:
    return x.unsqueeze(axis)


def _squeeze(x: Tensor, axes: tuple[int, ...] | None) -> Tensor:
    return x.squeeze() if axes is None else x.squeeze(axes)


# --- transformers ------------------------------------------------------------------------------


def _batch_matmul(
    x: Tensor, y: Tensor, transpose_a: bool, transpose_b: bool, out: Out = None
) -> Tensor:
    x, y = x.mT if transpose_a else x, y.mT if transpose_b else y
    if out is None or x.dim() == 2:
        return torch.matmul(x, y, out=out)
    if not out.is_contiguous():  # a filter whose channels lie side by side
        return out.copy_(torch.matmul(x, y))
    lead = math.prod(x.shape[:-2])
    flat = (z.reshape(lead, *z.shape[-2:]) for z in (x, y))
    torch.bmm(*flat, out=out.view(lead, *out.shape[-2:]))
    return out


def _batch_matmul_template(attrs: Attrs, shapes: Shapes) -> str:
    if len(shapes[0]) != 3:
        return "batch_matmul({0}, {1}, {@transpose_a}, {@transpose_b}, {out})"
    a, b = ("{0}.mT" if attrs["transpose_a"] else "{0}"), "{1}"
    return f"bmm({a}, {b}{'.mT' if attrs['transpose_b'] else ''}, out={{out}})"


def _layer_norm(x: Tensor, gamma: Tensor, beta: Tensor, epsilon: float) -> Tensor:
    return torch.native_layer_norm(x, x.shape[-1:], gamma, beta, epsilon)[0]


def _layer_norm_template(attrs: Attrs, shapes: Shapes) -> str:
    return f"native_layer_norm({{0}}, ({shapes[0][-1]},), {{1}}, {{2}}, {{@epsilon}})[0]"


def _layer_norm_grad(
    dy: Tensor, x: Tensor, gamma: Tensor, epsilon: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and deviation are computed again: cheaper than keeping them through the step."""
    size = x.shape[-1:]
    _, mean, scale = torch.native_layer_norm(x, size, None, None, epsilon)
    all_three = [True, True, True]
    result: tuple[Tensor, Tensor, Tensor] = _layer_norm_backward(
        dy, x, size, mean, scale, gamma, gamma, all_three
    )
    return result


def _gelu_grad(dy: Tensor, x: Tensor, out: Out = None) -> Tensor:
    if out is None:
        result: Tensor = aten.gelu_backward(dy, x)
        return result
    aten.gelu_backward.grad_input(dy, x, grad_input=out)
    return out


KERNELS: Kernels = {
    ops.less: function("lt", 2),
    ops.less_equal: function("le", 2),
    ops.greater_equal: function("ge", 2),
    ops.not_equal: function("ne", 2),
    ops.maximum: function("maximum", 2),
    ops.minimum: function("minimum", 2),
    ops.abs: function("abs", 1),
    ops.where: kernel(_where, "choose({0}, {1}, {2}, {out})"),
    ops.concat: kernel(_concat, _concat_template),
    ops.split: kernel(_split, writes_out=False),
    ops.split_like: kernel(_split_like, writes_out=False),
    ops.slice: kernel(_slice, _slice_template),
    ops.slice_grad: kernel(_slice_grad),
    ops.gather: kernel(_gather, "gather({0}, {1}, {@axis}, {out})"),
    ops.gather_grad: kernel(_gather_grad),
    ops.cumsum: kernel(_cumsum, _cumsum_template),
    ops.recurrence: kernel(_recurrence),
    ops.reduce_prod: kernel(_reduce_prod),
    ops.expand_dims: kernel(_expand_dims, writes_out=False),
    ops.squeeze: kernel(_squeeze, writes_out=False),
    ops.batch_matmul: kernel(_batch_matmul, _batch_matmul_template),
    ops.layer_norm: kernel(_layer_norm, _layer_norm_template, writes_out=False),
    ops.layer_norm_grad: kernel(
        _layer_norm_grad, "layer_norm_grad({0}, {1}, {2}, {@epsilon})", writes_out=False
    ),
    ops.erf: function("erf", 1),
    ops.rsqrt: function("rsqrt", 1),
    ops.gelu: kernel(_gelu_function, "gelu({0}, out={out})"),
    ops.gelu_grad: kernel(_gelu_grad, "gelu_backward({0}, {1}, grad_input={out})"),
}

NAMESPACE: Namespace = {
    **named("lt le ge ne maximum minimum abs erf rsqrt cat cumsum bmm native_layer_norm"),
    "choose": _where,
    "gather": _gather,
    "batch_matmul": _batch_matmul,
    "layer_norm_grad": _layer_norm_grad,
    "gelu": _gelu_function,
    "gelu_backward": aten.gelu_backward.grad_input,
}
