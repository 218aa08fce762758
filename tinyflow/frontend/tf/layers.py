"""``tf.layers``: layers that make their own variables. Layer: frontend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tinyflow.errors import ShapeError
from tinyflow.frontend.tf import nn
from tinyflow.frontend.tf.api import cast, matmul, reshape, zeros
from tinyflow.frontend.tf.context import get_variable, variable_scope
from tinyflow.frontend.tf.conv import pair_of
from tinyflow.frontend.tf.scope import current_scope
from tinyflow.frontend.tf.tensor import Tensor, unwrap, wrap
from tinyflow.types import DType, show_shape

__all__ = ["average_pooling2d", "conv2d", "dense", "dropout", "flatten", "max_pooling2d"]

Pair = int | Sequence[int]  # down and right, or one number for both


def dense(
    inputs: Tensor,
    units: int,
    activation: Callable[[Tensor], Tensor] | None = None,
    use_bias: bool = True,
    kernel_initializer: Any = None,
    bias_initializer: Any = None,
    trainable: bool = True,
    name: str | None = None,
    reuse: bool | str | None = None,
) -> Tensor:
    """x (..., k) -> activation(x @ kernel + bias), shape (..., units).

    ``<name>/kernel`` (k, units) starts from Glorot's uniform numbers, ``<name>/bias`` (units,) from
    zeros. Raises ShapeError if k, or more than one other size, is not known: ``tf.nn.linear``
    infers it later.
    """
    inputs = wrap(unwrap(inputs))
    shape = inputs.shape
    if shape is None or len(shape) < 2 or shape[-1] is None or shape[:-1].count(None) > 1:
        what, got = "a dense layer needs the number of its inputs", show_shape(shape)
        node, fix = inputs.value.node, "Give the placeholder a shape, or tf.reshape to a matrix."
        raise ShapeError(what, node=node, got=got, expected="[?, ..., k]", fix=fix)
    with variable_scope(name or _free_name("dense"), reuse=reuse):
        kernel = get_variable(
            "kernel", (shape[-1], units), initializer=kernel_initializer, trainable=trainable
        )
        rows = inputs if len(shape) == 2 else reshape(inputs, (-1, shape[-1]))
        y = matmul(rows, kernel)
        if use_bias:
            start = bias_initializer or zeros
            y = y + get_variable("bias", (units,), initializer=start, trainable=trainable)
        if len(shape) > 2:
            y = reshape(y, (*(-1 if size is None else size for size in shape[:-1]), units))
        return y if activation is None else activation(y)


def conv2d(
    inputs: Tensor,
    filters: int,
    kernel_size: Pair,
    strides: Pair = 1,
    padding: str = "valid",
    dilation_rate: Pair = 1,
    activation: Callable[[Tensor], Tensor] | None = None,
    use_bias: bool = True,
    kernel_initializer: Any = None,
    bias_initializer: Any = None,
    trainable: bool = True,
    name: str | None = None,
    reuse: bool | str | None = None,
) -> Tensor:
    """Images (n, h, w, c) -> activation(convolution + bias), images of ``filters`` channels.

    ``<name>/kernel`` (kernel_size, c, filters) starts from Glorot's uniform numbers,
    ``<name>/bias`` (filters,) from zeros. Raises ShapeError if c is not known.
    """
    inputs = wrap(unwrap(inputs))
    shape = inputs.shape
    if shape is None or len(shape) != 4 or shape[3] is None:
        got, expected = show_shape(shape), "[n, h, w, c]"
        what = "a convolution needs the number of channels"
        raise ShapeError(what, node=inputs.value.node, got=got, expected=expected)
    with variable_scope(name or _free_name("conv2d"), reuse=reuse):
        size = (*pair_of("kernel_size", kernel_size), shape[3], filters)
        kernel = get_variable("kernel", size, initializer=kernel_initializer, trainable=trainable)
        step = (1, *pair_of("strides", strides), 1)
        spread = (1, *pair_of("dilation_rate", dilation_rate), 1)
        y = nn.conv2d(inputs, kernel, step, str(padding).upper(), dilations=spread)
        if use_bias:
            start = bias_initializer or zeros
            y = y + get_variable("bias", (filters,), initializer=start, trainable=trainable)
        return y if activation is None else activation(y)


def max_pooling2d(
    inputs: Tensor, pool_size: Pair, strides: Pair, padding: str = "valid", name: str | None = None
) -> Tensor:
    """The largest number of each window of images (n, h, w, c) -> (n, h', w', c).

    ``padding`` "valid" or "same". Raises GraphError for another.
    """
    window, step = (1, *pair_of("pool_size", pool_size), 1), (1, *pair_of("strides", strides), 1)
    return nn.max_pool(inputs, window, step, str(padding).upper(), data_format="NHWC", name=name)


def average_pooling2d(
    inputs: Tensor, pool_size: Pair, strides: Pair, padding: str = "valid", name: str | None = None
) -> Tensor:
    """The mean of each window of images (n, h, w, c) -> (n, h', w', c); padding does not count.

    ``padding`` "valid" or "same". Raises GraphError for another.
    """
    window, step = (1, *pair_of("pool_size", pool_size), 1), (1, *pair_of("strides", strides), 1)
    return nn.avg_pool(inputs, window, step, str(padding).upper(), data_format="NHWC", name=name)


def flatten(inputs: Tensor, name: str | None = None) -> Tensor:
    """x (n, ...) as a matrix (n, k)."""
    return nn.flatten_layer(inputs, name=name)


def dropout(
    inputs: Tensor,
    rate: float = 0.5,
    seed: int | None = None,
    training: bool | Tensor = False,
    name: str | None = None,
) -> Tensor:
    """x with a share ``rate`` of its elements set to 0, the rest divided by 1 - rate.

    Only when ``training``, which may be a bool tensor; else x itself. Shape and dtype are those of
    x. Raises GraphError for a rate outside of [0, 1).
    """
    if isinstance(training, bool):
        return nn.dropout(inputs, 1.0 - rate if training else 1.0, seed=seed, name=name)
    keep = 1.0 - rate * cast(training, DType.float32)
    return nn.dropout(inputs, keep, seed=seed, name=name)


def _free_name(base: str) -> str:
    """``dense``, ``dense_1``, ...: the first under which no variable lies."""
    scope, count, name = current_scope(), 0, base
    front = f"{scope.variable_prefix}/" if scope.variable_prefix else ""
    while any(taken.startswith(f"{front}{name}/") for taken in scope.variables()):
        count += 1
        name = f"{base}_{count}"
    return name
