"""Images whose channels are neighbours, among all that is not so laid out: as numpy computes it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinyflow as tf

ORDINARY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
Array = np.ndarray
Pair = tuple[tf.Tensor, Array]  # what the engine is told, and what numpy has computed

IMAGE = (2, 3, 4, 4)
BESIDE = (
    *((), (1,), (1, 1, 1, 1), (4,), (4, 1), (4, 4), (3, 1, 1), (1, 3, 1, 1), (2, 1, 1, 1)),
    *((2, 3, 1, 1), (2, 1, 4, 4), (1, 3, 4, 4), (3, 4, 4), (2, 3, 4, 1), IMAGE),
)
UNARY: list[tuple[Callable[..., tf.Tensor], Callable[[Array], Array]]] = [
    (tf.tanh, np.tanh),
    (tf.nn.relu, lambda a: np.maximum(a, 0)),
    (lambda x: -x, lambda a: -a),
    (lambda x: x * 0.5 + 1.0, lambda a: a * 0.5 + 1),
    (lambda x: tf.reduce_sum(x, [2, 3]), lambda a: a.sum((2, 3))),
    (lambda x: tf.reduce_mean(x, [0, 1]), lambda a: a.mean((0, 1))),
    (lambda x: tf.reshape(x, [6, -1]), lambda a: a.reshape(6, -1)),
]
BINARY = [(tf.add, np.add), (tf.subtract, np.subtract), (tf.multiply, np.multiply)]


def windows(x: tf.Tensor) -> tf.Tensor:
    return tf.nn.max_pool(x, ksize=[1, 3, 3, 1])


def largest(a: Array) -> Array:
    """The largest of each window of 3 x 3 whose middle is in the image."""
    wide = np.pad(a, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    return np.max([wide[:, :, i : i + 4, j : j + 4] for i, j in np.ndindex(3, 3)], axis=0)


class Picture:
    """A graph of images; what numpy makes of it is computed at once."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.feeds: dict[tf.Tensor, Array] = {}
        self.variables: list[tf.Variable] = []
        self.writes: list[Pair] = []
        self.made = [self.pooled(self.leaf(IMAGE))]
        for _ in range(draw(st.integers(1, 8))):
            self.made.append(self.step())
        if self.variables and draw(st.booleans()):
            self.write()

    def leaf(self, shape: tuple[int, ...]) -> Pair:
        """A number or array that is fed, kept in a variable or written into the graph."""
        array = self.rng.uniform(-1, 1, shape).astype(np.float32)
        kind = self.draw(st.sampled_from(["feed", "unknown feed", "variable", "constant"]))
        if kind == "variable":
            self.variables.append(tf.Variable(array))
            return self.variables[-1], array
        if kind == "constant":
            return tf.constant(array), array
        x = tf.placeholder(tf.float32, shape if kind == "feed" else None)
        self.feeds[x] = array
        return x, array

    def pooled(self, pair: Pair) -> Pair:
        return windows(pair[0]), largest(pair[1])

    def step(self) -> Pair:
        """From here on arrays may have any layout and up to four axes."""
        x, a = self.draw(st.sampled_from(self.made))
        kind = self.draw(st.integers(0, 9))
        if kind == 0 and a.shape == IMAGE:
            return self.pooled((x, a))
        if kind == 1 and a.shape == IMAGE:
            return self.normalised(x, a)
        if kind < 4:
            op, numpy = self.draw(st.sampled_from(UNARY if a.shape == IMAGE else UNARY[:4]))
            return op(x), numpy(a)
        known = [p for p in self.made if p[1].shape == a.shape]
        other = self.leaf(self.draw(st.sampled_from(BESIDE))) if kind < 8 else None
        y, b = other or self.draw(st.sampled_from(known))
        try:
            np.broadcast_shapes(a.shape, b.shape)
        except ValueError:
            return tf.tanh(x), np.tanh(a)
        op, numpy = self.draw(st.sampled_from(BINARY))
        return op(x, y), numpy(a, b)

    def normalised(self, x: tf.Tensor, a: Array) -> Pair:
        """By the batch or by moving values, as a placeholder says."""
        training, on = tf.placeholder(tf.bool, []), self.draw(st.booleans())
        self.feeds[training] = np.array(on)
        gamma, beta, mean = (tf.Variable(np.full(3, k, np.float32)) for k in (2, 1, 0.5))
        variance = tf.Variable(np.ones(3, np.float32))
        self.variables += [gamma, beta, mean, variance]
        moving = {"moving_mean": mean, "moving_variance": variance}
        y = tf.nn.batch_norm(x, gamma, beta, **moving, training=training, epsilon=0.5)
        each = {"axis": (0, 2, 3), "keepdims": True}
        m, v = (a.mean(**each), a.var(**each)) if on else (0.5, 1.0)
        return y, 2 * (a - m) / np.sqrt(v + 0.5) + 1

    def write(self) -> None:
        """Give a variable what was computed, if something fits."""
        x, a = self.draw(st.sampled_from(self.made))
        fits = [v for v in self.variables if tuple(v.shape or ()) == a.shape]
        if fits:
            self.writes.append((tf.assign(fits[0], x), a))


@pytest.mark.parametrize("config", ["cpu", "cpu fusion", "numpy", "cpu fusion recompute"])
@ORDINARY
@given(data=st.data())
def test_images_among_rows_vectors_and_numbers(config: str, data: st.DataObject) -> None:
    with tf.Graph().as_default():
        picture = data.draw(st.composite(Picture)())
        session = tf.Session(config)
        session.run([v.initializer for v in picture.variables])
        pairs = [*picture.made[-3:], *picture.writes]
        results = session.run([tensor for tensor, _ in pairs], picture.feeds)
        for result, (_, array) in zip(results, pairs):
            np.testing.assert_allclose(result, array, rtol=1e-3, atol=1e-4)
