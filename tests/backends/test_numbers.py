"""Numerics of both backends at the places where a naive kernel goes wrong."""

from __future__ import annotations

import math
import re
import warnings
from typing import Any

import numpy as np
import pytest
import torch

from tinyflow import ops
from tinyflow.backends.numpy_ import NUMPY
from tinyflow.backends.table import KernelTable
from tinyflow.backends.torch_ import TORCH
from tinyflow.errors import RunError
from tinyflow.ir import Op
from tinyflow.types import DType, as_dtype

pytestmark = pytest.mark.parametrize("table", [NUMPY, TORCH], ids=lambda table: table.name)
LOSS = ops.mean_sparse_softmax_cross_entropy_with_logits
SLOPE = ops.sparse_softmax_cross_entropy_grad


def run(table: KernelTable, op: Op, *inputs: Any, **attrs: Any) -> np.ndarray:
    """Run a kernel, warnings fatal. Lists are float32 arrays; Python numbers stay as they are."""
    arrays = []
    for given in inputs:
        if not isinstance(given, bool | int | float):
            array = np.array(given, None if isinstance(given, np.ndarray) else "float32")
            given = table.from_numpy(array, as_dtype(array.dtype))
        arrays.append(given)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return table.to_numpy(table[op].run(*arrays, **op.check_attrs(attrs)))


def test_division_by_zero_and_logarithms_of_it_are_no_errors(table: KernelTable) -> None:
    np.testing.assert_array_equal(
        run(table, ops.div, [1, -1, 0], [0, 0, 0]), [np.inf, -np.inf, np.nan]
    )
    np.testing.assert_array_equal(run(table, ops.log, [0, -1]), [-np.inf, np.nan])
    np.testing.assert_array_equal(run(table, ops.sqrt, [-1]), [np.nan])
    np.testing.assert_array_equal(
        run(table, ops.pow, [-8, 0, 0], [0.5, 0, -1]), [np.nan, 1, np.inf]
    )
    np.testing.assert_array_equal(run(table, ops.exp, [1000, -1000]), [np.inf, 0])


def test_nan_passes_through_relu_and_maximum(table: KernelTable) -> None:
    np.testing.assert_array_equal(run(table, ops.relu, [np.nan, -1, 2]), [np.nan, 0, 2])
    np.testing.assert_array_equal(run(table, ops.relu_grad, [5, 5, 5], [np.nan, 0, 2]), [5, 0, 5])
    assert np.isnan(run(table, ops.reduce_max, [1, np.nan, 3]))


def test_sigmoid_is_exact_far_from_zero(table: KernelTable) -> None:
    y = run(table, ops.sigmoid, [-1000, -80, 0, 80, 1000])
    np.testing.assert_allclose(y, [0, math.exp(-80), 0.5, 1, 1], rtol=1e-5)


@pytest.mark.parametrize("rows", [3, 40])
def test_softmax_survives_huge_and_infinite_logits(table: KernelTable, rows: int) -> None:
    x = [[1e4, 1e4 - 1, -1e4], [-np.inf, 0, 0], [88, 89, 90]] * rows
    exact = [
        [1 / (1 + 1 / math.e), 1 / (1 + math.e), 0],
        [0, 0.5, 0.5],
        [0.09003057, 0.24472847, 0.66524096],
    ]
    np.testing.assert_allclose(run(table, ops.softmax, x), exact * rows, rtol=1e-5)
    logs = run(table, ops.log_softmax, x)
    np.testing.assert_allclose(logs[0], [-0.31326169, -1.31326169, -20000.3127], rtol=1e-5)
    np.testing.assert_allclose(
        run(table, ops.softmax, np.transpose(x), axis=0).T, exact * rows, rtol=1e-5
    )
    assert run(table, LOSS, x, np.array([0, 1, 2] * rows)) < 1


def test_sums_of_float16_do_not_stop_growing(table: KernelTable) -> None:
    ones = np.ones(5000, "float16")
    assert run(table, ops.reduce_sum, ones) == 5000
    assert run(table, ops.reduce_mean, np.full(5000, 60, "float16")) == 60  # their sum overflows


def test_means_over_nothing_are_nan_and_sums_zero(table: KernelTable) -> None:
    empty = np.ones((0, 3), "float32")
    assert np.isnan(run(table, ops.reduce_mean, empty))
    np.testing.assert_array_equal(
        run(table, ops.reduce_mean, empty, reduction_indices=(0,)), [np.nan] * 3
    )
    np.testing.assert_array_equal(
        run(table, ops.reduce_sum, empty, reduction_indices=(0,)), [0] * 3
    )
    assert np.isnan(run(table, LOSS, empty, np.ones(0, "int64")))
    assert run(table, SLOPE, 1.0, empty, np.ones(0, "int64")).shape == (0, 3)


def test_a_reduction_over_no_axes_is_a_copy(table: KernelTable) -> None:
    for op in (ops.reduce_sum, ops.reduce_mean, ops.reduce_max):
        np.testing.assert_array_equal(run(table, op, [[1, 2]], reduction_indices=()), [[1, 2]])


def test_a_matrix_product_over_nothing_is_zero(table: KernelTable) -> None:
    x, y = np.ones((2, 0), "float32"), np.ones((0, 3), "float32")
    np.testing.assert_array_equal(run(table, ops.matmul, x, y), np.zeros((2, 3)))
    np.testing.assert_array_equal(run(table, ops.linear, x, y.T, [1, 2, 3]), [[1, 2, 3]] * 2)


def test_gemm_does_not_read_c_under_beta_zero(table: KernelTable) -> None:
    z = run(table, ops.gemm, [[np.nan]], [[2]], [[3]], beta=0.0)
    np.testing.assert_array_equal(z, [[6]])


def test_argmax_takes_the_first_of_equals(table: KernelTable) -> None:
    np.testing.assert_array_equal(run(table, ops.argmax, [[1, 3, 3], [2, 2, 0]], axis=1), [1, 0])


@pytest.mark.parametrize(
    ("x", "dtype", "expected"),
    [
        ([1.9, -1.9, 0.0], "int32", [1, -1, 0]),
        ([0.1, 0.0, np.nan], "bool", [True, False, True]),
        (np.array([True, False]), "float16", [1, 0]),
        (np.array([2**40 + 1]), "float64", [2**40 + 1]),
        (np.array([1 / 3]), "float32", [np.float32(1 / 3)]),
    ],
)
def test_casts_cut_towards_zero(table: KernelTable, x: Any, dtype: str, expected: Any) -> None:
    y = run(table, ops.cast, x, dtype=dtype)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, np.array(expected, dtype))
    like = np.zeros((2, 2), dtype)
    np.testing.assert_array_equal(run(table, ops.cast_like, x, like), y)


@pytest.mark.parametrize(
    "op", [ops.add, ops.sub, ops.mul, ops.div, ops.pow], ids=lambda op: op.name
)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_python_number_takes_the_dtype_beside_it(table: KernelTable, op: Op, dtype: str) -> None:
    x = np.array([0.5, 3], dtype)
    for inputs, expected in [
        ((x, 0.1), (x, np.array(0.1, dtype))),
        ((0.1, x), (np.array(0.1, dtype), x)),
    ]:
        got = run(table, op, *inputs)
        assert got.dtype == dtype
        np.testing.assert_allclose(
            got, run(table, op, *expected), rtol=1e-3 if dtype == "float16" else 1e-7
        )


def test_float32_is_computed_in_float32(table: KernelTable) -> None:
    tiny = np.float32(2**-24)
    assert run(table, ops.add, [1], [tiny])[0] == 1
    wide = run(table, ops.reduce_sum, np.full(3, 2**24 + 1, "int64"))
    assert wide == 3 * (2**24 + 1) and wide.dtype == "int64"


@pytest.mark.parametrize(
    ("labels", "position"),
    [
        (np.array([0, 3]), 1),
        (np.array([-1, 0]), 0),
        (np.array([0, -100]), 1),
        (np.array([0, -1], "int32"), 1),
        (np.array([0, 2**33]), 1),
        (np.array([0, np.iinfo("int64").min]), 1),
        (np.array([0.0, 1.5]), 1),
        (np.array([np.nan, 0.0]), 0),
        (np.array([0.0, np.inf]), 1),
        (np.array([0.0, 1e30]), 1),
    ],
)
@pytest.mark.parametrize("before", [0, 40])
def test_a_label_that_is_no_class_is_named(
    table: KernelTable, labels: np.ndarray, position: int, before: int
) -> None:
    wrong = f"label {labels[position]} at position {before + position}; expected .* from 0 to 2"
    labels = np.concatenate([np.zeros(before, labels.dtype), labels])
    logits = np.ones((before + 2, 3), "float32")
    for normalised in (False, True):
        with pytest.raises(RunError, match=re.escape(wrong).replace(r"\.\*", ".*")):
            run(table, LOSS, logits, labels, normalised=normalised)
        with pytest.raises(RunError, match="a label is not a class number"):
            run(table, SLOPE, 1.0, logits, labels, normalised=normalised)


def test_labels_without_classes_are_refused(table: KernelTable) -> None:
    with pytest.raises(RunError, match="no classes"):
        run(table, LOSS, np.ones((2, 0), "float32"), np.array([0, 0]))


def test_whole_floats_are_labels(table: KernelTable) -> None:
    x, labels = np.random.default_rng(0).normal(size=(4, 3)), np.array([0, 2, 1, 1])
    assert run(table, LOSS, x, labels.astype("float32")) == run(table, LOSS, x, labels)
    slopes = [run(table, SLOPE, 2.0, x, labels.astype(kind)) for kind in ("int32", "float64")]
    np.testing.assert_array_equal(*slopes)


def test_bfloat16_is_close_to_float32(table: KernelTable) -> None:
    if table is not TORCH:
        with pytest.raises(Exception, match="numpy has no bfloat16"):
            table.from_numpy(np.ones(2), DType.bfloat16)
        return
    x = torch.randn(8, 8, generator=torch.Generator().manual_seed(0))
    for op in (ops.tanh, ops.sigmoid, ops.relu, ops.softmax, ops.log_softmax, ops.reduce_mean):
        attrs = op.check_attrs({})
        low = table[op].run(x.bfloat16(), **attrs)
        assert low.dtype is torch.bfloat16
        torch.testing.assert_close(low.float(), table[op].run(x, **attrs), rtol=3e-2, atol=3e-2)
