"""Gradients that the user wrote take the place of those of the ops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyflow as tf
from tinyflow.errors import GradientError

CONFIGS = ["cpu", "cpu fusion", "numpy", "cpu interpret"]


@pytest.fixture(autouse=True)
def _fresh_graph() -> None:
    tf.reset_default_graph()


@tf.custom_gradient
def log1pexp(x: tf.Tensor) -> Any:
    e = tf.exp(x)
    return tf.log(1 + e), lambda dy: dy * (1 - 1 / (1 + e))


@pytest.mark.parametrize("config", CONFIGS)
def test_a_stable_derivative_replaces_an_overflowing_one(config: str) -> None:
    x = tf.placeholder(tf.float32, [3])
    y = log1pexp(x)
    (slope,) = tf.gradients(y * 2.0, [x])
    value, made = tf.Session(config).run([y, slope], {x: [0.0, 1.0, 100.0]})
    np.testing.assert_allclose(value[:2], np.log1p(np.exp([0.0, 1.0])), rtol=1e-6)
    np.testing.assert_allclose(made, [1.0, 2 / (1 + np.exp(-1.0)), 2.0], rtol=1e-6)


@pytest.mark.parametrize("config", CONFIGS)
def test_a_straight_through_estimator_trains_through_a_step(config: str) -> None:
    @tf.custom_gradient
    def binary(x: tf.Tensor) -> Any:
        return tf.cast(tf.greater(x, 0.0), tf.float32), lambda dy: dy

    w = tf.Variable([-0.5, 0.5])
    loss = tf.reduce_sum(tf.square(binary(w) - np.array([1.0, 0.0], "float32")))
    step = tf.train.GradientDescentOptimizer(0.3).minimize(loss)
    sess = tf.Session(config)
    sess.run(tf.global_variables_initializer())
    for _ in range(3):
        sess.run(step)
    np.testing.assert_allclose(sess.run(w), [0.1, -0.1], atol=1e-6)
    assert sess.run(loss) == 0.0


def test_several_arguments_none_and_options() -> None:
    @tf.custom_gradient
    def scaled(x: tf.Tensor, y: tf.Tensor, factor: float = 1.0) -> Any:
        return x * y * factor, lambda dy: (dy * 10.0, None)

    x, y = tf.placeholder(tf.float32), tf.placeholder(tf.float32)
    z = scaled(x, y, factor=2.0) + x * y
    slopes = tf.gradients(z, [x, y])
    assert tf.Session().run([z, *slopes], {x: 3.0, y: 5.0}) == [45.0, 15.0, 3.0]


def test_the_derivative_of_the_derivative_goes_through_what_the_user_wrote() -> None:
    @tf.custom_gradient
    def cube(x: tf.Tensor) -> Any:
        return tf.stop_gradient(x * x * x), lambda dy: dy * 3.0 * x * x

    x = tf.placeholder(tf.float64)
    (first,) = tf.gradients(cube(x), [x])
    (second,) = tf.gradients(first, [x])
    assert tf.Session().run([first, second], {x: 2.0}) == [12.0, 12.0]


def test_each_use_has_its_own_upstream_gradient() -> None:
    @tf.custom_gradient
    def reverse(x: tf.Tensor) -> Any:
        return tf.identity(x), lambda dy: -1.0 * dy

    x = tf.placeholder(tf.float32)
    (slope,) = tf.gradients(reverse(x) * 3.0 + reverse(reverse(x)) * 5.0, [x])
    assert tf.Session().run(slope, {x: 1.0}) == 2.0


def test_mistakes_are_named() -> None:
    x = tf.placeholder(tf.float32, name="x")
    with pytest.raises(GradientError, match="'lonely' must return its result and its gradient"):

        @tf.custom_gradient
        def lonely(x: tf.Tensor) -> Any:
            return x

        lonely(x)
    with pytest.raises(GradientError, match="wrong number of gradients; got 2; expected 1"):
        tf.custom_gradient(lambda x: (tf.exp(x), lambda dy: (dy, dy)))(x)
