"""Functions of TensorFlow 1 that are made of other ops, and sharing of variables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import tinyflow as tf
from tinyflow.errors import GraphError

Array = np.ndarray[Any, Any]


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
    ("softplus", tf.nn.softplus, torch.nn.functional.softplus),
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
