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
from tinyflow.frontend.tf.known import forward_shape
from tinyflow.frontend.tf.scope import current_scope
from tinyflow.frontend.tf.tensor import Like, Tensor, unwrap
from tinyflow.ir import Op, Value
from tinyflow.ir.node import user_line
from tinyflow.types import Shape, show_shape

__all__ = ["NCHW", "NHWC", "from_nchw", "layout_by_sizes", "layout_of", "to_nchw", "wrong"]

NCHW, NHWC = "NCHW", "NHWC"
_TO_NHWC, _TO_NCHW = (0, 2, 3, 1), (0, 3, 1, 2)
_TRANSPOSED: dict[object, frozenset[int]] = {_TO_NHWC: frozenset({3}), _TO_NCHW: frozenset({1})}
Attrs = Callable[[str], Mapping[str, Any]]
_CHANNELS = {NCHW: 1, NHWC: 3}
_LAYOUTS = {frozenset({axis}): layout for layout, axis in _CHANNELS.items()}
# Who tells: the layer that made images; or one that read them; or one before, at any rank.
_MADE, _READ, _BEFORE = "made", "read", "before"
_IMAGE_OPS = (
    ops.conv2d, ops.conv2d_input_grad, ops.max_pool2d, ops.max_pool2d_grad, ops.avg_pool2d,
    ops.avg_pool2d_grad, ops.batch_norm, ops.batch_norm_grad,
)  # fmt: skip


def layout_of(x: Like | None, data_format: str | None = None, bias: bool = False) -> str | None:
    """``data_format``, or the layout of the images that ``x`` comes from; None if nothing tells.

    Looks back through everything that makes images of images, then through everything else: a
    program that spoke TensorFlow's dialect goes on in it behind a matrix product. A ``bias``, which
    tensors of all kinds have, asks only which layer made the images, and only if they are NCHW.
    Raises GraphError for another word than NCHW or NHWC, for a word against the layer that made the
    images, and for images that come from both.
    """
    if data_format is not None and data_format not in _CHANNELS:
        raise wrong("data_format", data_format, f"'{NCHW}' or '{NHWC}'")
    if not isinstance(x, Tensor) or not _may_be_images(x.value):
        return data_format
    axes = made = _channel_axes(x.value, _MADE)
    if data_format is not None:
        if _LAYOUTS.get(made, data_format) != data_format:
            raise _refused(x.value, _LAYOUTS[made], data_format)
        return data_format
    if not bias:
        axes = _channel_axes(x.value, _READ) or _channel_axes(x.value, _BEFORE)
    elif _CHANNELS[NCHW] not in made:
        return None
    if axes and axes not in _LAYOUTS:
        raise _refused(x.value)
    return _LAYOUTS.get(axes)


def _channel_axes(value: Value, search: str) -> frozenset[int]:
    """The axes on which ``value`` has its channels, by each of the known images it comes from.

    Each value is looked at once per scope and search, as ``forward_shape`` does it.
    """
    known, pending = current_scope().channels.setdefault(search, {}), [value]
    while pending:
        last, said = pending[-1], _said_by(pending[-1], search)
        sources = () if said else _sources(last, search)
        missing = [source for source in sources if source not in known]
        pending += missing
        if missing:
            continue
        found = said.union(*(known[source] for source in sources))
        if sources and last.node.op is ops.transpose and search != _BEFORE:
            found = frozenset(map((last.node.attrs["perm"] or (3, 2, 1, 0)).index, found))
        known[pending.pop()] = found
    return known[value]


def _said_by(value: Value, search: str) -> frozenset[int]:
    if search == _BEFORE:
        hint = _TRANSPOSED.get(value.node.attrs.get("perm"), frozenset())
        return _channel_axes(value, _READ) or hint
    read = current_scope().layouts.get(value, set()) if search == _READ else set()
    said = {NCHW} if value.node.op in _IMAGE_OPS else read
    return frozenset(_CHANNELS[layout] for layout in said)


def _sources(value: Value, search: str) -> Sequence[Value]:
    """The inputs that tell of ``value``: images, and no others by a reshape, or all ``_BEFORE``."""
    node, shape = value.node, forward_shape(value) or ()
    inputs = node.inputs[:1] if node.op is ops.with_gradient else node.inputs
    if search == _BEFORE:
        return inputs
    shapes = {source: forward_shape(source) or () for source in inputs}
    moves = node.op is ops.reshape  # to other sizes: the channels may come to lie anywhere
    return [v for v, s in shapes.items() if len(s) == 4 and not (moves and s[1:] != shape[1:])]


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
        raise _refused(unwrap(x))
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
    value, scope = unwrap(x), current_scope()
    if layout is not None and _channel_axes(value, _READ) != {_CHANNELS[layout]}:
        scope.layouts.setdefault(value, set()).add(layout)
        scope.channels = {_MADE: scope.channels.get(_MADE, {})}  # look again for the rest
    return ops.transpose(value, perm=_TO_NCHW) if layout == NHWC else value


def from_nchw(value: Value, layout: str | None) -> Tensor:
    """NCHW images in the layout of the caller."""
    return Tensor(ops.transpose(value, perm=_TO_NHWC) if layout == NHWC else value)


def wrong(name: str, got: object, expected: str) -> GraphError:
    """The error for an argument ``name`` of a call in the user's program."""
    return GraphError(f"wrong {name}", node=user_line(), got=repr(got), expected=expected)


def _refused(images: Value, made: str | None = None, wanted: str | None = None) -> GraphError:
    """The error for images that may be of both layouts, or were made in another one."""
    what, fix = "these images may be NCHW or NHWC", "Give data_format='NHWC' or 'NCHW'."
    expected = "images that come from a convolution, or sizes that allow only one"
    if made:
        what, expected = f"the layer before made {made} images", f"{wanted} images"
        fix = f"Use tf.transpose(images, {_TO_NCHW if made == NHWC else _TO_NHWC}), or data_format."
    got = f"{images.node!r} {show_shape(forward_shape(images))}"
    return GraphError(what, node=user_line(), got=got, expected=expected, fix=fix)
