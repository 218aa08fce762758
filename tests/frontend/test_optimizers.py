"""Optimizers against their formulas in numpy, and against torch where it uses the same ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

import tinyflow as tf
from tinyflow.errors import GradientError, GraphError

START = np.array([1.0, -2.0, 0.5])
SCALE = np.array([1.0, 0.1, 4.0])
STEPS = 6


@pytest.fixture(autouse=True)
def _fresh_graph() -> None:
    tf.reset_default_graph()


def ours(optimizer: Any) -> np.ndarray:
    """STEPS steps on the sum of SCALE * w ** 3, in double precision."""
    w = tf.Variable(START, name="w")
    step = optimizer.minimize(tf.reduce_sum(SCALE * w * w * w))
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        for _ in range(STEPS):
            sess.run(step)
        return sess.run(w)


def slopes(update: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """The same steps, each by ``update(w, dw) -> w``."""
    w = START.copy()
    for _ in range(STEPS):
        w = update(w, 3 * SCALE * w**2)
    return w


def torches(make: Callable[[Iterator[Any]], torch.optim.Optimizer]) -> np.ndarray:
    w = torch.tensor(START, requires_grad=True)
    optimizer = make(iter([w]))
    for _ in range(STEPS):
        optimizer.zero_grad()
        (torch.from_numpy(SCALE) * w**3).sum().backward()
        optimizer.step()
    return w.detach().numpy()


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_is_that_of_torch(nesterov: bool) -> None:
    made = ours(tf.train.MomentumOptimizer(0.01, 0.9, use_nesterov=nesterov))
    theirs = torches(lambda w: torch.optim.SGD(w, 0.01, momentum=0.9, nesterov=nesterov))
    np.testing.assert_allclose(made, theirs, rtol=1e-12)


def test_adagrad_is_that_of_torch_from_tensorflows_start() -> None:
    made = ours(tf.train.AdagradOptimizer(0.1))
    theirs = torches(lambda w: torch.optim.Adagrad(w, 0.1, initial_accumulator_value=0.1, eps=0.0))
    np.testing.assert_allclose(made, theirs, rtol=1e-12)


@pytest.mark.parametrize("momentum", [0.0, 0.8])
@pytest.mark.parametrize("centered", [False, True])
def test_rmsprop_follows_tensorflows_rule(momentum: float, centered: bool) -> None:
    s, a, m = np.ones(3), np.zeros(3), np.zeros(3)

    def update(w: np.ndarray, dw: np.ndarray) -> np.ndarray:
        s[:] = 0.9 * s + 0.1 * dw**2
        m[:] = 0.9 * m + 0.1 * dw
        inner = s - m**2 if centered else s
        a[:] = momentum * a + 0.01 * dw / np.sqrt(inner + 1e-10)
        return w - a

    made = ours(tf.train.RMSPropOptimizer(0.01, momentum=momentum, centered=centered))
    np.testing.assert_allclose(made, slopes(update), rtol=1e-12)


def test_a_learning_rate_may_be_a_tensor() -> None:
    rate = tf.Variable(np.array(0.01), trainable=False)
    made = ours(tf.train.GradientDescentOptimizer(rate * 2.0))
    np.testing.assert_allclose(made, slopes(lambda w, dw: w - 0.02 * dw), rtol=1e-12)


@pytest.mark.parametrize(("staircase", "rates"), [(False, [1, 2**-0.5, 0.5]), (True, [1, 1, 0.5])])
def test_a_rate_decays_with_the_global_step(staircase: bool, rates: list[float]) -> None:
    step = tf.Variable(0, trainable=False)
    rate = tf.train.exponential_decay(1.0, step, 2, 0.5, staircase)
    w = tf.Variable(0.0)
    train = tf.train.GradientDescentOptimizer(rate).minimize(-1.0 * w, global_step=step)
    sess = tf.Session()
    sess.run(tf.global_variables_initializer())
    for expected in rates:
        before = sess.run(w)
        sess.run(train)
        np.testing.assert_allclose(sess.run(w) - before, expected, rtol=1e-6)


def test_gradients_can_be_changed_between_computing_and_applying() -> None:
    w, v = tf.Variable(2.0, name="w"), tf.Variable(1.0, name="v")
    steps = tf.Variable(0, trainable=False)
    optimizer = tf.train.GradientDescentOptimizer(1.0)
    pairs = optimizer.compute_gradients(w * w + v, [w, v])
    assert [variable.name for _, variable in pairs] == ["w", "v"]
    changed = [(None, v), (tf.stop_gradient(pairs[0][0]) * 0.25, w)]
    step = optimizer.apply_gradients(changed, global_step=steps)
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        sess.run(step)
        assert sess.run([w, v, steps]) == [1.0, 1.0, 1]


def test_nothing_to_apply_is_an_error() -> None:
    w = tf.Variable(2.0)
    with pytest.raises(GradientError, match="no gradient to apply; expected pairs"):
        tf.train.GradientDescentOptimizer(1.0).apply_gradients([(None, w)])


def test_slots_wait_for_nothing() -> None:
    x = tf.placeholder(tf.float32, name="x")
    w, seen = tf.Variable(1.0), tf.Variable(0.0, trainable=False)
    with tf.control_dependencies([tf.assign(seen, x)]):
        step = tf.train.AdamOptimizer(0.1).minimize(w * w)
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())  # needs no x
        sess.run(step, {x: 3.0})
        assert sess.run(seen) == 3.0


def test_clipping_scales_all_by_one_factor_and_only_above_the_norm() -> None:
    x, y = np.array([3.0, 0.0]), np.array([[4.0]])
    long, norm = tf.clip_by_global_norm([tf.constant(x), None, tf.constant(y)], 2.5)
    short, _ = tf.clip_by_global_norm([tf.constant(x), tf.constant(y)], 50.0)
    with tf.Session() as sess:
        assert sess.run(norm) == 5.0 == sess.run(tf.global_norm([tf.constant(x), tf.constant(y)]))
        np.testing.assert_allclose(sess.run(long[0]), x / 2)
        np.testing.assert_allclose(sess.run(long[2]), y / 2)
        assert long[1] is None
        np.testing.assert_array_equal(sess.run(short[0]), x)
        np.testing.assert_array_equal(sess.run(short[1]), y)
    with pytest.raises(GraphError, match="no tensor to take the norm of"):
        tf.global_norm([None])
