"""``tf.layers``: layers that make their own variables. Layer: frontend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinyflow.errors import ShapeError
from tinyflow.frontend.tf.api import matmul, reshape
from tinyflow.frontend.tf.context import get_variable, variable_scope
from tinyflow.frontend.tf.initializers import zeros_initializer
from tinyflow.frontend.tf.scope import current_scope
from tinyflow.frontend.tf.tensor import Tensor
from tinyflow.types import show_shape

__all__ = ["dense"]


def dense(
    inputs: Tensor,
    units: int,
    activation: Callable[[Tensor], Tensor] | None = None,
    use_bias: bool = True,
    kernel_initializer: Any = None,
    bias_initializer: Any = None,
    trainable: bool = True,
    name: str | None = None,
    reuse: bool | None = None,
) -> Tensor:
    """x (..., k) -> activation(x @ kernel + bias), shape (..., units).

    ``<name>/kernel`` (k, units) starts from Glorot's uniform numbers, ``<name>/bias`` (units,) from
    zeros. Raises ShapeError if k, or more than one other size, is not known: ``tf.nn.linear``
    infers it later.
    """
    shape = inputs.shape
    if shape is None or len(shape) < 2 or shape[-1] is None or shape[:-1].count(None) > 1:
        raise ShapeError(
            "a dense layer needs the number of its inputs",
            node=inputs.value.node,
            got=show_shape(shape),
            expected="[?, ..., k]",
            fix="Give the placeholder a shape, or tf.reshape to a matrix.",
        )
    with variable_scope(name or _free_name("dense"), reuse=reuse):
        kernel = get_variable(
            "kernel", (shape[-1], units), initializer=kernel_initializer, trainable=trainable
        )
        rows = inputs if len(shape) == 2 else reshape(inputs, (-1, shape[-1]))
        y = matmul(rows, kernel)
        if use_bias:
            start = bias_initializer or zeros_initializer()
            y = y + get_variable("bias", (units,), initializer=start, trainable=trainable)
        if len(shape) > 2:
            y = reshape(y, (*(-1 if size is None else size for size in shape[:-1]), units))
        return y if activation is None else activation(y)


def _free_name(base: str) -> str:
    """``dense``, ``dense_1``, ...: the first under which no variable lies."""
    scope, count, name = current_scope(), 0, base
    front = f"{scope.variable_prefix}/" if scope.variable_prefix else ""
    while any(taken.startswith(f"{front}{name}/") for taken in scope.variables()):
        count += 1
        name = f"{base}_{count}"
    return name
