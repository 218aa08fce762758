"""Operators and small functions of TensorFlow 1 that are made of other ops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import tinyflow as tf
from tinyflow.errors import DTypeError, GradientError, GraphError, ShapeError

Array = np.ndarray[Any, Any]
NUMBERS = np.array([-3.0, -1.5, -0.25, 0.0, 0.25, 1.5, 3.0])


@pytest.fixture(autouse=True)
def _fresh_graph() -> None:
    tf.reset_default_graph()


def differences(f: Callable[[tf.Tensor], tf.Tensor], at: Array, step: float = 1e-6) -> Array:
    """The gradient of the sum of f, by float64 differences."""
    x = tf.placeholder(tf.float64, at.shape)
    total, session = tf.reduce_sum(f(x)), tf.Session()
    slopes = np.zeros_like(at)
    for index in np.ndindex(at.shape):
        moved = [at.copy(), at.copy()]
        moved[0][index] += step
        moved[1][index] -= step
        high, low = (session.run(total, {x: each}) for each in moved)
        slopes[index] = (high - low) / (2 * step)
    return slopes


WEIGHTS = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])
DIFFERENTIABLE: list[tuple[str, Callable[[Any], Any], Callable[[Any], Any]]] = [
    ("elu", tf.nn.elu, torch.nn.functional.elu),
    ("leaky_relu", tf.nn.leaky_relu, lambda x: torch.nn.functional.leaky_relu(x, 0.2)),
    ("leaky_relu 0.01", lambda x: tf.nn.leaky_relu(x, alpha=0.01), torch.nn.functional.leaky_relu),
    ("softplus", tf.nn.softplus, torch.nn.functional.softplus),
    ("mean", lambda x: tf.nn.moments(x, [0])[0], lambda x: x.mean(0)),
    ("variance", lambda x: tf.nn.moments(x, [0])[1], lambda x: x.var(0, unbiased=False)),
    ("kept", lambda x: tf.nn.moments(x, [1], keep_dims=True)[1],
     lambda x: x.var(1, unbiased=False, keepdim=True)),
    ("clip_by_norm", lambda x: tf.clip_by_norm(x, 1.5) * x, lambda x: x * 1.5 / x.norm() * x),
    ("clip_by_norm rows", lambda x: tf.clip_by_norm(x, 1e3, axes=[1]) * x, lambda x: x * x),
    ("%", lambda x: x % 0.7 * x, lambda x: torch.remainder(x, 0.7) * x),
    ("% x", lambda x: 5.3 % x, lambda x: torch.remainder(torch.full_like(x, 5.3), x)),
    ("sigmoid cross-entropy",
     lambda x: tf.nn.sigmoid_cross_entropy_with_logits(labels=x * 0.0 + 0.3, logits=x),
     lambda x: torch.nn.functional.binary_cross_entropy_with_logits(
         x, torch.full_like(x, 0.3), reduction="none")),
]  # fmt: skip


@pytest.mark.parametrize(("mine", "theirs"), [row[1:] for row in DIFFERENTIABLE],
                         ids=[row[0] for row in DIFFERENTIABLE])  # fmt: skip
def test_numbers_and_gradients(mine: Callable[[Any], Any], theirs: Callable[[Any], Any]) -> None:
    x = tf.placeholder(tf.float64, WEIGHTS.shape)
    y = mine(x)
    found = tf.Session().run([y, tf.gradients(y, x)[0]], {x: WEIGHTS})
    np.testing.assert_allclose(found[0], theirs(torch.tensor(WEIGHTS)).numpy(), rtol=1e-6)
    np.testing.assert_allclose(found[1], differences(mine, WEIGHTS), rtol=1e-6, atol=1e-8)


def test_the_sigmoid_cross_entropy_has_its_gradient_at_zero_too() -> None:
    x = tf.placeholder(tf.float64, [3])
    z = np.array([0.0, 1.0, 0.25])
    loss = tf.nn.sigmoid_cross_entropy_with_logits(labels=z, logits=x)
    found = tf.Session().run(tf.gradients(loss, x)[0], {x: np.zeros(3)})
    np.testing.assert_allclose(found, 0.5 - z)
    far = tf.Session().run([loss, tf.gradients(loss, x)[0]], {x: [-1e3, 1e3, 1e3]})
    np.testing.assert_allclose(far, [[0.0, 0.0, 750.0], [0.0, 0.0, 0.75]], atol=1e-12)


def test_derivatives_at_zero() -> None:
    x = tf.placeholder(tf.float64, [1])
    for f, slope in ((tf.nn.elu, 1.0), (tf.nn.softplus, 0.5), (tf.sign, 0.0)):
        assert tf.Session().run(tf.gradients(f(x), x)[0], {x: [0.0]})[0] == slope
    clipped = tf.gradients(tf.clip_by_norm(x, 2.0), x)[0]
    assert tf.Session().run(clipped, {x: [0.0]})[0] == 1.0


@pytest.mark.parametrize("dtype", ["int32", "int64", "float32", "float64"])
def test_quotients_and_rests_are_those_of_python(dtype: str) -> None:
    xs = np.array([-7, -6, -1, 0, 1, 6, 7, 2**24 - 1], dtype)[:, None]
    ys = np.array([-4, -3, 2, 3, 5], dtype)
    x, y = tf.placeholder(dtype, xs.shape), tf.placeholder(dtype, ys.shape)
    quotient, rest, by_number = tf.Session().run([x // y, x % y, x // 3], {x: xs, y: ys})
    np.testing.assert_array_equal(quotient, xs // ys)
    np.testing.assert_array_equal(rest, xs % ys)
    np.testing.assert_array_equal(by_number, xs // 3)
    assert quotient.dtype == rest.dtype == by_number.dtype == dtype
    turned = tf.Session().run([17 // y, 17 % y], {y: ys})
    np.testing.assert_array_equal(turned, [17 // ys, 17 % ys])


def test_large_integers_divide_exactly_within_53_bits() -> None:
    x = tf.placeholder(tf.int64, [2])
    big = np.array([2**53 - 1, -(2**53) + 1])
    np.testing.assert_array_equal(tf.Session().run(x // 3, {x: big}), big // 3)
    np.testing.assert_array_equal(tf.Session().run([x // 0, x % 0], {x: big}), [[0, 0], big])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floor_and_sign(dtype: str) -> None:
    edge = np.array([*NUMBERS, 1e30, -1e30, np.inf, -np.inf, np.nan])
    with np.errstate(over="ignore"):
        numbers = edge.astype(dtype)
    x = tf.placeholder(dtype, numbers.shape)
    floor, sign = tf.Session().run([tf.floor(x), tf.sign(x)], {x: numbers})
    np.testing.assert_array_equal(floor, np.floor(numbers))
    np.testing.assert_array_equal(sign, np.sign(numbers))
    with pytest.raises(GradientError):
        tf.gradients(tf.floor(x), x)


def test_bools_combine_by_operators() -> None:
    x = tf.placeholder(tf.float32, [4])
    low, high = x > 1.0, x < 3.0
    values = np.array([0.0, 2.0, 4.0, 1.0], np.float32)
    more, less = values > 1, values < 3
    found = tf.Session().run(
        [low & high, low | high, ~low, low ^ high, low & True, False | low], {x: values}
    )
    right = [more & less, more | less, ~more, more ^ less, more, more]
    for mine, expected in zip(found, right):
        np.testing.assert_array_equal(mine, expected)
    for wrong in (lambda: x & low, lambda: ~x, lambda: low | x):
        with pytest.raises(DTypeError, match=r"are for bools; got float32.*tf\.bool"):
            wrong()


def test_filled_and_converted_tensors() -> None:
    x = tf.convert_to_tensor([[1, 2]], dtype=tf.float64, name="x")
    assert x.dtype is tf.float64 and tf.convert_to_tensor(x) is x
    with pytest.raises(DTypeError, match="a tensor has its dtype; got float64; expected"):
        tf.convert_to_tensor(x, dtype=tf.float32)
    found = tf.Session().run([tf.fill([2, 3], 7), tf.fill(dims=[2], value=tf.constant(1.5)), x])
    for mine, right in zip(found, [np.full((2, 3), 7), np.full(2, 1.5), [[1.0, 2.0]]]):
        np.testing.assert_array_equal(mine, right)


def test_a_target_is_among_the_best_k() -> None:
    scores = np.array([[0.1, 0.5, 0.4], [0.9, 0.05, 0.05], [0.3, 0.3, 0.3]], np.float32)
    session, targets = tf.Session(), [2, 1, 0]
    for k, right in ((1, [False, False, True]), (2, [True, True, True])):
        np.testing.assert_array_equal(session.run(tf.nn.in_top_k(scores, targets, k)), right)
    with pytest.raises(ShapeError, match="the number of classes is needed"):
        tf.nn.in_top_k(tf.placeholder(tf.float32, [None, None]), targets, 1)


@pytest.mark.parametrize("shape", [(4,), (2, 3, 4), (2, 1, 3, 4)])
def test_sparse_cross_entropy_over_the_last_axis(shape: tuple[int, ...]) -> None:
    rng = np.random.RandomState(0)
    scores, labels = rng.randn(*shape), rng.randint(0, 4, shape[:-1])
    x = tf.placeholder(tf.float64, (None, *shape[1:]) if len(shape) > 1 else shape)
    y = tf.placeholder(tf.int32)
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=x)
    found = tf.Session().run([loss, tf.gradients(loss, x)[0]], {x: scores, y: labels})
    given = torch.tensor(scores.reshape(-1, 4), requires_grad=True)
    right = torch.nn.functional.cross_entropy(
        given, torch.tensor(labels.reshape(-1)), reduction="none"
    )
    right.sum().backward()
    np.testing.assert_allclose(found[0], right.detach().numpy().reshape(shape[:-1]))
    np.testing.assert_allclose(found[1], given.grad.numpy().reshape(shape), atol=1e-12)
    with pytest.raises(ShapeError, match="the number of classes is needed"):
        tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=y, logits=tf.placeholder(tf.float32, [None, None, 4])
        )


def layer(size: int = 2) -> tf.Variable:
    return tf.get_variable("w", [size], initializer=tf.zeros_initializer())


def test_variables_are_shared_from_the_middle_of_a_scope_on() -> None:
    with tf.variable_scope("net") as scope:
        first = layer()
        scope.reuse_variables()
        assert layer().value.node is first.value.node
        tf.get_variable_scope().reuse_variables()
    assert scope.name == "net" and tf.get_variable_scope().name == ""
    with tf.variable_scope("net"), pytest.raises(GraphError, match="a variable 'net/w' already"):
        layer()
    with tf.variable_scope(scope, reuse=True):
        assert layer().value.node is first.value.node
        with tf.variable_scope("inner", reuse=False), pytest.raises(GraphError, match="to reuse"):
            layer()
    with tf.variable_scope("other"), tf.variable_scope(scope, reuse=True) as again:
        assert again.name == "net" and layer().value.node is first.value.node


def test_reuse_as_needed() -> None:
    made = []
    for _ in range(2):
        with tf.variable_scope("net", reuse=tf.AUTO_REUSE):
            made.append(layer())
            with tf.variable_scope("deeper"):
                made.append(layer(3))
    assert [v.name for v in made] == ["net/w", "net/deeper/w"] * 2
    assert len(tf.global_variables()) == 2
    with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE):
        assert layer().name == layer().name == "w"
    dense = [tf.layers.dense(np.ones((1, 2), "float32"), 2, name="d", reuse=tf.AUTO_REUSE)
             for _ in range(2)]  # fmt: skip
    assert len(dense) == 2 and len(tf.global_variables()) == 5
