"""Names, shared variables, control dependencies, initialisers, and small TensorFlow 1 calls."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import tinyflow as tf
from tinyflow.errors import GraphError, ShapeError


@pytest.fixture(autouse=True)
def _fresh_graph() -> None:
    tf.reset_default_graph()


def test_a_name_scope_stands_in_front_of_names_and_counts_when_entered_again() -> None:
    with tf.name_scope("layer") as scope:
        w = tf.Variable(1.0, name="w")
        with tf.name_scope("inner"):
            y = tf.exp(w, name="y")
    with tf.name_scope("layer"):
        again = tf.Variable(1.0, name="w")
    outside = tf.Variable(1.0, name="w")
    assert (scope, w.name, y.name) == ("layer/", "layer/w", "layer/inner/y")
    assert (again.name, outside.name) == ("layer_1/w", "w")


def test_variables_of_layers_get_the_prefix_once() -> None:
    x = tf.placeholder(tf.float32, [None, 3])
    with tf.name_scope("net"):
        y = tf.nn.linear(x, num_hidden=2, name="fc")
    assert [v.name for v in tf.trainable_variables()] == ["net/fc_weight"]
    assert y.name.startswith("net/fc")


def test_get_variable_makes_and_finds() -> None:
    with tf.variable_scope("a"):
        w = tf.get_variable("w", [2], initializer=tf.constant_initializer(3.0))
        with tf.variable_scope("b"):
            assert tf.get_variable("w", [1]).name == "a/b/w"
    with tf.variable_scope("a", reuse=True):
        assert tf.get_variable("w", [2]).value.node is w.value.node
    from_tensor = tf.get_variable("t", initializer=tf.constant([1.0, 2.0]))
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        np.testing.assert_array_equal(sess.run(w), [3, 3])
        np.testing.assert_array_equal(sess.run(from_tensor), [1, 2])


def test_get_variable_says_what_is_wrong() -> None:
    with tf.variable_scope("a"):
        tf.get_variable("w", [2])
        with pytest.raises(GraphError, match="a variable 'a/w' already.*reuse=True"):
            tf.get_variable("w", [2])
        with pytest.raises(GraphError, match=r"'a/open' needs a shape; got \[\?\]"):
            tf.get_variable("open", [None])
    with tf.variable_scope("a", reuse=True):
        with pytest.raises(GraphError, match="no variable 'a/v' to reuse; got variables: a/w"):
            tf.get_variable("v", [2])
        with pytest.raises(ShapeError, match=r"shapes contradict; got \[2\] and \[3\]"):
            tf.get_variable("w", [3])
    with pytest.raises(GraphError, match="a scope needs a name"), tf.name_scope(None):
        pass


@pytest.mark.parametrize("config", ["cpu", "cpu fusion", "numpy", "cpu interpret"])
def test_what_is_made_under_control_dependencies_runs_after_them(config: str) -> None:
    count = tf.Variable(0.0)
    x = tf.placeholder(tf.float32)
    free = x * 3.0
    with tf.control_dependencies([tf.assign_add(count, 1.0)]):
        y = x * 2.0
        with tf.control_dependencies(None):
            loose = x * 4.0
        done = tf.no_op()
    with tf.Session(config) as sess:
        sess.run(tf.global_variables_initializer())
        assert sess.run([free, loose], {x: 1.0}) == [3.0, 4.0] and sess.run(count) == 0.0
        assert sess.run(y, {x: 1.0}) == 2.0 and sess.run(count) == 1.0
        assert sess.run(done) is None and sess.run(count) == 2.0


def test_assign_add_sub_and_add_n() -> None:
    v = tf.Variable(5.0)
    up, total = tf.assign_add(v, 2.0), tf.add_n([tf.constant(1.0), 2.0, 3.0])
    with tf.Session() as sess:
        sess.run(v.initializer)
        assert sess.run([up, total, tf.add_n([tf.constant(4.0)])]) == [7.0, 6.0, 4.0]
        assert sess.run(tf.assign_sub(v, 3.0)) == 4.0
    with pytest.raises(GraphError, match="nothing to add"):
        tf.add_n([])


def test_variables_are_listed_and_initialised_apart() -> None:
    a = tf.Variable(1.0, name="a")
    b = tf.Variable(2, name="b", trainable=False, dtype=tf.int64)
    assert [v.name for v in tf.global_variables()] == ["a", "b"]
    assert [v.name for v in tf.trainable_variables()] == ["a"]
    with tf.Session() as sess:
        sess.run(tf.variables_initializer([b]))
        assert sess.run(b) == 2 and sess.run(b).dtype == "int64"
        with pytest.raises(tf.TinyflowError, match="'a' is not initialised"):
            sess.run(a)
    assert [tf.Variable(v).dtype for v in (1, 1.0, True)] == [tf.int32, tf.float32, tf.bool]
    made = tf.Variable.implicit("made", [2])
    with pytest.raises(GraphError, match="variable 'made'.*has no initialiser"):
        _ = made.initializer


def test_dense_is_a_matrix_product_with_named_variables() -> None:
    x = tf.placeholder(tf.float32, [None, 3])
    y = tf.layers.dense(x, 2, tf.nn.relu, bias_initializer=tf.ones_initializer())
    plain = tf.layers.dense(x, 4, use_bias=False, kernel_initializer=tf.ones_initializer())
    kernel, bias, other = tf.global_variables()
    assert [kernel.name, bias.name, other.name] == ["dense/kernel", "dense/bias", "dense_1/kernel"]
    given = np.array([[1, -2, 3]], "float32")
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        k, b = sess.run([kernel, bias])
        assert k.shape == (3, 2) and abs(k).max() <= np.sqrt(6 / 5) and b.tolist() == [1, 1]
        np.testing.assert_allclose(sess.run(y, {x: given}), np.maximum(given @ k + b, 0), rtol=1e-6)
        np.testing.assert_allclose(sess.run(plain, {x: given}), [[2, 2, 2, 2]])
    with tf.variable_scope("dense", reuse=True):
        assert tf.get_variable("kernel").value.node is kernel.value.node
    with pytest.raises(ShapeError, match=r"needs the number of its inputs; got \[\.\.\.\]"):
        tf.layers.dense(tf.placeholder(tf.float32), 2)


def test_dense_works_on_the_last_axis() -> None:
    x = tf.placeholder(tf.float32, [None, 2, 3])
    y = tf.layers.dense(x, 4, bias_initializer=tf.ones_initializer())
    assert y.shape == (None, 2, 4)
    given = np.arange(30.0, dtype="float32").reshape(5, 2, 3)
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        made, kernel = sess.run([y, tf.global_variables()[0]], {x: given})
    np.testing.assert_allclose(made, given @ kernel + 1, rtol=1e-5, atol=1e-5)
    with pytest.raises(ShapeError, match=r"got \[\?, \?, 3\]; expected \[\?, ..., k\]"):
        tf.layers.dense(tf.placeholder(tf.float32, [None, None, 3]), 2)


def test_layers_on_images_compute_what_torch_computes() -> None:
    given = np.random.default_rng(0).normal(size=(2, 7, 6, 3)).astype("float32")
    x = tf.placeholder(tf.float32, [None, 7, 6, 3])
    y = tf.layers.conv2d(x, 4, (3, 2), strides=(2, 1), bias_initializer=tf.ones_initializer())
    pools = [tf.layers.max_pooling2d(x, 3, 2), tf.layers.average_pooling2d(x, (3, 2), (2, 2))]
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        made, *pooled = sess.run([y, *pools], {x: given})
        kernel = sess.run(tf.global_variables()[0])
    images = torch.from_numpy(given.transpose(0, 3, 1, 2))
    weight = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
    wanted = [
        torch.conv2d(images, weight, torch.ones(4), (2, 1)),
        torch.nn.functional.max_pool2d(images, 3, 2),
        torch.nn.functional.avg_pool2d(images, (3, 2), (2, 2)),
    ]
    for ours, theirs in zip([made, *pooled], wanted):
        np.testing.assert_allclose(ours, theirs.numpy().transpose(0, 2, 3, 1), atol=1e-5)
    with pytest.raises(ShapeError, match=r"number of channels; got \[\?, 3\]"):
        tf.layers.conv2d(tf.placeholder(tf.float32, [None, 3]), 4, 3)


def test_dropout_is_for_training() -> None:
    x = tf.placeholder(tf.float32, [1000])
    flag = tf.placeholder(tf.bool, [])
    sess, ones = tf.Session(), np.ones(1000)
    np.testing.assert_array_equal(sess.run(tf.layers.dropout(x), {x: ones}), ones)
    chosen = tf.layers.dropout(x, 0.2, training=flag)
    np.testing.assert_array_equal(sess.run(chosen, {x: ones, flag: False}), ones)
    for made in (
        sess.run(chosen, {x: ones, flag: True}),
        sess.run(tf.layers.dropout(x, 0.2, training=True), {x: ones}),
    ):
        assert 0.15 < np.mean(made == 0) < 0.25 and np.allclose(made[made > 0], 1.25)


def test_initialisers_have_the_spread_they_promise() -> None:
    shape = [5, 5, 8, 400]
    fan_in, fan_out = 5 * 5 * 8, 5 * 5 * 400
    spread = {
        tf.random_normal_initializer(stddev=0.5): 0.5,
        tf.truncated_normal_initializer(stddev=0.5): 0.5 * 0.87962566,
        tf.random_uniform_initializer(-1.0, 1.0): np.sqrt(1 / 3),
        tf.glorot_uniform_initializer(): np.sqrt(2 / (fan_in + fan_out)),
        tf.glorot_normal_initializer(): np.sqrt(2 / (fan_in + fan_out)),
        tf.variance_scaling_initializer(2.0): np.sqrt(2 / fan_in),
        tf.variance_scaling_initializer(2.0, "fan_out", "normal"): np.sqrt(2 / fan_out),
    }
    with tf.Session(seed=1) as sess:
        for init, deviation in spread.items():
            drawn = sess.run(init(shape, tf.float32))
            np.testing.assert_allclose(drawn.std(), deviation, rtol=0.02)
            assert abs(drawn.mean()) < 0.02 * deviation
        assert sess.run(tf.glorot_uniform_initializer()([])).shape == ()
    with pytest.raises(GraphError, match="unknown mode; got 'fan'"):
        tf.variance_scaling_initializer(mode="fan")


def test_a_graph_wide_seed_is_that_of_sessions_without_one() -> None:
    r = tf.truncated_normal([4])
    tf.set_random_seed(5)
    np.testing.assert_array_equal(tf.Session().run(r), tf.Session(seed=5).run(r))
    assert not np.array_equal(tf.Session().run(r), tf.Session(seed=0).run(r))


def test_older_names_of_reduction_arguments() -> None:
    x = tf.constant(np.arange(6.0).reshape(2, 3))
    total = tf.reduce_sum(x, reduction_indices=[1], keep_dims=True)
    np.testing.assert_array_equal(tf.Session().run(total), [[3], [12]])
    with pytest.raises(GraphError, match="axis and reduction_indices mean the same"):
        tf.reduce_mean(x, 0, reduction_indices=0)


def test_a_session_of_a_graph_builds_into_it() -> None:
    graph = tf.Graph()
    with graph.as_default():
        v = tf.Variable(3.0, name="inside")
    with tf.Session(graph=graph) as sess:
        tf.global_variables_initializer().run()
        assert sess.run(v * 2.0) == 6.0
    assert not tf.global_variables()


def test_small_calls_of_older_tutorials() -> None:
    x = tf.placeholder("float", [None, 3])
    assert x.get_shape().as_list() == [None, 3] and x.shape == (None, 3)
    with pytest.raises(ShapeError, match="the rank is not known"):
        tf.placeholder("float").get_shape()
    given = np.array([[3.0, 1.0, 2.0]])
    made = tf.Session().run([tf.arg_min(x, 1), tf.neg(x), tf.cast(x, "double")], {x: given})
    assert made[0] == [1] and made[2].dtype == "float64"
    np.testing.assert_array_equal(made[1], -given)
    wide = tf.random_normal([20000], mean=tf.constant(5.0), stddev=1.0 / tf.sqrt(4.0))
    drawn = tf.Session().run(wide)
    assert abs(drawn.mean() - 5) < 0.02 and abs(drawn.std() - 0.5) < 0.02
    number = tf.Session().run(tf.constant(2) + tf.constant(3))
    assert f"{number:.3f} {int(number)}" == "5.000 5"
