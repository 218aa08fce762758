"""Batch normalisation: by the batch, by moving statistics, in either layout, as a formula."""

import numpy as np
import pytest
import torch

import tinyflow as tf
from tinyflow.errors import TinyflowError
from tinyflow.frontend.tf.scope import current_scope

from .images import nhwc, normal, run, variables_of


@pytest.fixture(autouse=True)
def _fresh_graph():
    tf.reset_default_graph()


def norm_network():
    """x -> batch_norm -> loss, with an optimizer; gamma 2 and beta 1."""
    x = tf.placeholder(tf.float32)
    y = tf.nn.batch_norm(x, name="bn", momentum=0.75, epsilon=0.001, data_format="NCHW")
    loss = tf.reduce_sum(tf.square(y))
    step = tf.train.GradientDescentOptimizer(0.0).minimize(loss)
    return x, y, loss, step


def started(net, known):
    """A session in which gamma is 2, beta 1 and the moving values are as they start."""
    session = tf.Session()
    found = variables_of(net, known)
    assert {name: shape for name, (_, shape) in found.items()} == {
        "bn_gamma": (3,),
        "bn_beta": (3,),
    }
    gamma, beta = (found[f"bn_{which}"][0] for which in ("gamma", "beta"))
    session.run([tf.assign(gamma, np.full(3, 2.0)), tf.assign(beta, np.ones(3))])
    session.run(tf.initialize_all_variables())
    return session


def test_training_normalises_by_the_batch_and_a_step_moves_the_statistics():
    x, y, _, step = norm_network()
    image = normal(4, 3, 5, 5) * 3 + 2
    session = started(y, {x: image.shape})
    mean, variance = image.mean((0, 2, 3)), image.var((0, 2, 3))
    each = (slice(None), None, None)
    expected = 2 * (image - mean[each]) / np.sqrt(variance[each] + 0.001) + 1
    np.testing.assert_allclose(session.run(y, {x: image}), expected, rtol=1e-4, atol=1e-4)
    state = {name: tf.Variable.of(node) for name, node in _all_variables().items()}
    moving = [state["bn_moving_mean"], state["bn_moving_variance"]]
    np.testing.assert_array_equal(session.run(moving), [np.zeros(3), np.ones(3)])
    for _ in range(2):
        session.run(step, {x: image})
    kept = 0.75**2
    moved = [(1 - kept) * mean, kept + (1 - kept) * variance]
    np.testing.assert_allclose(session.run(moving), moved, rtol=1e-4)


def _all_variables():
    return current_scope().variables()


def test_inference_uses_the_moving_statistics_and_moves_nothing():
    x, y, _, step = norm_network()
    image, other = normal(4, 3, 5, 5) * 3 + 2, normal(1, 3, 2, 2)
    tested = tf.nn.inference(y)
    session = started(y, {x: image.shape})
    np.testing.assert_allclose(
        session.run(tested, {x: other}), 2 * other / np.sqrt(1.001) + 1, rtol=1e-5, atol=1e-5
    )
    for _ in range(60):
        session.run(step, {x: image})
    mean, variance = image.mean((0, 2, 3))[:, None, None], image.var((0, 2, 3))[:, None, None]
    expected = 2 * (other - mean) / np.sqrt(variance + 0.001) + 1
    for _ in range(2):
        np.testing.assert_allclose(session.run(tested, {x: other}), expected, rtol=1e-3, atol=1e-3)


def test_a_placeholder_may_switch_between_training_and_inference():
    x, training = tf.placeholder(tf.float32), tf.placeholder(tf.bool, [])
    settings = {"momentum": 0.5, "epsilon": 0.001, "data_format": "NCHW"}
    y = tf.nn.batch_norm(x, training=training, name="bn", **settings)
    step = tf.train.GradientDescentOptimizer(0.01).minimize(tf.reduce_sum(tf.square(y)))
    image = normal(4, 3, 5, 5) + 1
    session = started(y, {x: image.shape})
    on, off = {x: image, training: True}, {x: image, training: False}
    expected = 2 * image / np.sqrt(1.001) + 1
    np.testing.assert_allclose(session.run(y, off), expected, rtol=1e-5, atol=1e-5)
    assert abs(session.run(y, on).mean() - 1) < 1e-5
    state = [tf.Variable.of(_all_variables()[f"bn_moving_{w}"]) for w in ("mean", "variance")]
    session.run(step, off)
    np.testing.assert_array_equal(session.run(state), [np.zeros(3), np.ones(3)])
    session.run(step, on)
    np.testing.assert_allclose(session.run(state[0]), 0.5 * image.mean((0, 2, 3)), rtol=1e-4)


def test_a_layer_in_inference_from_the_start_takes_given_statistics():
    x, image = tf.placeholder(tf.float32), normal(2, 3, 4, 4)
    given = [tf.Variable(np.float32([k, k + 1, k + 2])) for k in (1, 2, 3, 4)]
    gamma, beta, mean, variance = given
    moving = {"moving_mean": mean, "moving_variance": variance}
    y = tf.nn.batch_norm(x, gamma, beta, **moving, training=False, data_format="NCHW")
    session = tf.Session()
    session.run(tf.initialize_all_variables())
    g, b, m, v = (np.arange(k, k + 3)[:, None, None] for k in (1, 2, 3, 4))
    expected = g * (image - m) / np.sqrt(v + 1e-5) + b
    np.testing.assert_allclose(session.run(y, {x: image}), expected, rtol=1e-4, atol=1e-4)


def test_batch_normalisation_follows_the_layout_of_its_images():
    x, image = tf.placeholder(tf.float32), normal(2, 3, 4, 5)
    y = tf.nn.batch_norm(x, data_format="NHWC", name="bn")
    found = variables_of(y, {x: (2, 4, 5, 3)})
    state = {v: np.ones(shape) for v, shape in found.values()}
    got = run(tf.nn.relu(y), {x: nhwc(image)}, {**state, **_moving()})
    expected = torch.nn.functional.batch_norm(torch.from_numpy(image), None, None, None, None, True)
    np.testing.assert_allclose(got, nhwc((expected + 1).relu().numpy()), rtol=1e-4, atol=1e-4)


def _moving():
    names = ("bn_moving_mean", "bn_moving_variance")
    return {tf.Variable.of(_all_variables()[name]): np.ones(3) for name in names}


def test_rows_are_normalised_by_column():
    x, data = tf.placeholder(tf.float32), normal(20, 5)
    hidden = tf.nn.linear(x, num_hidden=3, name="fc")
    y = tf.nn.batch_norm(hidden, name="bn", epsilon=0.0)
    found = variables_of(y, {x: data.shape})
    state = {v: np.ones(shape) for name, (v, shape) in found.items() if name != "fc_weight"}
    weight = normal(3, 5)
    got = run(y, {x: data}, {**state, found["fc_weight"][0]: weight, **_moving()})
    plain = data @ weight.T
    expected = (plain - plain.mean(0)) / plain.std(0) + 1
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_tensorflows_batch_normalization_is_a_formula():
    x, m, v, b, g = normal(4, 3), normal(3), np.float32([1, 2, 3]), normal(3), normal(3)
    got = run(tf.nn.batch_normalization(tf.constant(x), m, v, b, g, 0.01))
    np.testing.assert_allclose(got, g * (x - m) / np.sqrt(v + 0.01) + b, rtol=1e-5, atol=1e-5)
    plain = run(tf.nn.batch_normalization(tf.constant(x), m, v, None, None, 0.01))
    np.testing.assert_allclose(plain, (x - m) / np.sqrt(v + 0.01), rtol=1e-5, atol=1e-5)


def test_tinyflows_batch_normalization_is_a_layer():
    x = tf.placeholder(tf.float32)
    y = tf.nn.batch_normalization(x, name="norm")
    assert set(variables_of(y, {x: (2, 5, 3, 3)})) == {"norm_gamma", "norm_beta"}


def test_a_run_without_moving_statistics_says_how_to_start_them():
    x, y, _, step = norm_network()
    found = variables_of(y, {x: (2, 3, 4, 4)})
    session = tf.Session()
    session.run([tf.assign(v, np.ones(shape)) for v, shape in found.values()])
    with pytest.raises(TinyflowError, match=r"bn_moving_\w+.*initialize_all_variables"):
        session.run(step, {x: normal(2, 3, 4, 4)})
