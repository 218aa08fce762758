"""First contents of variables: functions of (shape, dtype) that build a tensor. Layer: frontend."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from tinyflow.errors import GraphError
from tinyflow.frontend.tf.api import constant
from tinyflow.frontend.tf.api import ones as ones_of
from tinyflow.frontend.tf.api import zeros as zeros_of
from tinyflow.frontend.tf.random import random_normal, random_uniform
from tinyflow.frontend.tf.random import truncated_normal as cut_normal
from tinyflow.frontend.tf.tensor import Tensor
from tinyflow.types import DType

__all__ = [
    "constant_initializer", "glorot_normal_initializer", "glorot_uniform_initializer",
    "ones_initializer", "random_normal_initializer", "random_uniform_initializer",
    "truncated_normal_initializer", "variance_scaling_initializer", "zeros_initializer",
]  # fmt: skip

Initializer = Callable[..., Tensor]
Kind = DType | str
FLOAT = DType.float32
_CUT = 0.87962566103423978  # standard deviation of the normal distribution cut at two


def zeros_initializer(dtype: Kind = FLOAT) -> Initializer:
    """All zeros; any shape and dtype. Here and below ``dtype`` is for calls that give none."""
    return lambda shape, dtype=dtype: zeros_of(shape, dtype)


def ones_initializer(dtype: Kind = FLOAT) -> Initializer:
    """All ones; any shape and dtype."""
    return lambda shape, dtype=dtype: ones_of(shape, dtype)


def constant_initializer(value: Any = 0.0, dtype: Kind = FLOAT) -> Initializer:
    """The same number everywhere, or these numbers row by row; any shape and dtype."""
    return lambda shape, dtype=dtype: constant(value, dtype, shape)


def random_normal_initializer(
    mean: float = 0.0, stddev: float = 1.0, seed: int | None = None, dtype: Kind = FLOAT
) -> Initializer:
    """Normal random numbers; any shape, floating dtypes."""
    return lambda shape, dtype=dtype: random_normal(shape, mean, stddev, dtype, seed)


def truncated_normal_initializer(
    mean: float = 0.0, stddev: float = 1.0, seed: int | None = None, dtype: Kind = FLOAT
) -> Initializer:
    """Normal random numbers, none more than two deviations from the mean; floating dtypes."""
    return lambda shape, dtype=dtype: cut_normal(shape, mean, stddev, dtype, seed)


def random_uniform_initializer(
    minval: float = 0.0, maxval: float = 1.0, seed: int | None = None, dtype: Kind = FLOAT
) -> Initializer:
    """Uniform random numbers in [minval, maxval); any shape, floating dtypes."""
    return lambda shape, dtype=dtype: random_uniform(shape, minval, maxval, dtype, seed)


def variance_scaling_initializer(
    scale: float = 1.0,
    mode: str = "fan_in",
    distribution: str = "truncated_normal",
    seed: int | None = None,
    dtype: Kind = FLOAT,
) -> Initializer:
    """Random numbers of variance scale / n, which keeps the size of activations through layers.

    n is the number of inputs of a unit ("fan_in"), of outputs ("fan_out") or their mean
    ("fan_avg"); ``distribution`` is "truncated_normal", "normal" or "uniform". The shape is
    (..., inputs, outputs), with the sizes of a convolution's window in front.
    Raises GraphError for another mode or distribution.
    Source: He et al. 2015, section 2.2; Glorot and Bengio 2010, section 4.2.1.
    """
    _one_of("mode", mode, ("fan_in", "fan_out", "fan_avg"))
    _one_of("distribution", distribution, ("truncated_normal", "normal", "uniform"))

    def build(shape: Sequence[int], dtype: Kind = dtype) -> Tensor:
        window, sides = math.prod(shape[:-2]), tuple(shape[-2:]) or (1,)
        fan_in, fan_out = window * sides[0], window * sides[-1]
        fans = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
        deviation = math.sqrt(scale / max(1.0, fans[mode]))
        if distribution == "uniform":
            bound = math.sqrt(3.0) * deviation
            return random_uniform(shape, -bound, bound, dtype, seed)
        if distribution == "normal":
            return random_normal(shape, 0.0, deviation, dtype, seed)
        return cut_normal(shape, 0.0, deviation / _CUT, dtype, seed)

    return build


def glorot_uniform_initializer(seed: int | None = None, dtype: Kind = FLOAT) -> Initializer:
    """Uniform in ±sqrt(6 / (inputs + outputs)): what ``tf.layers.dense`` starts from."""
    return variance_scaling_initializer(1.0, "fan_avg", "uniform", seed, dtype)


def glorot_normal_initializer(seed: int | None = None, dtype: Kind = FLOAT) -> Initializer:
    """Truncated normal of variance 2 / (inputs + outputs)."""
    return variance_scaling_initializer(1.0, "fan_avg", "truncated_normal", seed, dtype)


def _one_of(what: str, got: Any, known: tuple[str, ...]) -> None:
    if got not in known:
        raise GraphError(f"unknown {what}", got=repr(got), expected=", ".join(known))
