"""Kernels on parts of arrays at the places where a naive one goes wrong, on both backends."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch

from tests.backends.test_numbers import run
from tinyflow import ops
from tinyflow.backends.numpy_ import NUMPY
from tinyflow.backends.table import KernelTable
from tinyflow.backends.torch_ import TORCH
from tinyflow.errors import RunError
from tinyflow.types import DType, as_dtype

pytestmark = pytest.mark.parametrize("table", [NUMPY, TORCH], ids=lambda table: table.name)
TABLE = np.arange(12, dtype="float32").reshape(4, 3)


@pytest.mark.parametrize(
    ("ids", "position"),
    [
        (np.array([0, 4]), 1),
        (np.array([-1, 0]), 0),
        (np.array([[0, 1], [2, -4]]), 3),
        (np.array([0, 7], "int32"), 1),
        (np.array([0, 2**40]), 1),
        (np.array([0.0, 1.5]), 1),
        (np.array([np.nan, 0.0]), 0),
        (np.array([0.0, 1e30]), 1),
    ],
)
def test_an_id_out_of_range_is_named(table: KernelTable, ids: np.ndarray, position: int) -> None:
    wrong = f"id {ids.ravel()[position]} at position {position}; expected an integer from 0 to 3"
    with pytest.raises(RunError, match=re.escape(wrong)):
        run(table, ops.gather, TABLE, ids)
    dy = np.zeros((*ids.shape, 3), "float32")
    with pytest.raises(RunError, match="an id is out of range"):
        run(table, ops.gather_grad, dy, ids, TABLE)


def test_nothing_can_be_gathered_from_nothing_only(table: KernelTable) -> None:
    empty = np.zeros((0, 3), "float32")
    assert run(table, ops.gather, empty, np.zeros(0, "int64")).shape == (0, 3)
    assert run(table, ops.gather, TABLE, np.zeros((2, 0), "int64")).shape == (2, 0, 3)
    with pytest.raises(RunError, match="no elements to gather"):
        run(table, ops.gather, empty, np.array([0]))


def test_ids_that_occur_twice_add_up(table: KernelTable) -> None:
    dy = np.array([[1, 1, 1], [2, 2, 2], [4, 4, 4]], "float32")
    sums = run(table, ops.gather_grad, dy, np.array([2, 0, 2]), TABLE)
    np.testing.assert_array_equal(sums[:, 0], [2, 0, 5, 0])


def test_nan_wins_a_comparison_and_is_unequal_to_itself(table: KernelTable) -> None:
    x, y = [np.nan, 1.0, np.nan], [1.0, np.nan, np.nan]
    for op in (ops.maximum, ops.minimum):
        assert np.isnan(run(table, op, x, y)).all()
    for op in (ops.less, ops.less_equal, ops.greater_equal):
        assert not run(table, op, x, y).any()
    assert run(table, ops.not_equal, x, y).all()


def test_what_is_not_chosen_does_not_matter(table: KernelTable) -> None:
    chosen = run(table, ops.where, np.array([True, False]), [1, np.nan], [np.inf, 2])
    np.testing.assert_array_equal(chosen, [1, 2])


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "bool"])
@pytest.mark.parametrize("place", ["new", "x", "y"])
def test_choosing_among_many_is_exact_in_any_place(
    table: KernelTable, dtype: str, place: str
) -> None:
    rng = np.random.default_rng(0)
    condition = rng.random((700, 150)) < 0.5
    x, y = np.round(rng.normal(size=(2, 700, 150)) * 3).astype(dtype)
    if dtype.startswith("float"):
        x[0, :3], y[0, :3] = [np.nan, np.inf, -0.0], [-np.inf, np.nan, np.nan]
    arrays = [table.from_numpy(array, as_dtype(array.dtype)) for array in (condition, x, y)]
    out = table.empty((700, 150), as_dtype(dtype))
    out = {"new": out, "x": arrays[1], "y": arrays[2]}[place]
    assert table[ops.where].run(*arrays, out=out) is out
    np.testing.assert_array_equal(table.to_numpy(out), np.where(condition, x, y))


def test_choosing_broadcasts_and_takes_one_array_twice(table: KernelTable) -> None:
    condition = np.arange(90_000).reshape(900, 100) % 7 < 3
    row, column = np.arange(100.0, dtype="float32"), -np.ones((900, 1), "float32")
    zero = np.zeros((), "float32")
    for x, y in [(row, column), (column, row), (row, zero), (zero, row)]:
        given = [table.from_numpy(a, as_dtype(a.dtype)) for a in (condition, x, y)]
        out = table.empty((900, 100), DType.float32)
        table[ops.where].run(*given, out=out)
        np.testing.assert_array_equal(table.to_numpy(out), np.where(condition, x, y))
    full = table.from_numpy(condition.astype("float32"), DType.float32)
    table[ops.where].run(table.from_numpy(condition, DType.bool), full, full, out=full)
    np.testing.assert_array_equal(table.to_numpy(full), condition)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32"])
def test_truth_values_become_zero_and_one(table: KernelTable, dtype: str) -> None:
    truth = np.arange(5000) % 3 == 0
    out = table.empty((5000,), as_dtype(dtype))
    array = table.from_numpy(truth, DType.bool)
    assert table[ops.cast].run(array, dtype=as_dtype(dtype), out=out) is out
    np.testing.assert_array_equal(table.to_numpy(out), truth.astype(dtype))


def test_and_and_or_are_minimum_and_maximum(table: KernelTable) -> None:
    a, b = np.array([False, False, True, True]), np.array([False, True, False, True])
    np.testing.assert_array_equal(run(table, ops.minimum, a, b), a & b)
    np.testing.assert_array_equal(run(table, ops.maximum, a, b), a | b)
    assert run(table, ops.maximum, a, b).dtype == "bool"


def test_rsqrt_and_erf_at_their_ends(table: KernelTable) -> None:
    np.testing.assert_array_equal(run(table, ops.rsqrt, [0, -1, np.inf]), [np.inf, np.nan, 0])
    np.testing.assert_array_equal(run(table, ops.erf, [-np.inf, 0, 9, np.inf]), [-1, 0, 1, 1])
    np.testing.assert_allclose(run(table, ops.gelu, [-50, -10, 10, 50]), [0, 0, 10, 50], atol=1e-6)


def test_a_slice_cuts_off_what_is_not_there(table: KernelTable) -> None:
    cut = {"begin": (2,), "end": (9,), "axes": (1,)}
    np.testing.assert_array_equal(run(table, ops.slice, TABLE, **cut), TABLE[:, 2:9])
    back = {"begin": (-1,), "end": (-9,), "strides": (-2,)}
    np.testing.assert_array_equal(run(table, ops.slice, TABLE, **back), TABLE[::-2])


def test_a_slice_backwards_from_before_the_beginning_is_empty(table: KernelTable) -> None:
    attrs = {"begin": (-9,), "end": (0,), "strides": (-1,)}
    nothing = run(table, ops.slice, TABLE, **attrs)
    assert nothing.shape == (0, 3)
    back = run(table, ops.slice_grad, nothing, **attrs, shape=(4, 3))
    np.testing.assert_array_equal(back, np.zeros((4, 3)))


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_running_sums_of_integers_are_exact(table: KernelTable, dtype: str) -> None:
    x = np.full(3, 2**24 + 1, dtype)
    sums = run(table, ops.cumsum, x)
    assert sums.dtype == dtype
    np.testing.assert_array_equal(sums, x * np.array([1, 2, 3], dtype))


def test_an_exclusive_sum_does_not_subtract(table: KernelTable) -> None:
    x = np.array([1, np.inf, 1], "float32")
    np.testing.assert_array_equal(run(table, ops.cumsum, x, exclusive=True), [0, 1, np.inf])


def test_a_constant_row_is_normalised_to_the_offset(table: KernelTable) -> None:
    x = np.full((2, 4), 1e4, "float32")
    y = run(table, ops.layer_norm, x, [1, 2, 3, 4], [5, 6, 7, 8])
    np.testing.assert_allclose(y, [[5, 6, 7, 8]] * 2)


def test_normalising_survives_a_large_mean(table: KernelTable) -> None:
    x = np.array([[10000, 10001, 10002, 10003]], "float32")
    y = run(table, ops.layer_norm, x, [1] * 4, [0] * 4)
    np.testing.assert_allclose(y, [[-1.3416, -0.4472, 0.4472, 1.3416]], rtol=1e-3)


@pytest.mark.parametrize("shape", [(0, 4), (2, 0)])
def test_nothing_is_normalised_to_nothing(table: KernelTable, shape: tuple[int, int]) -> None:
    x, row = np.zeros(shape, "float32"), np.ones(shape[1], "float32")
    assert run(table, ops.layer_norm, x, row, row).shape == shape


def test_products_over_nothing_are_zero(table: KernelTable) -> None:
    x, y = np.ones((5, 2, 0), "float32"), np.ones((5, 0, 3), "float32")
    np.testing.assert_array_equal(run(table, ops.batch_matmul, x, y), np.zeros((5, 2, 3)))


def test_bfloat16_is_close_to_float32(table: KernelTable) -> None:
    if table is not TORCH:
        return  # numpy has no bfloat16
    x = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    ones = torch.ones(8)
    for op, inputs in [
        (ops.gelu, (x,)),
        (ops.gelu_grad, (x, x)),
        (ops.erf, (x,)),
        (ops.cumsum, (x,)),
        (ops.layer_norm, (x, ones, ones)),
        (ops.batch_matmul, (x[None], x.t()[None])),
        (ops.gather, (x, torch.tensor([1, 0]))),
        (ops.maximum, (x, ones)),
    ]:
        attrs = op.check_attrs({})
        low = [y.bfloat16() if y.is_floating_point() else y for y in inputs]
        result = table[op].run(*low, **attrs)
        assert result.dtype is torch.bfloat16
        torch.testing.assert_close(
            result.float(), table[op].run(*inputs, **attrs), rtol=4e-2, atol=4e-2
        )


def test_parts_are_copies(table: KernelTable) -> None:
    for op, attrs in [(ops.split, {"num": 2}), (ops.split, {"num": 1})]:
        x: Any = table.from_numpy(TABLE, DType.float32)
        parts = table[op].run(x, **op.check_attrs(attrs))
        for part in parts if attrs["num"] > 1 else [parts]:
            assert not table.shares_storage(part, x)
