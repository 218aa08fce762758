"""Scripts written for TinyFlow: the calls of its examples and of its gradient, operator and state
tests (github.com/tqchen/tinyflow, 2016), in our words, importing only tinyflow and numpy."""

import numpy as np
import pytest

import tinyflow as tf
from tinyflow.datasets import get_mnist


@pytest.fixture(autouse=True)
def _fresh_graph():
    tf.reset_default_graph()


def _images_and_classes():
    """Placeholders and a linear classifier, as every softmax example begins."""
    x = tf.placeholder(tf.float32, [None, 784])
    y_ = tf.placeholder(tf.float32, [None, 10])
    W = tf.Variable(tf.zeros([784, 10]))
    y = tf.nn.softmax(tf.matmul(x, W))
    cross_entropy = tf.reduce_mean(-tf.reduce_sum(y_ * tf.log(y), reduction_indices=[1]))
    return x, y_, W, y, cross_entropy


def _train(sess, train_step, x, y_, steps):
    mnist = get_mnist(flatten=True, onehot=True)
    for _ in range(steps):
        batch_xs, batch_ys = mnist.train.next_batch(100)
        sess.run(train_step, feed_dict={x: batch_xs, y_: batch_ys})
    return mnist.test


def _accuracy(sess, y, y_, feed_dict):
    correct_prediction = tf.equal(tf.argmax(y, 1), tf.argmax(y_, 1))
    return sess.run(tf.reduce_mean(correct_prediction), feed_dict=feed_dict)


def test_softmax_with_an_optimizer():
    x, y_, _, y, cross_entropy = _images_and_classes()
    train_step = tf.train.GradientDescentOptimizer(0.5).minimize(cross_entropy)
    sess = tf.Session()
    sess.run(tf.initialize_all_variables())
    test = _train(sess, train_step, x, y_, 300)
    assert _accuracy(sess, y, y_, {x: test.images, y_: test.labels}) > 0.85


def test_minimum_softmax_with_gradient_and_assign_by_hand():
    x, y_, W, y, cross_entropy = _images_and_classes()
    learning_rate = 0.5
    W_grad = tf.gradients(cross_entropy, [W])[0]
    train_step = tf.assign(W, W - learning_rate * W_grad)
    sess = tf.Session()
    sess.run(tf.initialize_all_variables())
    test = _train(sess, train_step, x, y_, 300)
    assert _accuracy(sess, y, y_, {x: test.images, y_: test.labels}) > 0.85


def test_mlp_whose_variables_and_shapes_are_inferred():
    x = tf.placeholder(tf.float32)
    fc1 = tf.nn.linear(x, num_hidden=100, name="fc1", no_bias=False)
    relu1 = tf.nn.relu(fc1)
    fc2 = tf.nn.linear(relu1, num_hidden=10, name="fc2")
    label = tf.placeholder(tf.float32)
    cross_entropy = tf.nn.mean_sparse_softmax_cross_entropy_with_logits(fc2, label)
    train_step = tf.train.GradientDescentOptimizer(0.5).minimize(cross_entropy)
    sess = tf.Session(config="cpu")

    known_shape = {x: [100, 28 * 28], label: [100]}
    found, init_step = {}, []
    for v, name, shape in tf.infer_variable_shapes(cross_entropy, feed_dict=known_shape):
        init_step.append(tf.assign(v, tf.normal(shape)))
        found[name] = tuple(shape)
    sess.run(init_step)
    assert sorted(found.values()) == sorted([(100, 784), (100,), (10, 100), (10,)][: len(found)])
    assert found["fc1_weight"] == (100, 784) and found["fc2_weight"] == (10, 100)

    mnist = get_mnist(flatten=True, onehot=False)
    losses = []
    for _ in range(3):
        sum_loss = 0.0
        for _ in range(40):
            batch_xs, batch_ys = mnist.train.next_batch(100)
            loss, _ = sess.run(
                [cross_entropy, train_step], feed_dict={x: batch_xs, label: batch_ys}
            )
            sum_loss += loss
        losses.append(sum_loss)
    assert losses[-1] < losses[0] / 2
    correct_prediction = tf.equal(tf.argmax(fc2, 1), label)
    accuracy = tf.reduce_mean(correct_prediction)
    assert sess.run(accuracy, {x: mnist.test.images, label: mnist.test.labels}) > 0.7


def test_gradient_of_a_sum():
    x, y = tf.placeholder(tf.float32), tf.placeholder(tf.float32)
    ax, ay = np.ones((2, 3)), np.ones((2, 3)) * 4
    gx, gy = tf.gradients(x + y, [x, y])
    sess = tf.Session()
    np.testing.assert_almost_equal(sess.run(gx, feed_dict={x: ax, y: ay}), np.ones((2, 3)))
    np.testing.assert_almost_equal(sess.run(gy, feed_dict={x: ax, y: ay}), np.ones((2, 3)))


def test_gradient_of_a_product_with_a_number():
    x = tf.placeholder(tf.float32)
    gx = tf.gradients(x * 14, [x])[0]
    agx = tf.Session().run(gx, feed_dict={x: np.ones((2, 3))})
    np.testing.assert_almost_equal(agx, np.ones((2, 3)) * 14)


def test_gradient_of_a_matrix_product():
    x, y = tf.placeholder(tf.float32), tf.placeholder(tf.float32)
    ax, ay = np.ones((2, 3)), np.ones((3, 4)) * 4
    gx, gy = tf.gradients(tf.matmul(x, y) * 4, [x, y])
    sess = tf.Session()
    feed = {x: ax, y: ay}
    np.testing.assert_almost_equal(sess.run(gx, feed_dict=feed), np.ones((2, 4)) @ ay.T * 4)
    np.testing.assert_almost_equal(sess.run(gy, feed_dict=feed), ax.T @ np.ones((2, 4)) * 4)


@pytest.mark.parametrize("ufunc", [lambda x, y: x + y, lambda x, y: x * y, lambda x, y: x - y])
def test_elementwise_operators(ufunc):
    x, y = tf.placeholder(tf.float32), tf.placeholder(tf.float32)
    ax, ay = np.ones((2, 3)), np.ones((2, 3)) * 4
    az = tf.Session().run(ufunc(x, y), feed_dict={x: ax, y: ay})
    np.testing.assert_almost_equal(az, ufunc(ax, ay))


def test_softmax_of_rows():
    x = tf.placeholder(tf.float32)
    ax = np.ones((2, 4))
    ay = tf.Session().run(tf.nn.softmax(x), feed_dict={x: ax})
    np.testing.assert_almost_equal(ay, ax / ax.sum(axis=1, keepdims=True))


def test_bias_add():
    x, b = tf.placeholder(tf.float32), tf.placeholder(tf.float32)
    ax, ab = np.random.uniform(size=(2, 3)), np.random.uniform(size=(3,))
    ay = tf.Session().run(tf.nn.bias_add(x, b), feed_dict={x: ax, b: ab})
    np.testing.assert_almost_equal(ay, ax + ab, decimal=6)


def test_matmul_scaled():
    x, y = tf.placeholder(tf.float32), tf.placeholder(tf.float32)
    ax, ay = np.ones((2, 3)), np.ones((3, 4)) * 4
    az = tf.Session().run(tf.matmul(x, y) * 4, feed_dict={x: ax, y: ay})
    np.testing.assert_almost_equal(az, ax @ ay * 4)


@pytest.mark.parametrize("name", ["sum", "mean"])
def test_reductions_over_a_list_of_axes(name):
    axis = [1, 3]
    x = tf.placeholder(tf.float32)
    y = getattr(tf, f"reduce_{name}")(x, reduction_indices=axis)
    ax = np.random.uniform(size=(2, 4, 8, 7))
    ay = tf.Session().run(y, feed_dict={x: ax})
    np.testing.assert_allclose(ay, getattr(ax, name)(axis=tuple(axis)), rtol=1e-5)


def test_argmax_of_rows():
    x = tf.placeholder(tf.float32)
    ax = np.random.uniform(size=(700, 10)).astype(np.float32)
    ay = tf.Session().run(tf.argmax(x, 1), feed_dict={x: ax})
    np.testing.assert_array_equal(ay, ax.argmax(1))


def test_assign_gives_a_variable_its_first_content():
    x = tf.Variable(tf.zeros(shape=[2, 3]))
    sess = tf.Session()
    sess.run(tf.assign(x, tf.ones(shape=[2, 3])))
    np.testing.assert_almost_equal(sess.run(x), np.ones((2, 3)))


def test_group_runs_several_assignments():
    x1 = tf.Variable(tf.zeros(shape=[2, 3]))
    x2 = tf.Variable(tf.zeros(shape=[2, 3]))
    a1 = tf.assign(x1, tf.zeros(shape=[2, 3]))
    a2 = tf.assign(x2, tf.ones(shape=[2, 3]))
    sess = tf.Session()
    assert sess.run(tf.group(a1, a2)) is None
    np.testing.assert_almost_equal(sess.run(x1), np.zeros((2, 3)))
    np.testing.assert_almost_equal(sess.run(x2), np.ones((2, 3)))


def test_initialize_all_variables():
    x1 = tf.Variable(tf.ones(shape=[2, 3]))
    x2 = tf.Variable(tf.zeros(shape=[2, 3]))
    sess = tf.Session()
    sess.run(tf.initialize_all_variables())
    np.testing.assert_almost_equal(sess.run(x1), np.ones((2, 3)))
    np.testing.assert_almost_equal(sess.run(x2), np.zeros((2, 3)))
