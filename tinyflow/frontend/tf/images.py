"""Which layout images have, NCHW or NHWC, and the way from one to the other. Layer: frontend.

Nobody says it of a tensor, so it is found, never guessed: in what the call says; in what was done
before, back to a convolution or pool or to images that one read; in the sizes, if they allow one
reading only. Where that leaves both, the call is refused. See decision 10.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tinyflow import ops
from tinyflow.errors import GraphError, TinyflowError
from tinyflow.frontend.tf.scope import current_scope
from tinyflow.frontend.tf.tensor import Like, Tensor, forward_shape, unwrap
from tinyflow.ir import Node, Op, Value
from tinyflow.ir.node import user_line
from tinyflow.types import Shape, show_shape

__all__ = ["NCHW", "NHWC", "from_nchw", "layout_by_sizes", "layout_of", "to_nchw", "wrong"]

NCHW, NHWC = "NCHW", "NHWC"
_TO_NHWC, _TO_NCHW = (0, 2, 3, 1), (0, 3, 1, 2)
_TRANSPOSED = {_TO_NHWC: {NHWC}, _TO_NCHW: {NCHW}}
Attrs = Callable[[str], Mapping[str, Any]]
_CHANNELS = {NCHW: 1, NHWC: 3}
_IMAGE_OPS = (
    ops.conv2d, ops.conv2d_input_grad, ops.max_pool2d, ops.max_pool2d_grad, ops.avg_pool2d,
    ops.avg_pool2d_grad, ops.batch_norm, ops.batch_norm_grad,
)  # fmt: skip


def layout_of(x: Like | None, data_format: str | None = None) -> str | None:
    """``data_format``, or the layout of the images that ``x`` comes from; None if nothing tells.

    Looks back through everything that makes images of images, then through everything else: a
    program that spoke TensorFlow's dialect goes on in it behind a matrix product. Raises
    GraphError for another word than NCHW or NHWC, and for images that come from both.
    """
    if data_format is not None and data_format not in _CHANNELS:
        raise wrong("data_format", data_format, f"'{NCHW}' or '{NHWC}'")
    if data_format or not isinstance(x, Tensor) or not _may_be_images(x.value):
        return data_format
    found = _layouts_before(x.value, images=True) or _layouts_before(x.value, images=False)
    if len(found) > 1:
        raise _unclear(x.value)
    return found.pop() if found else None


def _layouts_before(value: Value, images: bool) -> set[str]:
    """The layouts that ``value`` would have by each of the known images that it comes from.

    By ``images`` alone, or by way of tensors of other ranks, through which no axis is followed.
    """
    found: set[str] = set()
    axes_of: dict[Value, tuple[int, ...]] = {value: (0, 1, 2, 3)}
    ahead = [value]
    for value in ahead:
        node, axes = value.node, axes_of[value]
        said = _said_by(node) or current_scope().layouts.get(value, set())
        for layout in said:
            place = axes.index(_CHANNELS[layout])
            found |= {name for name, at in _CHANNELS.items() if at == place} or {NCHW, NHWC}
        if said:
            continue
        if images and node.op is ops.transpose:
            perm = node.attrs["perm"] or (3, 2, 1, 0)
            axes = tuple(perm[axis] for axis in axes)
        inputs = node.inputs[:1] if node.op is ops.with_gradient else node.inputs
        for source in inputs:
            if source not in axes_of and (_may_be_images(source) or not images):
                axes_of[source] = axes
                ahead.append(source)
    return found


def _said_by(node: Node) -> set[str]:
    if node.op in _IMAGE_OPS:
        return {NCHW}
    return _TRANSPOSED.get(node.attrs["perm"], set()) if node.op is ops.transpose else set()


def _may_be_images(value: Value) -> bool:
    shape = forward_shape(value)
    return shape is None or len(shape) == 4


def layout_by_sizes(x: Like, op: Op, attrs_of: Attrs, *more: Value) -> str:
    """The only layout in which ``op`` can read images x and ``more`` inputs.

    ``attrs_of`` gives its attributes for each. Raises GraphError if it can in both; NCHW if in
    none, which the op then reports.
    """
    shapes = [forward_shape(value) for value in (unwrap(x), *more)]
    fits = [layout for layout in _CHANNELS if _can_read(op, attrs_of, layout, shapes)]
    if len(fits) > 1:
        raise _unclear(unwrap(x))
    return (*fits, NCHW)[0]


def _can_read(op: Op, attrs_of: Attrs, layout: str, shapes: Sequence[Shape]) -> bool:
    shape, *others = shapes
    if shape is not None and len(shape) == 4 and layout == NHWC:
        shape = tuple(shape[axis] for axis in _TO_NCHW)
    try:
        attrs = op.check_attrs(attrs_of(layout))
        op.shape(attrs, [shape, *others], [None] * op.output_count(attrs))
    except TinyflowError:
        return False
    return True


def to_nchw(x: Like, layout: str | None) -> Value:
    """The images as NCHW; that ``x`` has this layout is remembered for who reads it next."""
    value = unwrap(x)
    if layout is not None:
        current_scope().layouts.setdefault(value, set()).add(layout)
    return ops.transpose(value, perm=_TO_NCHW) if layout == NHWC else value


def from_nchw(value: Value, layout: str | None) -> Tensor:
    """NCHW images in the layout of the caller."""
    return Tensor(ops.transpose(value, perm=_TO_NHWC) if layout == NHWC else value)


def wrong(name: str, got: object, expected: str) -> GraphError:
    """The error for an argument ``name`` of a call in the user's program."""
    return GraphError(f"wrong {name}", node=user_line(), got=repr(got), expected=expected)


def _unclear(images: Value) -> GraphError:
    return GraphError(
        "these images may be NCHW or NHWC",
        node=user_line(),
        got=f"{images.node!r} {show_shape(forward_shape(images))}",
        expected="images that come from a convolution, or sizes that allow only one",
        fix="Give data_format='NHWC' or 'NCHW'.",
    )
