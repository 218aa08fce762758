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


# registered gradients ---------------------------------------------------------------------------


@tf.RegisterGradient("GuidedRelu")
def _guided_relu(op: tf.Operation, dy: tf.Tensor) -> tf.Tensor:
    """Springenberg et al. 2014: only positive gradients go back, where the output is positive."""
    return tf.where(dy > 0.0, tf.where(op.outputs[0] > 0.0, dy, tf.zeros_like(dy)), 0.0 * dy)


@tf.RegisterGradient("StraightThrough")
def _straight_through(op: tf.Operation, dy: tf.Tensor) -> list[tf.Tensor]:
    return [dy]


@tf.RegisterGradient("TenTimes")
def _ten_times(op: tf.Operation, dy: tf.Tensor) -> list[Any]:
    return [10.0 * dy for _ in op.inputs]


@pytest.mark.parametrize("config", CONFIGS)
def test_a_registered_gradient_takes_the_place_of_that_of_relu(config: str) -> None:
    x = tf.placeholder(tf.float32, [4])
    with tf.get_default_graph().gradient_override_map({"Relu": "GuidedRelu"}):
        y = tf.nn.relu(x)
    z = tf.nn.relu(x)
    head = np.float32([1, -1, 1, -1])
    slopes = tf.gradients([y * head], [x]) + tf.gradients([z * head], [x])
    found = tf.Session(config).run([y, *slopes], {x: [1.0, 2.0, -1.0, -2.0]})
    np.testing.assert_array_equal(found[0], [1, 2, 0, 0])
    np.testing.assert_array_equal(found[1], [1, 0, 0, 0])
    np.testing.assert_array_equal(found[2], [1, -1, 0, 0])


def test_square_is_an_operation_of_its_own_as_in_tensorflow() -> None:
    with tf.Graph().as_default() as graph:
        c = tf.placeholder(tf.float64)
        first = tf.square(c)
        with graph.gradient_override_map({"Square": "TenTimes"}):
            second = tf.square(c, name="again")
            product = c * c
        with graph.gradient_override_map({"Mul": "TenTimes"}):
            third = tf.square(c)
        ys = (first, second, product, third)
        slopes = [tf.gradients(y, [c])[0] for y in ys]
        assert tf.Session().run(slopes, {c: 3.0}) == [6.0, 10.0, 6.0, 6.0]


def test_an_inner_block_adds_to_the_outer_one() -> None:
    x = tf.placeholder(tf.float32)
    graph = tf.get_default_graph()
    with graph.gradient_override_map({"Identity": "TenTimes"}):
        with graph.gradient_override_map({"MatMul": "TenTimes", "Exp": "StraightThrough"}):
            y = tf.exp(tf.identity(x))
        z = tf.exp(tf.identity(x))
    slopes = tf.gradients(y, [x]) + tf.gradients(z, [x])
    assert tf.Session().run(slopes, {x: 0.0}) == [10.0, 10.0]
    found = tf.Session().run(slopes, {x: 1.0})
    np.testing.assert_allclose(found, [10.0, 10.0 * np.e], rtol=1e-6)


def test_a_registered_gradient_knows_its_operation() -> None:
    seen: list[Any] = []

    @tf.RegisterGradient("Noted")
    def _noted(op: Any, dy: Any) -> Any:
        seen.append((op.type, op.name, [x.name for x in op.inputs], len(op.outputs)))
        return tf.exp(dy), None  # not the overridden exp

    a, b = (tf.placeholder(tf.float32, [2, 2], name=name) for name in "ab")
    overrides = {"MatMul": "Noted", "Exp": "Noted"}
    with tf.get_default_graph().gradient_override_map(overrides):
        y = tf.matmul(a, b, name="product")
    assert seen == [("matmul", "product", ["a", "b"], 1)]
    slopes = tf.Session().run(tf.gradients(y, [a, b]), {a: np.eye(2), b: np.eye(2)})
    np.testing.assert_allclose(slopes[0], np.full((2, 2), np.e), rtol=1e-6)
    assert not slopes[1].any()


def test_mistakes_with_registered_gradients_are_named() -> None:
    graph, x = tf.get_default_graph(), tf.placeholder(tf.float32, [1, 4, 4, 1])
    for kind, name in (("Relu", "Unknown"), ("Relux", "TenTimes"), ("Conv2D", "TenTimes")):
        match = f"cannot override; got {kind}: {name}; .*Relu or Square.*GuidedRelu.*custom_grad"
        with pytest.raises(GradientError, match=match), graph.gradient_override_map({kind: name}):
            pass
    with pytest.raises(GradientError, match="there is a gradient 'TenTimes' already"):
        tf.RegisterGradient("TenTimes")(lambda op, dy: dy)
    tf.RegisterGradient("TenTimes")(_ten_times)  # the cell of a notebook runs again
    with graph.gradient_override_map({"Relu": "TenTimes", "Add": "StraightThrough"}):
        tf.nn.relu(x)
        with pytest.raises(GradientError, match="wrong number of gradients; got 1; expected 2"):
            tf.add(x, x)


def test_a_gradient_of_another_shape_is_refused() -> None:
    @tf.custom_gradient
    def doubled(x: tf.Tensor) -> Any:
        return x * 2.0, lambda dy: tf.ones([5])

    with pytest.raises(
        GradientError, match=r"another shape than its input; got \[5\]; expected \[2\]"
    ):
        doubled(tf.placeholder(tf.float32, [2]))
