"""Random tensors: new numbers in every run, repeatable by the session's seed. Layer: frontend."""

from __future__ import annotations

from typing import Any

from tinyflow import ops
from tinyflow.frontend.tf.scope import current_scope
from tinyflow.frontend.tf.tensor import Like, Tensor, apply
from tinyflow.ir import Op
from tinyflow.types import DType, as_dtype

__all__ = ["normal", "random_normal", "random_uniform", "truncated_normal", "uniform"]


def _drawn(
    op: Op, shape: object, dtype: DType | str, seed: int | None, name: str | None, **attrs: Any
) -> Tensor:
    """A random node; nodes without a seed get one of their own, in creation order."""
    seed = current_scope().next_seed() if seed is None else seed
    return apply(op, shape=shape, dtype=as_dtype(dtype), seed=seed, name=name, **attrs)


def random_normal(
    shape: object,
    mean: Like = 0.0,
    stddev: Like = 1.0,
    dtype: DType | str = DType.float32,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Normal random numbers of a known ``shape`` and floating ``dtype``.

    ``mean`` and ``stddev``: numbers, or tensors that broadcast to the shape. Raises GraphError for
    a shape with unknown sizes, DTypeError for an unknown dtype.
    """
    if isinstance(mean, Tensor) or isinstance(stddev, Tensor):
        plain = _drawn(ops.normal, shape, dtype, seed, None, mean=0.0, stdev=1.0)
        return apply(ops.add, plain * stddev, mean, name=name)
    return _drawn(ops.normal, shape, dtype, seed, name, mean=mean, stdev=stddev)


def truncated_normal(
    shape: object,
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: DType | str = DType.float32,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """As :func:`random_normal`, of numbers only, none more than two deviations from the mean.

    Raises GraphError for a shape with unknown sizes, DTypeError for an unknown dtype.
    """
    return _drawn(ops.truncated_normal, shape, dtype, seed, name, mean=mean, stdev=stddev)


def random_uniform(
    shape: object,
    minval: float = 0.0,
    maxval: float = 1.0,
    dtype: DType | str = DType.float32,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Uniform random numbers in [minval, maxval) of a known ``shape`` and floating ``dtype``.

    Raises GraphError for a shape with unknown sizes, DTypeError for an unknown dtype.
    """
    return _drawn(ops.uniform, shape, dtype, seed, name, low=minval, high=maxval)


normal, uniform = random_normal, random_uniform  # TinyFlow's names
