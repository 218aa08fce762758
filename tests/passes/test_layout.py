"""Layout: images and filters with neighbouring channels, and nobody notices but the clock."""

from __future__ import annotations

import numpy as np
import pytest

import tinyflow as tf
from tinyflow import ops
from tinyflow.ir import Graph, Value
from tinyflow.passes import STANDARD, STRIDES, infer, layout
from tinyflow.passes.layout import channels_last

X = ops.placeholder(dtype="float32", shape=(2, 3, 8, 8), name="x")
W = ops.variable(dtype="float32", shape=(4, 3, 3, 3), name="w")


def strides(*outputs: Value) -> dict[Value, tuple[int, ...]]:
    return dict(layout(infer(Graph(outputs))).fact(STRIDES))


def test_channels_of_a_pixel_are_neighbours() -> None:
    array = np.zeros((2, 8, 9, 3), np.int8).transpose(0, 3, 1, 2)  # NHWC in memory
    assert channels_last(array.shape) == array.strides


def test_images_filters_and_what_follows_them_elementwise_change_layout() -> None:
    image = ops.conv2d(X, W)
    follows = ops.tanh(ops.add(image, 1.0))
    flat = ops.reshape(follows, shape=(2, -1))
    found = strides(flat)
    assert found[image] == channels_last((2, 4, 6, 6)) == found[follows]
    assert found[W] == channels_last((4, 3, 3, 3))
    assert X not in found
    assert flat not in found


def test_other_arrays_with_four_axes_stay_row_major() -> None:
    assert strides(ops.tanh(X), ops.softmax(X, axis=-1)) == {}


def test_a_filter_that_is_computed_agrees_with_its_variable() -> None:
    scale = ops.placeholder(dtype="float32", shape=(4, 1, 1, 1), name="scale")
    scaled = ops.mul(W, scale)
    found = strides(ops.conv2d(X, scaled))
    assert found[scaled] == found[W] == channels_last((4, 3, 3, 3))
    assert scale not in found


def test_what_updates_a_filter_agrees_with_it() -> None:
    average = ops.variable(dtype="float32", shape=(4, 3, 3, 3), name="w_m")
    slope = ops.conv2d_weight_grad(ops.conv2d(X, W), X, W)
    write = ops.assign(average, ops.add(ops.mul(average, 0.9), slope))
    found = strides(write)
    assert found[average] == found[slope] == found[write] == channels_last((4, 3, 3, 3))


def network(config: str, **kwargs: object) -> tuple[list[float], dict[str, np.ndarray]]:
    """Losses and variables of four steps of a small convolution network."""
    tf.reset_default_graph()
    rng = np.random.default_rng(0)
    x, y = tf.placeholder(tf.float32, [4, 3, 12, 12]), tf.placeholder(tf.int64, [4])
    h = tf.nn.conv2d(x, num_filter=6, ksize=[1, 3, 3, 1], no_bias=False, name="c1")
    h = tf.nn.max_pool(tf.tanh(h), ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1])
    h = tf.nn.conv2d(h, num_filter=5, ksize=[1, 3, 3, 1], name="c2") + 0.5
    logits = tf.nn.linear(tf.nn.flatten_layer(tf.nn.relu(h)), num_hidden=7, name="fc")
    loss = tf.nn.mean_sparse_softmax_cross_entropy_with_logits(logits, y)
    train = tf.train.AdamOptimizer(0.01).minimize(loss)
    feeds = {x: rng.standard_normal((4, 3, 12, 12)).astype(np.float32), y: np.array([0, 3, 6, 1])}
    session = tf.Session(config, **kwargs)  # type: ignore[arg-type]
    known = {x: [4, 3, 12, 12], y: [4]}
    variables = list(tf.infer_variable_shapes(loss, feed_dict=known))
    start = [tf.assign(v, rng.normal(size=s).astype(np.float32) * 0.2) for v, _, s in variables]
    session.run(start)
    session.run(tf.initialize_all_variables())
    losses = [float(session.run([loss, train], feeds)[0]) for _ in range(4)]
    image = session.run(h, feeds)
    assert image.flags.c_contiguous
    state = {name: session.variable(name) for _, name, _ in variables}
    return losses, {**state, "image": image}


@pytest.mark.parametrize("config", ["cpu", "cpu fusion", "cpu fusion recompute"])
def test_results_are_those_of_the_row_major_network(config: str) -> None:
    losses, state = network(config)
    expected_losses, expected = network("cpu", pipeline=STANDARD.without("layout"))
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-4)
    for name, array in expected.items():
        np.testing.assert_allclose(state[name], array, rtol=2e-3, atol=2e-4, err_msg=name)
        assert state[name].flags.c_contiguous


def test_a_filter_that_another_program_made_is_laid_out_again() -> None:
    tf.reset_default_graph()
    start = np.random.default_rng(0).integers(-9, 9, (4, 3, 3, 3)).astype(np.float32)
    w = tf.Variable(start, name="filter")
    x = tf.placeholder(tf.float32, [1, 3, 5, 5])
    image = tf.nn.conv2d(x, num_filter=4, ksize=[1, 3, 3, 1], weight=w)
    bump = tf.assign(w, w + 1.0)
    session = tf.Session()
    session.run(tf.initialize_all_variables())
    np.testing.assert_array_equal(session.run(bump), start + 1)
    session.run(image, {x: np.ones((1, 3, 5, 5), np.float32)})  # lays the filter out
    np.testing.assert_array_equal(session.variable("filter"), start + 1)
    np.testing.assert_array_equal(session.run(bump), start + 2)  # not into the old array
    np.testing.assert_array_equal(session.variable("filter"), start + 2)
    ones = session.run(image, {x: np.ones((1, 3, 5, 5), np.float32)})
    np.testing.assert_allclose(ones[0, :, 1, 1], (start + 2).sum((1, 2, 3)), rtol=1e-5)


@pytest.mark.parametrize("config", ["cpu", "cpu fusion"])
def test_a_number_beside_an_image_has_no_layout(config: str) -> None:
    tf.reset_default_graph()
    x, scale = tf.placeholder(tf.float32, [2, 3, 8, 8]), tf.placeholder(tf.float32, [])
    on = tf.placeholder(tf.bool, [])
    y = tf.tanh(tf.nn.avg_pool(x, [1, 2, 2, 1], [1, 2, 2, 1]) * scale)
    ones, zeros = (tf.Variable(np.full(3, k, np.float32)) for k in (1, 0))
    moving = {"moving_mean": ones, "moving_variance": ones}
    z = tf.nn.relu(tf.nn.batch_norm(y, ones, zeros, **moving, training=on, epsilon=3.0))
    given = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)
    feeds = {x: given, scale: 2.0, on: False}
    session = tf.Session(config)
    session.run([ones.initializer, zeros.initializer])
    got = session.run([y, z], feeds)
    pooled = np.tanh(2 * given.reshape(2, 3, 4, 2, 4, 2).mean((3, 5)))
    np.testing.assert_allclose(got[0], pooled, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(got[1], np.maximum(pooled / 2 - 0.5, 0), rtol=1e-4, atol=1e-6)


def test_a_kernel_that_stretches_a_number_over_an_image_keeps_its_layout() -> None:
    rng = np.random.default_rng(0)
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [2, 3, 6, 6], name="x")
        weight = tf.Variable(rng.normal(size=(4, 3, 3, 3)).astype("float32"))
        y = tf.nn.conv2d(x, num_filter=4, ksize=[1, 3, 3, 1], no_bias=True, weight=weight)
        (dy,) = tf.gradients(tf.reduce_mean(tf.tanh(y) * y), [weight])
        found = []
        for config in ("cpu fusion", "numpy"):
            session = tf.Session(config)
            session.run(tf.assign(weight, np.ones((4, 3, 3, 3), "float32")))
            found.append(
                session.run(dy, {x: np.arange(216, dtype="float32").reshape(x.shape) / 99})
            )
            if config == "cpu fusion":
                assert "k_fused" not in session.source()  # the generated kernel runs
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-6)
