"""Every rung of the ladder computes the same: machine code by LLVM, by a C compiler, or none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tinyflow import ops
from tinyflow.backends.native import c_kernel, llvm_kernel
from tinyflow.codegen.scalar import supported
from tinyflow.ir import Graph, Op
from tinyflow.ops.rules import FLOATING, broadcast_shape

from .bodies import (
    RUNGS,
    Recipe,
    Rung,
    gelu,
    kernel,
    placeholder,
    read,
    recipes,
    softmax,
    typed,
    unfused,
)

each_rung = pytest.mark.parametrize("rung", RUNGS.values(), ids=RUNGS)
each_language = pytest.mark.parametrize("language", [llvm_kernel, c_kernel])
TINY = float(np.finfo("float32").smallest_normal)
DTYPES = {"float32": 1e-5, "float64": 1e-12}


def drawn(shapes: Sequence[tuple[int, ...]], seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype("float32") for shape in shapes]


def assert_close(got: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=50 * tolerance, atol=tolerance * scale)


@each_rung
@pytest.mark.parametrize("dtype", DTYPES)
def test_random_bodies_compute_what_numpy_computes_in_float64(rung: Rung, dtype: str) -> None:
    @settings(
        max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(recipes())
    def check(recipe: Recipe) -> None:
        arrays = drawn(recipe.inputs)
        body = recipe.body(dtype)
        if supported(body):
            return  # one row or column fewer than the ops say: a few of a thousand
        with np.errstate(all="ignore"):
            expected = unfused(recipe.body("float64"), [a.astype("float64") for a in arrays])
        got = rung(body, [a.astype(dtype) for a in arrays])
        for array, true in zip(got, expected, strict=True):
            if np.isfinite(true).all() and np.abs(true).max() < 1e6:
                assert_close(array.astype("float64"), true, DTYPES[dtype])

    check()


@each_language
def test_results_of_random_bodies_may_lie_on_inputs_of_their_shape(language: Any) -> None:
    @settings(
        max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(recipes(), st.randoms(use_true_random=False))
    def check(recipe: Recipe, random: Any) -> None:
        body = recipe.body("float32")
        if supported(body):
            return
        inputs = read(body, drawn(recipe.inputs))
        expected = unfused(body, [array.copy() for array in drawn(recipe.inputs)])
        results, free = [], list(inputs)
        for true in expected:
            fitting = [i for i, array in enumerate(free) if array.shape == true.shape]
            at = random.choice([None, *fitting])
            results.append(np.empty_like(true) if at is None else free.pop(at))
        kernel(body, language).call(*(array.ctypes.data for array in (*inputs, *results)))
        for array, true in zip(results, expected):
            if np.isfinite(true).all() and np.abs(true).max() < 1e6:
                assert_close(array, true, 2e-5)

    check()


def function(expr: str, *arrays: np.ndarray) -> Graph:
    """The body of one op with this scalar expression."""
    names = ("x", "y")[: len(arrays)]
    op = Op("one", names, broadcast_shape, FLOATING, expr=expr)
    inputs = (placeholder(i, a.shape, str(a.dtype)) for i, a in enumerate(arrays))
    return typed(op(*inputs))


SPECIAL = np.array(
    [
        *(0, -0.0, 1, -1, 2, -2, 0.5, 3, -3, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 1e-45, 3e38),
        *(-3e38, 0.05, -0.05, 1.5, 1e10, 16777217, 1.0000001, 88.7, 89, -87.4, -100, -103.9),
        *(-104.1, 1e-5),
    ],
    "float32",
)
FUNCTIONS = {
    "exp(x)": np.exp,
    "log(x)": np.log,
    "tanh(x)": np.tanh,
    "sigmoid(x)": lambda x: torch.sigmoid(torch.from_numpy(x)).numpy(),
    "erf(x)": lambda x: torch.erf(torch.from_numpy(x)).numpy(),
    "sqrt(x)": np.sqrt,
    "rsqrt(x)": lambda x: 1 / np.sqrt(x),
    "abs(x)": np.abs,
    "floor(x)": np.floor,
}


def float32_numbers() -> np.ndarray:
    """Every 10,007th of all, those where functions bend, and the special ones."""
    patterns = np.arange(0, 2**32, 10007, dtype=np.uint64).astype(np.uint32)
    bends = [np.linspace(-110, 110, 100_000), np.linspace(0.4, 2.5, 100_000)]
    with np.errstate(invalid="ignore"):
        return np.concatenate([patterns.view("float32"), SPECIAL, *bends]).astype("float32")


def relative_error(got: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """|got - exact| / |exact|, absolute below the normal numbers; 0 where both are nan or inf."""
    with np.errstate(all="ignore"):
        same = (got == exact.astype("float32")) | (np.isnan(got) & np.isnan(exact))
        error = np.abs(got - exact) / np.maximum(np.abs(exact), TINY)
    return np.where(same, 0, np.where(np.isnan(error), np.inf, error))


@each_language
@pytest.mark.parametrize("expr", FUNCTIONS)
def test_functions_are_right_to_a_millionth_over_all_float32_numbers(
    expr: str, language: object
) -> None:
    x = float32_numbers()
    (got,) = RUNGS["llvm" if language is llvm_kernel else "c"](function(expr, x), [x])
    with np.errstate(all="ignore"):
        exact = FUNCTIONS[expr](x.astype("float64"))
    error = relative_error(got, exact)
    worst = int(error.argmax())
    assert error[worst] < 1e-6, (x[worst], got[worst], exact[worst])


@each_language
@pytest.mark.parametrize("expr", FUNCTIONS)
def test_functions_in_float64_are_those_of_the_c_library(expr: str, language: object) -> None:
    x = np.concatenate([np.linspace(-20, 20, 5001), SPECIAL.astype("float64"), [1e-310, 710]])
    (got,) = RUNGS["llvm" if language is llvm_kernel else "c"](function(expr, x), [x])
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(got, FUNCTIONS[expr](x), rtol=1e-14, atol=1e-300)


@each_language
def test_powers_are_right_for_special_and_for_random_numbers(language: object) -> None:
    rng = np.random.default_rng(0)
    x, y = (part.ravel() for part in np.meshgrid(SPECIAL, SPECIAL))
    x = np.concatenate([x, np.exp(rng.uniform(-80, 80, 50_000)), -rng.uniform(0, 9, 5_000)])
    y = np.concatenate([y, rng.normal(0, 2, 50_000), rng.integers(-9, 9, 5_000)])
    x, y = x.astype("float32"), y.astype("float32")
    (got,) = RUNGS["llvm" if language is llvm_kernel else "c"](function("x ** y", x, y), [x, y])
    with np.errstate(all="ignore"):
        exact = np.power(x.astype("float64"), y.astype("float64"))
    error = relative_error(got, exact)
    worst = int(error.argmax())
    assert error[worst] < 1e-6, (x[worst], y[worst], got[worst], exact[worst])
    known = np.abs(exact) < 1e-50
    np.testing.assert_array_equal(np.signbit(got[known]), np.signbit(exact[known]))


@each_rung
@pytest.mark.parametrize("power", [-1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 2.5])
def test_constant_powers_are_powers(rung: Rung, power: float) -> None:
    x = np.array([0.25, 1, 2, 3.5, 100], "float32")
    (got,) = rung(typed(ops.pow(placeholder(0, x.shape), power)), [x])
    np.testing.assert_allclose(got, [math.pow(v, power) for v in x], rtol=1e-6)


@each_rung
def test_nan_passes_through_maxima_comparisons_and_choices(rung: Rung) -> None:
    x = np.array([[1, np.nan, 3], [4, 5, -np.inf], [-np.inf] * 3], "float32")
    value = placeholder(0, x.shape)
    body = typed(ops.relu(value), ops.reduce_max(value, reduction_indices=(-1,)))
    relu, most = rung(body, [x])
    np.testing.assert_array_equal(relu, [[1, np.nan, 3], [4, 5, 0], [0, 0, 0]])
    np.testing.assert_array_equal(most, [np.nan, 5, -np.inf])


@each_language
def test_the_larger_and_smaller_of_two_take_nan_along(language: object) -> None:
    x = np.array([1, 2, np.nan, 1, np.nan, -np.inf], "float32")
    y = np.array([2, 1, 1, np.nan, np.nan, np.inf], "float32")
    run = RUNGS["llvm" if language is llvm_kernel else "c"]
    for name, expected in (("maximum", np.maximum), ("minimum", np.minimum)):
        (got,) = run(function(f"{name}(x, y)", x, y), [x, y])
        np.testing.assert_array_equal(got, expected(x, y))


@each_rung
@pytest.mark.parametrize(
    ("n", "m"), [(1, 1), (1, 7), (7, 1), (3, 15), (3, 16), (3, 17), (2, 63), (2, 65), (1, 100_000)]
)
def test_rows_of_every_length(rung: Rung, n: int, m: int) -> None:
    (x,) = drawn([(n, m)])
    (got,) = rung(softmax(n, m), [x])
    expected = torch.softmax(torch.from_numpy(x).double(), -1).numpy()
    np.testing.assert_allclose(got, expected, rtol=3e-6)


@each_rung
def test_a_result_may_lie_where_an_input_lies(rung: Rung) -> None:
    """Also where a later loop needs the input again."""
    if rung is unfused:
        return
    (x,) = drawn([(9, 50)])
    expected = torch.softmax(torch.from_numpy(x).double(), -1).numpy()
    language = llvm_kernel if rung is RUNGS["llvm"] else c_kernel
    body = softmax(9, 50)
    kernel(body, language).call(x.ctypes.data, x.ctypes.data)
    np.testing.assert_allclose(x, expected, rtol=3e-6)


@each_language
def test_several_results_may_each_replace_an_input(language: object) -> None:
    a, b, c = drawn([(4, 33)] * 3)
    x, y, z = (placeholder(i, (4, 33)) for i in range(3))
    total = ops.reduce_sum(ops.mul(x, y), reduction_indices=(-1,), keepdims=True)
    body = typed(ops.mul(x, total), ops.add(ops.mul(y, 0.9), total), ops.sub(z, ops.mul(x, y)))
    expected = unfused(body, [a, b, c])
    p = [array.ctypes.data for array in (a, b, c)]
    kernel(body, language).call(*p, *p)  # type: ignore[arg-type]
    for got, true in zip((a, b, c), expected):
        np.testing.assert_allclose(got, true, rtol=1e-4, atol=1e-5)


@each_rung
def test_comparisons_casts_and_choices_by_integers_and_truth(rung: Rung) -> None:
    n = 37
    labels = np.arange(n, dtype="int64") % 5
    flags = labels > 2
    x = drawn([(n,)])[0]
    wide = np.arange(n, dtype="float64")
    a = placeholder(0, (n,), "int64")
    b = placeholder(1, (n,), "bool")
    c, d = placeholder(2, (n,)), placeholder(3, (n,), "float64")
    same = ops.equal(a, ops.constant(3, dtype="int64"))
    body = typed(
        ops.mul(ops.cast(same, dtype="float32"), c),
        ops.add(ops.cast(b, dtype="float64"), d),
        ops.greater(c, 0.0),
        ops.cast(ops.cast(a, dtype="float32"), dtype="bool"),
    )
    got = rung(body, [labels, flags, x, wide])
    expected = [(labels == 3) * x, flags + wide, x > 0, labels != 0]
    for array, true in zip(got, expected):
        assert array.dtype == true.dtype
        np.testing.assert_array_equal(array, true)


@each_rung
def test_truth_values_are_compared_and_chosen(rung: Rung) -> None:
    a, b = np.array([False, False, True, True]), np.array([False, True, False, True])
    x, y = placeholder(0, (4,), "bool"), placeholder(1, (4,), "bool")
    pairs = {
        ops.greater: a & ~b, ops.less: ~a & b, ops.less_equal: ~a | b, ops.equal: a == b,
        ops.maximum: a | b, ops.minimum: a & b, ops.not_equal: a ^ b,
    }  # fmt: skip
    body = typed(*(op(x, y) for op in pairs), ops.where(x, y, ops.greater(x, y)))
    for got, expected in zip(rung(body, [a, b]), [*pairs.values(), np.where(a, b, a & ~b)]):
        np.testing.assert_array_equal(got, expected)


@each_rung
def test_long_sums_lose_nothing(rung: Rung) -> None:
    if rung is unfused:
        return
    x = np.full(10_000_000, 0.1, "float32")
    value = placeholder(0, x.shape)
    (got,) = rung(typed(ops.reduce_sum(ops.mul(value, 1.0))), [x])
    np.testing.assert_allclose(got, 10_000_000 * float(np.float32(0.1)), rtol=1e-6)
    rows = x.reshape(-1, 10)
    value = placeholder(0, rows.shape)
    (got,) = rung(typed(ops.reduce_sum(ops.mul(value, 1.0), reduction_indices=(0,))), [rows])
    np.testing.assert_allclose(got, 1_000_000 * float(np.float32(0.1)), rtol=1e-6)


@each_rung
def test_what_is_one_per_column_is_computed_after_the_sum_over_rows(rung: Rung) -> None:
    """The update of a bias: b - rate * mean over rows."""
    b, dy = drawn([(7,), (5, 7)])
    bias, grad = placeholder(0, (7,)), placeholder(1, (5, 7))
    mean = ops.reduce_mean(grad, reduction_indices=(0,))
    (got,) = rung(typed(ops.sub(bias, ops.mul(mean, 0.5))), [b, dy])
    np.testing.assert_allclose(got, b - 0.5 * dy.mean(0), rtol=1e-5, atol=1e-6)


@each_rung
def test_squares_are_rows_or_columns_by_the_way_they_are_used(rung: Rung) -> None:
    x, a, b = drawn([(6, 6), (6,), (6, 1)])
    value, column, row = placeholder(0, (6, 6)), placeholder(1, (6,)), placeholder(2, (6, 1))
    total = ops.reduce_sum(ops.sub(ops.mul(value, column), row), reduction_indices=(1,))
    again = ops.reshape(ops.mul(total, ops.reshape(row, shape=(6,))), shape=(6, 1))
    (got,) = rung(typed(ops.add(ops.mul(value, again), column)), [x, a, b])
    expected = x * ((x * a - b).sum(1) * b[:, 0])[:, None] + a
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_a_kernel_is_compiled_once_for_all_sizes() -> None:
    first, second = kernel(gelu(10)), kernel(gelu(1000))
    assert first.source == second.source
    assert first.function is second.function


@each_language
def test_a_bound_kernel_runs_on_the_addresses_in_its_table(language: object) -> None:
    x, y = drawn([(9,), (9,)])
    out = np.zeros_like(x)
    launch = kernel(gelu(9), language).bind(x.ctypes.data, out.ctypes.data)  # type: ignore[arg-type]
    launch.run()
    np.testing.assert_allclose(out, unfused(gelu(9), [x])[0], rtol=1e-5, atol=1e-6)
    launch.table[launch.first] = y.ctypes.data
    launch.run()
    np.testing.assert_allclose(out, unfused(gelu(9), [y])[0], rtol=1e-5, atol=1e-6)
