"""Networks on images train, as TensorFlow's tutorials and TinyFlow's scripts write them."""

import numpy as np
import pytest

import tinyflow as tf
from tinyflow.datasets import get_cifar10, get_mnist

from .images import normal


@pytest.fixture(autouse=True)
def _fresh_graph():
    tf.reset_default_graph()


def test_a_tensorflow_tutorial_network_trains():
    x, label = tf.placeholder(tf.float32, [None, 64]), tf.placeholder(tf.int64, [None])
    images = tf.reshape(x, [-1, 8, 8, 1])
    kernel = tf.Variable(tf.random_normal([3, 3, 1, 6], stddev=0.3))
    bias = tf.Variable(tf.zeros([6]))
    hidden = tf.nn.conv2d(images, kernel, strides=[1, 1, 1, 1], padding="SAME")
    hidden = tf.nn.relu(tf.nn.bias_add(hidden, bias))
    hidden = tf.nn.max_pool(hidden, [1, 2, 2, 1], [1, 2, 2, 1], "SAME")
    flat = tf.reshape(hidden, [-1, 4 * 4 * 6])
    logits = tf.matmul(flat, tf.Variable(tf.random_normal([96, 2], stddev=0.1)))
    loss = tf.nn.mean_sparse_softmax_cross_entropy_with_logits(logits, label)
    step = tf.train.AdamOptimizer(0.01).minimize(loss)
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    classes = np.arange(40) % 2
    data = normal(40, 64) + classes[:, None] * np.linspace(-1, 1, 64, dtype="float32")
    losses = [float(session.run([loss, step], {x: data, label: classes})[0]) for _ in range(40)]
    assert losses[-1] < 0.3 * losses[0]


def test_tinyflows_lenet_script_runs_as_it_is():
    x = tf.placeholder(tf.float32)
    conv1 = tf.nn.conv2d(x, num_filter=4, ksize=[1, 5, 5, 1], name="conv1", no_bias=False)
    pool1 = tf.nn.max_pool(tf.tanh(conv1), ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1])
    conv2 = tf.nn.conv2d(pool1, num_filter=6, ksize=[1, 5, 5, 1], name="conv2", no_bias=False)
    pool2 = tf.nn.max_pool(tf.tanh(conv2), ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1])
    fc1 = tf.nn.linear(tf.nn.flatten_layer(pool2), num_hidden=20, name="fc1")
    fc2 = tf.nn.linear(tf.tanh(fc1), num_hidden=10, name="fc2")
    label = tf.placeholder(tf.float32)
    cross_entropy = tf.nn.mean_sparse_softmax_cross_entropy_with_logits(fc2, label)
    train_step = tf.train.GradientDescentOptimizer(0.5).minimize(cross_entropy)
    sess = tf.Session(config="cpu")
    init_step = []
    known_shape = {x: [10, 1, 28, 28], label: [10]}
    for v, _, shape in tf.infer_variable_shapes(cross_entropy, feed_dict=known_shape):
        init_step.append(tf.assign(v, tf.normal(shape, 0.1)))
    sess.run(init_step)
    images, labels = get_mnist(flatten=False, onehot=False).train.next_batch(10)
    feeds = {x: images, label: labels}
    losses = [float(sess.run([cross_entropy, train_step], feeds)[0]) for _ in range(15)]
    assert losses[-1] < 0.5 * losses[0]


def residual_script():
    """TinyFlow's CIFAR network with fewer filters: x, label, logits and loss."""

    def conv_factory(x, filter_size, filters):
        ksize = [1, filter_size, filter_size, 1]
        x = tf.nn.conv2d(x, num_filter=filters, ksize=ksize, padding="SAME")
        return tf.nn.relu(tf.nn.batch_normalization(x))

    x = tf.placeholder(tf.float32)
    start = tf.tanh(tf.nn.conv2d(x, num_filter=4, ksize=[1, 5, 5, 1], padding="SAME"))
    inner = conv_factory(conv_factory(start, 3, 8), 3, 8)
    res = tf.nn.relu(conv_factory(start, 1, 8) + inner)
    pool = {"ksize": [1, 4, 4, 1], "strides": [1, 2, 2, 1], "padding": "SAME"}
    pool1 = tf.nn.avg_pool(res, data_format="NCHW", **pool)
    conv2 = tf.nn.conv2d(pool1, num_filter=4, ksize=[1, 5, 5, 1])
    fc1 = tf.nn.linear(tf.nn.flatten_layer(conv2), num_hidden=10, name="fc1")
    label = tf.placeholder(tf.float32)
    loss = tf.nn.mean_sparse_softmax_cross_entropy_with_logits(fc1, label)
    return x, label, fc1, loss


def test_tinyflows_residual_script_runs_as_it_is():
    x, label, fc1, cross_entropy = residual_script()
    train_step = tf.train.AdamOptimizer(0.005).minimize(cross_entropy)
    sess = tf.Session(config="cpu")
    known_shape = {x: [20, 3, 32, 32], label: [20]}
    init_step = []
    for v, _, shape in tf.infer_variable_shapes(cross_entropy, feed_dict=known_shape):
        init_step.append(tf.assign(v, tf.normal(shape, 0.1)))
    sess.run(init_step)
    sess.run(tf.initialize_all_variables())
    images, labels = get_cifar10(synthetic=True).train.next_batch(20)
    feeds = {x: images, label: labels}
    losses = [float(sess.run([cross_entropy, train_step], feeds)[0]) for _ in range(12)]
    assert losses[-1] < 0.5 * losses[0]
    accuracy = tf.reduce_mean(tf.equal(tf.argmax(fc1, 1), label))
    assert sess.run(accuracy, feed_dict=feeds) > 0.5


@pytest.mark.parametrize("config", ["numpy", "cpu recompute"])
def test_every_road_trains_a_residual_network_alike(config):
    x, label, _, loss = residual_script()
    step = tf.train.AdamOptimizer(0.001).minimize(loss)
    image, labels = normal(4, 3, 8, 8), np.float32([1, 2, 3, 4])
    found = tf.infer_variable_shapes(loss, {x: image.shape, label: [4]})
    start = [tf.assign(v, 0.1 * normal(*shape)) for v, _, shape in found]
    results = []
    for words in ("cpu", config):
        session = tf.Session(words)
        session.run(start)
        session.run(tf.initialize_all_variables())
        feeds = {x: image, label: labels}
        results.append([float(session.run([loss, step], feeds)[0]) for _ in range(4)])
    np.testing.assert_allclose(results[1], results[0], rtol=2e-4)
