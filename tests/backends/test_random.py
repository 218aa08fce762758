"""Random kernels are pure functions of (session seed, node seed, run count)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinyflow import ops
from tinyflow.backends.numpy_ import NUMPY
from tinyflow.backends.torch_ import TORCH
from tinyflow.types import DType

DRAWN = [ops.normal, ops.truncated_normal, ops.uniform]
each_op = pytest.mark.parametrize("op", DRAWN, ids=lambda op: op.name)


def draw(op: Any, table: Any = NUMPY, key: tuple[int, int] = (1, 1), **attrs: Any) -> np.ndarray:
    checked = op.check_attrs({"shape": (50, 4), **attrs})
    return table.to_numpy(table[op].run(**checked, key=key))


@each_op
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_both_backends_draw_the_same_numbers(op: Any, dtype: str) -> None:
    np.testing.assert_array_equal(draw(op, NUMPY, dtype=dtype), draw(op, TORCH, dtype=dtype))


@each_op
def test_a_clone_draws_the_same_numbers_and_others_draw_others(op: Any) -> None:
    first = draw(op)
    np.testing.assert_array_equal(draw(op), first)
    others = [draw(op, seed=1), draw(op, key=(2, 1)), draw(op, key=(1, 2)), draw(op, seed=-1)]
    for i, other in enumerate([first, *others]):
        for another in others[i:]:
            assert not np.isin(other, another).any()


@each_op
def test_a_shorter_draw_is_the_beginning_of_a_longer_one(op: Any) -> None:
    np.testing.assert_array_equal(draw(op, shape=(3,)), draw(op).ravel()[:3])


@each_op
@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3)])
def test_scalars_and_empty_arrays_can_be_drawn(op: Any, shape: tuple[int, ...]) -> None:
    for table in (NUMPY, TORCH):
        assert draw(op, table, shape=shape).shape == shape


def test_normal_has_the_mean_and_the_deviation_asked_for() -> None:
    x = draw(ops.normal, shape=(200_000,), mean=3.0, stdev=0.5)
    assert x.dtype == "float32"
    assert abs(x.mean() - 3) < 0.01 and abs(x.std() - 0.5) < 0.01
    within = [np.mean(abs(x - 3) < 0.5 * k) for k in (1, 2, 3)]
    np.testing.assert_allclose(within, [0.6827, 0.9545, 0.9973], atol=0.005)


def test_truncated_normal_is_normal_within_two_deviations() -> None:
    x = draw(ops.truncated_normal, shape=(200_000,), mean=3.0, stdev=0.5)
    assert x.dtype == "float32" and x.min() >= 2 and x.max() <= 4
    assert abs(x.mean() - 3) < 0.01 and abs(x.std() - 0.5 * 0.87962566) < 0.01
    np.testing.assert_allclose(np.mean(abs(x - 3) < 0.5), 0.6827 / 0.9545, atol=0.005)


def test_uniform_fills_its_interval_evenly() -> None:
    x = draw(ops.uniform, shape=(200_000,), low=-2.0, high=3.0)
    assert x.dtype == "float32" and x.min() >= -2 and x.max() <= 3
    counts, _ = np.histogram(x, bins=10, range=(-2, 3))
    np.testing.assert_allclose(counts / x.size, 0.1, atol=0.005)


def test_bfloat16_is_drawn_in_float32_and_rounded() -> None:
    import torch

    attrs = ops.normal.check_attrs({"shape": (50, 4), "dtype": DType.bfloat16})
    drawn = TORCH[ops.normal].run(**attrs, key=(1, 1))
    assert drawn.dtype is torch.bfloat16
    np.testing.assert_allclose(drawn.float().numpy(), draw(ops.normal), rtol=2**-8)
