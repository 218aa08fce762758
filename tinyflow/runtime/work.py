"""How many floating-point operations and bytes an instruction takes, by counting. Layer: runtime.

A multiplication and an addition are two operations; so is any function, exp as well as add, one
operation per element. Bytes are those of the inputs that are read and the outputs, each once.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from tinyflow.ir import Graph, Op
from tinyflow.types import DType

__all__ = ["bytes_moved", "flops"]

Sizes = tuple[int, ...]
Count = Callable[[Mapping[str, Any], Sequence[Sizes], Sequence[Sizes]], int]


def flops(
    op: Op, attrs: Mapping[str, Any], inputs: Sequence[Sizes], outputs: Sequence[Sizes]
) -> int | None:
    """Floating-point operations, from the shapes; None if nobody knows a formula for this op."""
    if op.name in _COUNTS:
        return _COUNTS[op.name](attrs, inputs, outputs)
    largest = max(map(math.prod, (*inputs, *outputs)), default=0)
    bodies = [value for value in attrs.values() if isinstance(value, Graph)]
    if bodies:
        return largest * sum(_steps(node.op.expr or "") for body in bodies for node in body.nodes)
    if op.expr is not None:
        return math.prod(outputs[0]) * _steps(op.expr)
    return 0 if op.aliases or op.name in _MOVES else None


def bytes_moved(
    op: Op,
    inputs: Sequence[tuple[Sizes, DType]],
    outputs: Sequence[tuple[Sizes, DType]],
) -> int:
    """Bytes read and written: nothing for a view, no input of which only the shape is read."""
    if op.aliases and not op.mutates:
        return 0
    skipped = op.shape_only | op.mutates
    arrays = [pair for i, pair in enumerate(inputs) if i not in skipped] + list(outputs)
    return sum(math.prod(shape) * dtype.itemsize for shape, dtype in arrays)


@cache
def _steps(expr: str) -> int:
    """Operations of a scalar expression: ``x * (1 - y)`` has two."""
    if not expr:
        return 0
    kinds = (ast.BinOp, ast.UnaryOp, ast.Call, ast.Compare, ast.IfExp)
    return sum(isinstance(node, kinds) for node in ast.walk(ast.parse(expr, mode="eval")))


def _matmul(attrs: Mapping[str, Any], inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
    inner = inputs[0][-2 if attrs["transpose_a"] else -1]
    return 2 * inner * math.prod(outputs[0])


def _gemm(attrs: Mapping[str, Any], inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
    return _matmul(attrs, inputs[1:], outputs) + math.prod(outputs[0])


def _linear(attrs: Mapping[str, Any], inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
    bias = math.prod(outputs[0]) if len(inputs) > 2 else 0
    return 2 * inputs[0][-1] * math.prod(outputs[0]) + bias


def _each(number: int) -> Count:
    """So many operations per element of the first input."""

    def count(attrs: Mapping[str, Any], inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return number * math.prod(inputs[0])

    return count


def _convolution(result: int | None, weight: int) -> Count:
    """Two operations per element of the result (None: the output) and of the window over it."""

    def count(attrs: Mapping[str, Any], inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        computed = outputs[0] if result is None else inputs[result]
        return 2 * math.prod(computed) * math.prod(inputs[weight][1:])

    return count


def _pool(result: int | None) -> Count:
    """An operation per element of the result (None: the output) and of the window over it."""

    def count(attrs: Mapping[str, Any], inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        computed = outputs[0] if result is None else inputs[result]
        window: Sizes = attrs["ksize"]
        return math.prod(computed) * math.prod(window)

    return count


_COUNTS: Mapping[str, Count] = {
    "matmul": _matmul,
    "batch_matmul": _matmul,
    "gemm": _gemm,
    "linear": _linear,
    "conv2d": _convolution(None, 1),
    "conv2d_input_grad": _convolution(0, 1),
    "conv2d_weight_grad": _convolution(0, 2),
    **dict.fromkeys(("max_pool2d", "avg_pool2d"), _pool(None)),
    "avg_pool2d_grad": _pool(0),
    "max_pool2d_grad": _each(1),
    "batch_norm": _each(7),  # mean 1, centre 1, variance 2, scale 1, gamma and beta 2
    "batch_norm_grad": _each(9),  # normalise 2, dgamma 2, dbeta 1, dx 4
    **dict.fromkeys(("reduce_sum", "reduce_mean", "reduce_max", "reduce_min"), _each(1)),
    "reduce_prod": _each(1),
    "recurrence": _each(2),
    **dict.fromkeys(("sum_like", "argmax", "cumsum", "gather_grad"), _each(1)),
    "layer_norm": _each(7),  # centre 2, variance 2, scale 1, gamma and beta 2
    "layer_norm_grad": _each(18),  # normalise 5, gamma 1, two means 3, dx 5, dgamma and dbeta 4
}
_MOVES = frozenset(
    {"assign", "broadcast_like", "broadcast_to", "cast", "normal", "ones", "ones_like", "pad",
     "truncated_normal", "uniform", "zeros", "zeros_like", "transpose", "concat", "slice", "gather",
     "slice_grad", "split", "split_like", "uniform_like", "max_pool2d_take", "crop"}
)  # fmt: skip
