"""``tf.constant`` with a shape, ``tf.shape``, and products with zeros among the factors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tinyflow as tf
from tinyflow.errors import DTypeError, ShapeError, TinyflowError

CONFIGS = ["cpu", "cpu fusion", "numpy", "cpu interpret"]


@pytest.fixture(autouse=True)
def _fresh_graph() -> None:
    tf.reset_default_graph()


# constants --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ((-1.0, None, [2, 3]), np.full((2, 3), -1, "float32")),
        ((7, None, [2]), np.array([7, 7], "int32")),
        (([1, 2, 3], tf.int64, [2, 3]), np.array([[1, 2, 3], [3, 3, 3]])),
        (([1, 2, 3, 4, 5, 6], tf.float64, [2, 3]), np.arange(1.0, 7.0).reshape(2, 3)),
        ((np.arange(4), None, (2, 2)), np.array([[0, 1], [2, 3]])),
        ((True, None, [2]), np.array([True, True])),
        ((0.1, "float64", []), np.array(0.1)),
        (([[1, 2], [3, 4]], None, 4), np.array([1, 2, 3, 4], "int32")),
    ],
)
def test_a_constant_fills_its_shape_row_by_row(args: Any, expected: np.ndarray) -> None:
    made = tf.Session().run(tf.constant(*args))
    assert made.dtype == expected.dtype
    np.testing.assert_array_equal(made, expected)


def test_a_constant_without_a_shape_is_as_it_was() -> None:
    x = tf.placeholder(tf.float64)
    assert tf.Session().run(x * tf.constant(0.1), {x: 1.0}) == 0.1
    assert tf.constant([1.5, 2]).dtype is tf.float32


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tf.constant([1, 2, 3], shape=[2]), r"does not fit; got 3 elem.*1 to 2 for.*\[2\]"),
        (lambda: tf.constant([], shape=[2]), "the content does not fit; got 0 elements"),
        (lambda: tf.constant(1.0, shape=[None]), r"number of elements is not known; got \[\?\]"),
        (lambda: tf.constant(tf.placeholder(tf.float32), shape=[2]), "does not fit; got 0"),
        (lambda: tf.constant(1.0, shape=[-2]), "a size must be None or an integer"),
    ],
)
def test_a_shape_that_does_not_fit_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tf.constant([2**40]), r"does not fit; got \[1099511627776\]; expected int32"),
        (lambda: tf.constant(2**40, tf.int32), "does not fit; got 1099511627776; expected int32"),
        (lambda: tf.constant([1.5], tf.int64), r"does not fit; got \[1.5\]; expected int64"),
        (lambda: tf.constant([0, 2], tf.bool), "does not fit"),
        (lambda: tf.constant("one", tf.float32), "got no array of numbers; expected float32"),
        (lambda: tf.constant([[1], [1, 2]]), "unsupported dtype; got object"),
        (lambda: tf.Session().run(tf.constant(2**40)), "does not fit.*got 1099511627776"),
        (lambda: tf.Session().run(tf.constant([1]) + float("inf")), "does not fit.*got inf"),
        (lambda: tf.Session().run(tf.constant([1]) + float("nan")), "does not fit.*got nan"),
    ],
)
def test_numbers_that_a_dtype_would_change_are_refused(make: Any, message: str) -> None:
    with pytest.raises(DTypeError, match=message):
        make()


def test_numbers_that_fit_are_taken() -> None:
    made = [tf.constant(2**40, tf.int64), tf.constant(3.0, tf.int32), tf.constant([1, 0], tf.bool)]
    made += [tf.constant([], tf.int32), tf.constant(np.array([200], "uint8"), tf.int32)]
    results = tf.Session().run(made)
    assert [r.tolist() for r in results] == [2**40, 3, [True, False], [], [200]]


# shapes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", CONFIGS)
def test_the_shape_of_a_tensor_is_a_tensor(config: str) -> None:
    known = tf.shape(tf.zeros([2, 3]))
    open_ = tf.placeholder(tf.float32, [None, 3, None])
    sizes = tf.shape(open_, out_type=tf.int64)
    mean = tf.reduce_sum(open_) / tf.cast(tf.shape(open_)[0], tf.float32)
    assert known.dtype is tf.int32 and sizes.dtype is tf.int64 and sizes.shape == (3,)
    sess = tf.Session(config)
    for n in (4, 5):
        found = sess.run([known, sizes, mean], {open_: np.ones((n, 3, 2))})
        np.testing.assert_array_equal(found[0], [2, 3])
        np.testing.assert_array_equal(found[1], [n, 3, 2])
        assert found[2] == 6.0
    assert sess.run(tf.shape(3.0)).shape == (0,)


def test_sizes_are_exact_whatever_the_dtype() -> None:
    x = tf.placeholder(tf.bool, [None])
    n = 2**24 + 1
    assert tf.Session().run(tf.shape(x), {x: np.zeros(n, bool)}) == [n]


def test_a_shape_without_a_rank_is_refused() -> None:
    with pytest.raises(ShapeError, match="'x'.*the rank is not known"):
        tf.shape(tf.placeholder(tf.float32, name="x"))
    with pytest.raises(TinyflowError, match="dtype"):
        tf.shape(tf.zeros([2]), out_type="int8")


# products ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("axis", [None, 0, 1, [0, 1], [-1, 0], []])
@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_first_and_second_derivatives_of_a_product_are_torchs(
    config: str, axis: Any, seed: int
) -> None:
    tf.reset_default_graph()
    given_x = np.random.default_rng(seed).integers(-2, 3, (2, 4)).astype("float64")  # many zeros
    x = tf.placeholder(tf.float64, [2, 4])
    (first,) = tf.gradients(tf.reduce_sum(tf.square(tf.reduce_prod(x, axis))), [x])
    (second,) = tf.gradients(tf.reduce_sum(first * np.arange(8.0).reshape(2, 4)), [x])
    t = torch.tensor(given_x, requires_grad=True)
    y = t
    for a in sorted({a % 2 for a in ([0, 1] if axis is None else np.atleast_1d(axis))})[::-1]:
        y = torch.stack(list(y.unbind(int(a)))).cumprod(0)[-1] if y.dim() else y
    (one,) = torch.autograd.grad((y**2).sum(), t, create_graph=True)
    (two,) = torch.autograd.grad((one * torch.arange(8.0).reshape(2, 4)).sum(), t)
    found = tf.Session(config).run([first, second], {x: given_x})
    np.testing.assert_allclose(found[0], one.detach(), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found[1], two, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("config", CONFIGS)
def test_a_product_of_no_elements_is_one_and_has_an_empty_gradient(config: str) -> None:
    x = tf.placeholder(tf.float32, [0, 2])
    y = tf.reduce_prod(x, 0)
    found = tf.Session(config).run([y, *tf.gradients(y, [x])], {x: np.zeros((0, 2))})
    assert found[0].tolist() == [1, 1] and found[1].shape == (0, 2)


def test_the_gradient_of_a_long_product_takes_linear_memory() -> None:
    x = tf.placeholder(tf.float64, [200_000])
    (slope,) = tf.gradients(tf.reduce_prod(x), [x])
    found = tf.Session().run(slope, {x: np.r_[0.0, np.ones(199_999)]})
    assert found[0] == 1.0 and not found[1:].any()


def test_sizes_are_whole_numbers() -> None:
    with pytest.raises(DTypeError, match="sizes are whole numbers; got float32"):
        tf.shape(tf.zeros([2, 3]), out_type=tf.float32)
