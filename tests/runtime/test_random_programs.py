"""Programs that write variables between reads give what numpy gives, line by line."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinyflow as tf
from tinyflow.errors import GraphError

CONFIGS = ["cpu", "cpu fusion", "numpy", "cpu interpret", "cpu fusion recompute checkpoint"]
ORDINARY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
Array = np.ndarray
Pair = tuple[tf.Tensor, Array]  # what the engine is told, and what numpy has computed

UNARY: list[tuple[Callable[..., tf.Tensor], Callable[[Array], Array]]] = [
    (lambda x: x * 1.0, lambda x: x),
    (lambda x: x - 0.0, lambda x: x),
    (lambda x: -x, lambda x: -x),
    (lambda x: tf.constant(2.0) * 0.25 * x, lambda x: 0.5 * x),
    (tf.tanh, np.tanh),
    (tf.identity, lambda x: x),
    (tf.stop_gradient, lambda x: x),
    (lambda x: tf.cast(x, tf.float32), lambda x: x),
    (tf.transpose, np.transpose),
    (lambda x: tf.reshape(x, [4]), lambda x: x.reshape(4)),
    (lambda x: tf.reshape(x, [2, 2]), lambda x: x.reshape(2, 2)),
    (lambda x: tf.reshape(tf.reshape(x, [4, 1]), [2, 2]), lambda x: x.reshape(2, 2)),
    (lambda x: tf.nn.softmax(tf.reshape(x, [2, 2])), lambda x: softmax(x.reshape(2, 2))),
    (lambda x: loss(x)[0], lambda x: slope(x)[0]),
    (lambda x: loss(x)[1], lambda x: slope(x)[1]),
]


def loss(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """A loss of logits, as large as they are, and its gradient."""
    logits = tf.reshape(x, [2, 2])
    mean = tf.nn.mean_sparse_softmax_cross_entropy_with_logits(logits, tf.constant([1, 0]))
    return mean + logits * 0.0, tf.gradients(mean, [logits])[0]


def softmax(x: Array) -> Array:
    return np.exp(x) / np.exp(x).sum(1, keepdims=True)


def slope(x: Array) -> tuple[Array, Array]:
    p = softmax(x.reshape(2, 2))
    return -np.log([p[0, 1], p[1, 0]]).mean() + np.zeros((2, 2)), (p - np.eye(2)[::-1]) / 2


def product(a: tf.Tensor, b: tf.Tensor, c: tf.Tensor) -> tf.Tensor:
    return c - 0.5 * tf.matmul(a, tf.transpose(b))


class Program:
    """Lines that were told to the engine and computed by numpy at once."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        start = [rng.uniform(-1, 1, (2, 2)) for _ in range(3)]
        self.x = tf.placeholder(tf.float32, [2, 2])
        self.feed = {self.x: start[0]}
        self.variables = [tf.Variable(a.astype("float32")) for a in start[1:]]
        self.content = start[1:]
        self.made: list[Pair] = [(self.x, start[0])]
        self.writes: list[Pair] = []
        for _ in range(draw(st.integers(2, 10))):
            waits = draw(st.sampled_from([None, *self.writes]))
            with tf.control_dependencies([waits[0]]) if waits else nullcontext():
                self.line()

    def any(self, shape: tuple[int, ...] | None = None) -> Pair:
        """What was made before, or a variable as it is now."""
        now = [*self.made, *zip(self.variables, self.content)]
        return self.draw(st.sampled_from([p for p in now if shape in (None, p[1].shape)]))

    def line(self) -> None:
        kind = self.draw(st.integers(0, 9))
        if kind < 5:
            x, a = self.any()
            op, numpy = self.draw(st.sampled_from(UNARY))
            self.made.append((op(x), numpy(a)))
        elif kind < 7:
            (x, a), (y, b), (z, c) = (self.any((2, 2)) for _ in range(3))
            self.made.append((product(x, y, z), c - 0.5 * a @ b.T))
        else:
            at, (x, a) = self.draw(st.integers(0, 1)), self.any((2, 2))
            self.content[at] = np.tanh(a + 0.25) if kind == 9 else a
            new = tf.tanh(x + 0.25) if kind == 9 else x
            self.writes.append((tf.assign(self.variables[at], new), self.content[at]))
            self.made.append(self.writes[-1])


@pytest.mark.parametrize("config", CONFIGS)
@ORDINARY
@given(data=st.data())
def test_each_read_sees_the_write_before_it(config: str, data: st.DataObject) -> None:
    with tf.Graph().as_default():
        program = data.draw(st.composite(Program)())
        picked = data.draw(st.lists(st.sampled_from(program.made), min_size=1, max_size=4))
        fetches = [*picked, *program.writes, *zip(program.variables, program.content)]
        session = tf.Session(config)
        session.run([v.initializer for v in program.variables])
        try:
            results = session.run([tensor for tensor, _ in fetches], program.feed)
        except GraphError as error:
            assert "as it was before a write, and needs that write" in str(error)
            return
        for result, (_, array) in zip(results, fetches):
            np.testing.assert_allclose(result, array, rtol=1e-4, atol=1e-5)
