"""Random numbers as pure functions of seeds and run count, for every backend. Layer: backends."""

from __future__ import annotations

import numpy as np

from tinyflow.backends.table import Array, Sizes
from tinyflow.types import DType

__all__ = ["draw_normal", "draw_truncated_normal", "draw_uniform"]

Key = tuple[int, int]  # session seed, run count


def _generator(key: Key, seed: int) -> np.random.Generator:
    """Counter-based numbers: key (session seed, node seed), counter from run count * 2 ** 192.

    Source: Salmon, Moraes, Dror and Shaw, Parallel random numbers: as easy as 1, 2, 3, SC 2011.
    """
    session, run = key
    words = np.array([session % 2**64, seed % 2**64], np.uint64)
    counter = np.array([0, 0, 0, run % 2**64], np.uint64)
    return np.random.Generator(np.random.Philox(key=words, counter=counter))


def draw_normal(
    shape: Sizes, stdev: float, mean: float, dtype: DType, seed: int, key: Key = (0, 0)
) -> Array:
    """N(mean, stdev²) as a pure function of key = (session seed, run count) and node seed."""
    exact = np.float64 if dtype is DType.float64 else np.float32
    drawn = _generator(key, seed).standard_normal(shape, exact)
    return np.asarray(drawn * stdev + mean, dtype.numpy)


def draw_truncated_normal(
    shape: Sizes, stdev: float, mean: float, dtype: DType, seed: int, key: Key = (0, 0)
) -> Array:
    """N(mean, stdev²) without what is more than two deviations off; key and seed as above.

    Each element is the first of eight draws that fits: all eight fall outside once in 5e10 times,
    and are clipped then. So an element depends on its position only, not on the shape.
    """
    exact = np.float64 if dtype is DType.float64 else np.float32
    drawn = _generator(key, seed).standard_normal((*shape, 8), exact)
    first = np.argmax(np.abs(drawn) <= 2, axis=-1)[..., None]
    kept = np.clip(np.take_along_axis(drawn, first, -1)[..., 0], -2, 2)
    return np.asarray(kept * stdev + mean, dtype.numpy)


def draw_uniform(
    shape: Sizes, low: float, high: float, dtype: DType, seed: int, key: Key = (0, 0)
) -> Array:
    """U[low, high) as a pure function of key = (session seed, run count) and node seed."""
    exact = np.float64 if dtype is DType.float64 else np.float32
    drawn = _generator(key, seed).random(shape, exact)
    if (low, high) != (0, 1):
        drawn = drawn * (high - low) + low
    return np.asarray(drawn, dtype.numpy)
