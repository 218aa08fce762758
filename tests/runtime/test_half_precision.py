"""float16 and bfloat16 on this processor: networks compute in them, and edges are named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import tinyflow as tf
from tinyflow.errors import DTypeError, FeedError
from tinyflow.types import DType

ROADS = ["cpu", "cpu fusion", "cpu recompute", "cpu interpret"]
HALVES = [tf.float16, tf.bfloat16]
EACH = [(road, half) for half in HALVES for road in ROADS]
EACH += [("numpy", tf.float16)]  # numpy has no bfloat16
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _fresh_graph() -> None:
    tf.reset_default_graph()


def close(found: Any, expected: Any, dtype: DType) -> None:
    """As close as eight or eleven binary digits allow after a few operations."""
    tolerance = 2e-2 if dtype is tf.float16 else 1e-1
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


OPS: list[tuple[str, Any, Any]] = [
    ("arithmetic", lambda x: (x * 2.0 - 1.0) / (x * x + 3.0), lambda x: (2 * x - 1) / (x * x + 3)),
    (
        "functions",
        lambda x: tf.exp(tf.tanh(x)) + tf.sigmoid(x),
        lambda x: x.tanh().exp() + x.sigmoid(),
    ),
    (
        "roots",
        lambda x: tf.sqrt(tf.abs(x)) + tf.log(x * x + 1),
        lambda x: x.abs().sqrt() + (x * x + 1).log(),
    ),
    ("choices", lambda x: tf.where(x > 0, x, -x * 0.5), lambda x: torch.where(x > 0, x, -x * 0.5)),
    ("product", lambda x: tf.matmul(x, x, transpose_b=True), lambda x: x @ x.T),
    ("sums", lambda x: tf.reduce_sum(x, 1) + tf.reduce_mean(x), lambda x: x.sum(1) + x.mean()),
    (
        "extremes",
        lambda x: tf.reduce_max(x, 0) - tf.reduce_min(x, 0),
        lambda x: x.amax(0) - x.amin(0),
    ),
    ("factors", lambda x: tf.reduce_prod(x[:, :3], 1), lambda x: x[:, :3].prod(1)),
    (
        "softmax",
        lambda x: tf.nn.softmax(x) + tf.nn.log_softmax(x),
        lambda x: x.softmax(-1) + x.log_softmax(-1),
    ),
    ("gelu", lambda x: tf.nn.gelu(x), torch.nn.functional.gelu),
    (
        "layout",
        lambda x: tf.transpose(tf.reshape(x, [2, 8, 3])),
        lambda x: x.reshape(2, 8, 3).permute(2, 1, 0),
    ),
    ("parts", lambda x: tf.concat([x[1:], x[:1] * 2], 0), lambda x: torch.cat([x[1:], x[:1] * 2])),
    ("running sums", lambda x: tf.cumsum(x, 1), lambda x: x.cumsum(1)),
]


@pytest.mark.parametrize(("road", "half"), EACH, ids=str)
@pytest.mark.parametrize(("name", "make", "oracle"), OPS, ids=[name for name, _, _ in OPS])
def test_an_op_and_its_gradient_are_near_those_in_double_precision(
    road: str, half: DType, name: str, make: Any, oracle: Any
) -> None:
    given = np.round(RNG.uniform(0.25, 1.5, (4, 12)) * RNG.choice([-1, 1], (4, 12)) * 64) / 64
    x = tf.placeholder(tf.float32, [4, 12])
    low = tf.cast(x, half)
    y = make(low)
    assert y.dtype is half
    (slope,) = tf.gradients(y, [low])
    assert slope.dtype is half
    t = torch.tensor(given, requires_grad=True)
    expected = oracle(t)
    expected.sum().backward()
    found = tf.Session(road).run([tf.cast(y, tf.float32), tf.cast(slope, tf.float32)], {x: given})
    close(found[0], expected.detach(), half)
    close(found[1], t.grad, half)


@pytest.mark.parametrize(("road", "half"), EACH, ids=str)
def test_a_network_of_images_learns(road: str, half: DType) -> None:
    x, label = tf.placeholder(tf.float32, [8, 1, 8, 8]), tf.placeholder(tf.int64, [8])

    def weight(*shape: int) -> tf.Variable:
        return tf.Variable(tf.cast(tf.constant(RNG.normal(0, 0.3, shape)), half))

    h = tf.nn.conv2d(tf.cast(x, half), num_filter=4, ksize=[1, 3, 3, 1], weight=weight(4, 1, 3, 3))
    h = tf.nn.max_pool(tf.nn.relu(h), [1, 2, 2, 1], [1, 2, 2, 1], "VALID")
    logits = tf.nn.linear(tf.nn.flatten_layer(h), weight(2, 64), num_hidden=2)
    assert logits.dtype is half
    loss = tf.nn.mean_sparse_softmax_cross_entropy_with_logits(tf.cast(logits, tf.float32), label)
    step = tf.train.MomentumOptimizer(0.1, 0.9).minimize(loss)
    sess = tf.Session(road)
    sess.run(tf.initialize_all_variables())
    images, labels = RNG.normal(size=(8, 1, 8, 8)), np.arange(8) % 2
    images[labels == 1, :, :4] += 1.0
    first = sess.run(loss, {x: images, label: labels})
    for _ in range(30):
        sess.run(step, {x: images, label: labels})
    assert sess.run(loss, {x: images, label: labels}) < first / 4


@pytest.mark.parametrize("road", [*ROADS, "numpy"])
def test_float16_is_fed_and_fetched(road: str) -> None:
    x = tf.placeholder(tf.float16, [3])
    found = tf.Session(road).run(x * 2.0, {x: [0.5, 1.0, 60000.0]})
    assert found.dtype == np.float16 and found.tolist() == [1.0, 2.0, np.inf]


@pytest.mark.parametrize("road", ROADS)
def test_bfloat16_is_neither_fed_nor_fetched_and_the_errors_say_what_to_do(road: str) -> None:
    x, low = tf.placeholder(tf.float32, [2], name="x"), tf.placeholder(tf.bfloat16, [2], name="low")
    sess, w = tf.Session(road), tf.Variable(0.0, name="w")
    sess.run(tf.initialize_all_variables())
    y = tf.identity(tf.cast(x, tf.bfloat16) * 2.0, name="y")
    match = r"mul .*bfloat16 to fetch; got bfloat16; expected float16.*tf\.cast\(x, tf\.float32\)"
    with pytest.raises(DTypeError, match=match.replace("mul", "identity 'y'")):
        sess.run([tf.assign(w, 1.0), y], {x: [1, 2]})
    assert sess.run(w) == 0.0  # nothing was written
    with pytest.raises(FeedError, match=r"placeholder 'low'.*no bfloat16 to feed.*tf\.cast it"):
        sess.run(tf.cast(low, tf.float32), {low: [1.0, 2.0]})
    assert sess.run(tf.cast(y, tf.float32), {x: [1, 2]}).tolist() == [2.0, 4.0]


@pytest.mark.parametrize("road", ["numpy", "numpy interpret"])
def test_numpy_names_the_node_that_would_compute_in_bfloat16(road: str) -> None:
    x = tf.placeholder(tf.float32, [2], name="x")
    y = tf.cast(tf.cast(x, tf.bfloat16, name="low") * 2.0, tf.float32)
    match = r"cast \(test_half_precision.*numpy does not compute in bfloat16; got bfl.*'numpy'"
    with pytest.raises(DTypeError, match=rf"{match}.*'cpu' or 'gpu'.*tf\.Session\('cpu'\)"):
        tf.Session(road).run(y, {x: [1, 2]})
