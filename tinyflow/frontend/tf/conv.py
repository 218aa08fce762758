"""``tf.nn``: layers on images. Layer: frontend.

Two dialects meet here. TinyFlow's ``conv2d(x, num_filter=20, ksize=[1, 5, 5, 1])`` makes its own
variables, images are NCHW, and SAME pads (k - 1) // 2 on every side. TensorFlow's
``conv2d(x, filter, strides, padding)`` is given a filter (h, w, in, out), images are NHWC, and SAME
pads just enough for ceil(size / stride) results, the odd one at the end. What comes after has the
layout of the convolution it comes from (``images.py`` finds it), if ``data_format`` does not say:
NCHW with TinyFlow's SAME and means that count the padding, or NHWC with TensorFlow's. All ops are
NCHW; transposes go between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

from tinyflow import ops
from tinyflow.frontend.tf.images import (
    NCHW,
    NHWC,
    from_nchw,
    layout_by_sizes,
    layout_of,
    to_nchw,
    wrong,
)  # fmt: skip
from tinyflow.frontend.tf.scope import current_scope
from tinyflow.frontend.tf.tensor import Like, Tensor, Variable, apply, unwrap
from tinyflow.ir import Op
from tinyflow.ops.window import reach
from tinyflow.types import DType

__all__ = ["avg_pool", "bias_add", "conv2d", "flatten_layer", "max_pool", "pad", "pair_of"]

Sizes = int | Sequence[int]
_HWIO_TO_OIHW = (3, 2, 0, 1)


def pair_of(name: str, sizes: Sizes, layout: str | None = None) -> tuple[int, int]:
    """(rows, columns) from a number, two, [1, h, w, 1] or, for NCHW, [1, 1, h, w].

    Raises GraphError for anything else.
    """
    numbers = list(sizes) if isinstance(sizes, Sequence) else [sizes]
    if not all(isinstance(number, Integral) for number in numbers):
        raise wrong(name, sizes, "whole numbers")
    if len(numbers) < 3 and numbers:
        return numbers[0], numbers[-1]
    if len(numbers) == 4 and numbers[0] == numbers[3] == 1:
        return numbers[1], numbers[2]
    if len(numbers) == 4 and numbers[0] == numbers[1] == 1 and layout != NHWC:
        return numbers[2], numbers[3]
    raise wrong(name, sizes, "[1, h, w, 1], or 1 or 2 numbers")


def _padding(padding: str, ksize: Sequence[int] | None) -> tuple[int, ...] | None:
    """The attribute: SAME is TinyFlow's for this window, or TensorFlow's, which is None."""
    if padding not in ("SAME", "VALID"):
        raise wrong("padding", padding, "'SAME' or 'VALID'")
    if padding == "VALID":
        return (0, 0, 0, 0)
    if ksize is None:
        return None
    high, wide = ((k - 1) // 2 for k in ksize)
    return (high, high, wide, wide)


def conv2d(
    input: Like,
    filter: Like | None = None,
    strides: Sizes = (1, 1, 1, 1),
    padding: str = "SAME",
    *,
    num_filter: int | None = None,
    ksize: Sizes = (1, 1, 1, 1),
    no_bias: bool = True,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    data_format: str | None = None,
    dilations: Sizes = (1, 1, 1, 1),
    name: str | None = None,
) -> Tensor:
    """Convolution of images, in TinyFlow's or TensorFlow's way.

    Args:
        input: images: NCHW with ``num_filter``, NHWC with ``filter``, or as ``data_format`` says.
        filter: TensorFlow's filter (h, w, in, out).
        num_filter, ksize: TinyFlow's: how many filters of which size [1, h, w, 1].
        no_bias: False adds a bias to each channel.
        weight, bias: (out, in, h, w) and (out,), in place of new variables ``<name>_weight``, whose
            ``in`` is inferred, and ``<name>_bias``.
        strides: [1, down, right, 1].
        dilations: [1, down, right, 1], steps from one place of the filter to the next.
        padding: "VALID", or "SAME": see the head of this file.

    Returns images in the layout of ``input``. Raises GraphError for anything else.
    """
    if (filter is None) == (num_filter is None):
        raise wrong("filter", (filter, num_filter), "either filter= or num_filter=")
    layout = data_format or (NCHW if filter is None else NHWC)
    layout_of(input, layout)
    scope = current_scope()
    name = scope.unique_name(name or "conv2d")
    window = pair_of("ksize", ksize, layout)
    if filter is not None:
        kernel = ops.transpose(unwrap(filter), perm=_HWIO_TO_OIHW)
    elif weight is None:
        kernel = Variable.implicit(f"{name}_weight", (num_filter, None, *window)).value
    else:
        kernel = unwrap(weight)
    if bias is None and filter is None and not no_bias:
        bias = Variable.implicit(f"{name}_bias", (num_filter,))
    inputs = [to_nchw(input, layout), kernel, *([] if bias is None else [bias.value])]
    attrs: dict[str, Any] = {"strides": pair_of("strides", strides, layout)}
    attrs["dilations"] = spread = pair_of("dilations", dilations, layout)
    attrs["padding"] = _padding(padding, reach(window, spread) if filter is None else None)
    return from_nchw(ops.conv2d(*inputs, name=name, after=scope.waits, **attrs), layout)


def _pool(op: Op, doc: str) -> Callable[..., Tensor]:
    """The function for a pool; ``doc`` says what it takes of each window."""

    def pool(
        value: Like,
        ksize: Sizes,
        strides: Sizes | None = None,
        padding: str | None = None,
        data_format: str | None = None,
        name: str | None = None,
    ) -> Tensor:
        def attrs(layout: str) -> dict[str, Any]:
            window = pair_of("ksize", ksize, layout)
            step = (1, 1) if strides is None else pair_of("strides", strides, layout)
            around = _padding(padding or "SAME", None if layout == NHWC else window)
            counts = {"count_padding": layout != NHWC} if op is ops.avg_pool2d else {}
            return {"ksize": window, "strides": step, "padding": around, **counts}

        layout, scope = layout_of(value, data_format), current_scope()
        if layout is None and (strides is None or padding is None):
            layout = NCHW  # TensorFlow's pools cannot do without them, so this one is TinyFlow's
        layout = layout or layout_by_sizes(value, op, attrs)
        name = scope.unique_name(name) if name else None
        node = op.node((to_nchw(value, layout),), attrs(layout), name=name, after=scope.waits)
        return from_nchw(node.outputs[0], layout)

    pool.__name__ = pool.__qualname__ = op.name.removesuffix("2d")
    pool.__doc__ = f"""{doc}

    ``value``: images of a floating dtype; the result has their layout and dtype. The layout is
    ``data_format``, or that of the convolution or pool they come from, or the only one that fits
    the sizes; NCHW if ``strides`` or ``padding`` is left out, as only TinyFlow allows. ``ksize``,
    ``strides``: [1, h, w, 1], steps of 1 by default. ``padding``: "VALID", or by default "SAME":
    see the head of this file. Raises GraphError for what it does not know, and for images that
    may be NCHW or NHWC; a run raises ShapeError for a window larger than the image.
    """
    return pool


max_pool = _pool(ops.max_pool2d, "The largest number of each window; padding never wins.")
avg_pool = _pool(
    ops.avg_pool2d,
    "The mean of each window; padding counts as zeros in NCHW, not at all in NHWC.",
)


def bias_add(
    value: Like, bias: Like, data_format: str | None = None, name: str | None = None
) -> Tensor:
    """x + bias (c,) for each channel: along axis 1 of NCHW images, else along the last axis.

    Images are NCHW if ``data_format`` says so, or without it the layer that made them, never one
    that only read them. Raises GraphError for another ``data_format`` or one against that layer; a
    run raises ShapeError for another c.
    """
    if layout_of(value, data_format, bias=True) == NCHW:
        bias = Tensor(ops.reshape(unwrap(bias), shape=(-1, 1, 1)))
    return apply(ops.add, value, bias, name=name)


def pad(
    tensor: Like,
    paddings: Sequence[Sequence[int]] | None = None,
    mode: str = "CONSTANT",
    name: str | None = None,
    constant_values: float = 0,
    *,
    dim: int | None = None,
    pad: int = 0,
) -> Tensor:
    """x with ``constant_values`` around it: ``paddings``, a pair (before, after) for each axis.

    TinyFlow's ``pad(x, dim=1, pad=-3)`` puts 3 zeros before the others along axis 1, pad=3 behind.
    Raises GraphError unless one of the two ways is used, or for another mode.
    """
    if str(mode).upper() != "CONSTANT":
        raise wrong("mode", mode, "'CONSTANT'")
    if (paddings is None) == (dim is None):
        raise wrong("padding", (paddings, dim), "either paddings or dim= and pad=")
    strips = [(dim, pad)]
    if paddings is not None:
        sides = [(axis, *pair) for axis, pair in enumerate(paddings)]
        strips = [strip for axis, low, high in sides for strip in ((axis, -low), (axis, high))]
    y = unwrap(tensor)
    inside = ops.ones_like(y)
    for axis, amount in strips:
        y, inside = (ops.pad(v, dim=axis, pad=amount) if amount else v for v in (y, inside))
    if constant_values != 0:
        y = ops.where(ops.cast(inside, dtype=DType.bool), y, ops.constant(constant_values))
    return apply(ops.identity, Tensor(y), name=name)


def flatten_layer(x: Like, name: str | None = None) -> Tensor:
    """x (n, ...) as a matrix (n, k): a row for each of the n.

    A run raises ShapeError for a scalar.
    """
    return apply(ops.flatten_layer, x, name=name)
