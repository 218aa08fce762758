"""Scripts as TensorFlow 1 tutorials have them: ``import tinyflow as tf`` is the only change."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import tinyflow as tf
from tinyflow.datasets import get_mnist


@pytest.fixture(autouse=True)
def _fresh_graph() -> None:
    tf.reset_default_graph()


def test_linear_regression_finds_the_line() -> None:
    rng = np.random.RandomState(0)
    train_X = rng.uniform(0, 10, 40)
    train_Y = 0.7 * train_X + 2.0 + rng.normal(0, 0.1, 40)
    n_samples = train_X.shape[0]

    X = tf.placeholder("float")
    Y = tf.placeholder("float")
    W = tf.Variable(rng.randn(), name="weight")
    b = tf.Variable(rng.randn(), name="bias")
    pred = tf.add(tf.multiply(X, W), b)
    cost = tf.reduce_sum(tf.pow(pred - Y, 2)) / (2 * n_samples)
    optimizer = tf.train.GradientDescentOptimizer(0.2).minimize(cost)
    init = tf.global_variables_initializer()

    with tf.Session() as sess:
        sess.run(init)
        for _ in range(100):
            for x, y in zip(train_X, train_Y):
                sess.run(optimizer, feed_dict={X: x, Y: y})
        assert sess.run(cost, feed_dict={X: train_X, Y: train_Y}) < 0.05
        assert abs(W.eval() - 0.7) < 0.05 and abs(sess.run(b) - 2.0) < 0.3


def test_logistic_regression_on_digits() -> None:
    mnist = get_mnist(flatten=True, onehot=True)
    x = tf.placeholder(tf.float32, [None, 784])
    y = tf.placeholder(tf.float32, [None, 10])
    W = tf.Variable(tf.zeros([784, 10]))
    b = tf.Variable(tf.zeros([10]))
    logits = tf.matmul(x, W) + b
    cost = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels=y, logits=logits))
    train_step = tf.train.GradientDescentOptimizer(0.5).minimize(cost)
    correct_prediction = tf.equal(tf.argmax(logits, 1), tf.argmax(y, 1))
    accuracy = tf.reduce_mean(tf.cast(correct_prediction, tf.float32))

    sess = tf.InteractiveSession()
    tf.global_variables_initializer().run()
    for _ in range(300):
        batch_xs, batch_ys = mnist.train.next_batch(100)
        train_step.run(feed_dict={x: batch_xs, y: batch_ys})
    assert accuracy.eval({x: mnist.test.images, y: mnist.test.labels}) > 0.85
    sess.close()


def test_multilayer_perceptron_with_layers_momentum_and_clipping() -> None:
    mnist = get_mnist(flatten=True, onehot=False)
    images = tf.placeholder(tf.float32, shape=(None, 784), name="images")
    labels = tf.placeholder(tf.int64, shape=(None,), name="labels")
    with tf.name_scope("network"):
        hidden = tf.layers.dense(images, 64, activation=tf.nn.relu, name="hidden")
        logits = tf.layers.dense(hidden, 10, name="output")
    with tf.name_scope("loss"):
        loss = tf.nn.mean_sparse_softmax_cross_entropy_with_logits(logits=logits, labels=labels)
    with tf.name_scope("train"):
        global_step = tf.Variable(0, name="global_step", trainable=False)
        optimizer = tf.train.MomentumOptimizer(0.1, momentum=0.9, use_nesterov=True)
        grads, variables = zip(*optimizer.compute_gradients(loss))
        grads, norm = tf.clip_by_global_norm(grads, 5.0)
        train_op = optimizer.apply_gradients(zip(grads, variables), global_step=global_step)
    accuracy = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), labels), tf.float32))
    assert [v.name for v in tf.trainable_variables()] == [
        "hidden/kernel", "hidden/bias", "output/kernel", "output/bias",
    ]  # fmt: skip

    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        for _ in range(150):
            batch = mnist.train.next_batch(100)
            _, step, size = sess.run(
                [train_op, global_step, norm], {images: batch[0], labels: batch[1]}
            )
        assert step == 150 and 0 < size < 100
        test = {images: mnist.test.images, labels: mnist.test.labels}
        assert sess.run(accuracy, feed_dict=test) > 0.88


def test_deep_digits_with_convolution_pooling_and_dropout() -> None:
    def weight_variable(shape: list[int]) -> tf.Variable:
        return tf.Variable(tf.truncated_normal(shape, stddev=0.1))

    def bias_variable(shape: list[int]) -> tf.Variable:
        return tf.Variable(tf.constant(np.full(shape, 0.1, "float32")))

    def conv2d(x: tf.Tensor, W: tf.Tensor) -> tf.Tensor:
        return tf.nn.conv2d(x, W, strides=[1, 1, 1, 1], padding="SAME")

    def max_pool_2x2(x: tf.Tensor) -> tf.Tensor:
        return tf.nn.max_pool(x, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="SAME")

    mnist = get_mnist(flatten=True, onehot=True)
    x = tf.placeholder(tf.float32, [None, 784])
    y_ = tf.placeholder(tf.float32, [None, 10])
    keep_prob = tf.placeholder(tf.float32)
    x_image = tf.reshape(x, [-1, 28, 28, 1])
    h_conv1 = tf.nn.relu(conv2d(x_image, weight_variable([5, 5, 1, 8])) + bias_variable([8]))
    h_pool1 = max_pool_2x2(h_conv1)
    h_conv2 = tf.nn.relu(conv2d(h_pool1, weight_variable([5, 5, 8, 16])) + bias_variable([16]))
    h_pool2 = max_pool_2x2(h_conv2)
    h_flat = tf.reshape(h_pool2, [-1, 7 * 7 * 16])
    h_fc1 = tf.nn.relu(tf.matmul(h_flat, weight_variable([7 * 7 * 16, 64])) + bias_variable([64]))
    h_drop = tf.nn.dropout(h_fc1, keep_prob)
    y_conv = tf.matmul(h_drop, weight_variable([64, 10])) + bias_variable([10])
    loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels=y_, logits=y_conv))
    train_step = tf.train.AdamOptimizer(1e-3).minimize(loss)
    correct_prediction = tf.equal(tf.argmax(y_conv, 1), tf.argmax(y_, 1))
    accuracy = tf.reduce_mean(tf.cast(correct_prediction, tf.float32))

    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        for _ in range(60):
            batch = mnist.train.next_batch(50)
            train_step.run(feed_dict={x: batch[0], y_: batch[1], keep_prob: 0.5})
        test = {x: mnist.test.images[:500], y_: mnist.test.labels[:500], keep_prob: 1.0}
        assert accuracy.eval(feed_dict=test) > 0.7


def test_save_and_restore(tmp_path: Path) -> None:
    v1 = tf.get_variable("v1", shape=[3], initializer=tf.zeros_initializer())
    v2 = tf.get_variable("v2", shape=[5], initializer=tf.zeros_initializer())
    global_step = tf.Variable(0, name="global_step", trainable=False)
    inc_v1 = v1.assign(v1 + 1)
    dec_v2 = v2.assign(v2 - 1)
    init_op = tf.global_variables_initializer()
    saver = tf.train.Saver()
    with tf.Session() as sess:
        sess.run(init_op)
        inc_v1.eval()
        dec_v2.eval()
        assert saver.save(sess, str(tmp_path / "model.ckpt"), 7).endswith("model.ckpt-7")
        sess.run(tf.assign(global_step, 8))
        save_path = saver.save(sess, str(tmp_path / "model.ckpt"), global_step=global_step)
        assert save_path.endswith("model.ckpt-8")

    tf.reset_default_graph()
    v1 = tf.get_variable("v1", shape=[3])
    v2 = tf.get_variable("v2", shape=[5])
    saver = tf.train.Saver([v1, v2])
    with tf.Session() as sess:
        saver.restore(sess, save_path)
        np.testing.assert_array_equal(v1.eval(), np.ones(3))
        np.testing.assert_array_equal(v2.eval(), -np.ones(5))


def test_moving_average_updated_by_control_dependencies() -> None:
    x = tf.placeholder(tf.float32, [None])
    average = tf.Variable(0.0, trainable=False)
    w = tf.Variable(1.0)
    update = tf.assign(average, 0.9 * average + 0.1 * tf.reduce_mean(x))
    loss = tf.reduce_mean(tf.square(w * x - 1.0))
    with tf.control_dependencies([update]):
        train_op = tf.train.RMSPropOptimizer(0.01).minimize(loss)
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        sess.run(train_op, {x: [2.0, 4.0]})
        np.testing.assert_allclose(sess.run(average), 0.3, rtol=1e-6)
        assert sess.run(w) < 1.0


def test_two_networks_trained_against_each_other_in_one_run() -> None:
    def glorot_init(shape: list[int]) -> tf.Tensor:
        return tf.random_normal(shape=shape, stddev=1.0 / tf.sqrt(shape[0] / 2.0))

    weights = {
        "gen": tf.Variable(glorot_init([8, 16])),
        "disc_hidden": tf.Variable(glorot_init([16, 12])),
        "disc_out": tf.Variable(glorot_init([12, 1])),
    }

    def discriminator(x: tf.Tensor) -> tf.Tensor:
        hidden = tf.nn.relu(tf.matmul(x, weights["disc_hidden"]))
        return tf.nn.sigmoid(tf.matmul(hidden, weights["disc_out"]))

    gen_input = tf.placeholder(tf.float32, shape=[None, 8], name="input_noise")
    disc_input = tf.placeholder(tf.float32, shape=[None, 16], name="disc_input")
    disc_real = discriminator(disc_input)
    disc_fake = discriminator(tf.nn.sigmoid(tf.matmul(gen_input, weights["gen"])))
    gen_loss = -tf.reduce_mean(tf.log(disc_fake))
    disc_loss = -tf.reduce_mean(tf.log(disc_real) + tf.log(1.0 - disc_fake))
    gen_vars, disc_vars = [weights["gen"]], [weights["disc_hidden"], weights["disc_out"]]
    train_gen = tf.train.AdamOptimizer(0.01).minimize(gen_loss, var_list=gen_vars)
    train_disc = tf.train.AdamOptimizer(0.01).minimize(disc_loss, var_list=disc_vars)

    rng = np.random.RandomState(0)
    feed_dict = {gen_input: rng.uniform(-1, 1, (32, 8)), disc_input: rng.uniform(size=(32, 16))}
    with tf.Session(seed=1) as sess:
        sess.run(tf.global_variables_initializer())
        frozen = sess.run(disc_vars)
        before = sess.run(gen_loss, feed_dict)
        for _ in range(20):
            sess.run(train_gen, feed_dict)
        assert sess.run(gen_loss, feed_dict) < before
        for old, new in zip(frozen, sess.run(disc_vars)):
            np.testing.assert_array_equal(old, new)
        fetches = [train_gen, train_disc, gen_loss, disc_loss]
        losses = [sess.run(fetches, feed_dict=feed_dict)[2:] for _ in range(30)]
    assert np.isfinite(losses).all()
    assert losses[-1][1] < losses[0][1]


def test_an_autoencoder_with_rmsprop() -> None:
    images = get_mnist(flatten=True, onehot=True).train.next_batch(64)[0]
    X = tf.placeholder("float", [None, 784])
    layers, y_pred = [784, 32, 784], X
    for n_in, n_out in pairwise(layers):
        weight = tf.Variable(tf.random_normal([n_in, n_out], stddev=0.1))
        bias = tf.Variable(tf.random_normal([n_out], stddev=0.1))
        y_pred = tf.nn.sigmoid(tf.add(tf.matmul(y_pred, weight), bias))
    cost = tf.reduce_mean(tf.pow(X - y_pred, 2))
    optimizer = tf.train.RMSPropOptimizer(0.01).minimize(cost)
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        costs = [sess.run([optimizer, cost], feed_dict={X: images})[1] for _ in range(300)]
    assert costs[-1] < costs[0] / 3


def test_a_convolution_network_of_layers() -> None:
    mnist = get_mnist(flatten=True, onehot=False)
    images = tf.placeholder(tf.float32, [None, 784])
    labels = tf.placeholder(tf.int64, [None])
    training = tf.placeholder(tf.bool, [])
    with tf.variable_scope("ConvNet"):
        x = tf.reshape(images, shape=[-1, 28, 28, 1])
        conv1 = tf.layers.conv2d(x, 8, 5, activation=tf.nn.relu)
        conv1 = tf.layers.max_pooling2d(conv1, 2, 2)
        conv2 = tf.layers.conv2d(conv1, 16, [3, 3], padding="same", activation=tf.nn.relu)
        conv2 = tf.layers.average_pooling2d(conv2, [2, 2], 2)
        fc1 = tf.layers.dense(tf.layers.flatten(conv2), 64, tf.nn.relu)
        fc1 = tf.layers.dropout(fc1, rate=0.25, training=training)
        logits = tf.layers.dense(fc1, 10)
    assert conv2.get_shape().as_list() == [None, 6, 6, 16]
    assert [v.name for v in tf.trainable_variables()[:4]] == [
        "ConvNet/conv2d/kernel",
        "ConvNet/conv2d/bias",
        "ConvNet/conv2d_1/kernel",
        "ConvNet/conv2d_1/bias",
    ]
    loss = tf.losses.sparse_softmax_cross_entropy(labels=labels, logits=logits)
    train_op = tf.train.AdamOptimizer(2e-3).minimize(loss)
    correct = tf.equal(tf.argmax(logits, axis=1), labels)
    accuracy = tf.reduce_mean(tf.cast(correct, tf.float32))
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        for _ in range(60):
            xs, ys = mnist.train.next_batch(50)
            sess.run(train_op, {images: xs, labels: ys, training: True})
        test = {images: mnist.test.images[:500], labels: mnist.test.labels[:500], training: False}
        first, second = sess.run(accuracy, test), sess.run(accuracy, test)
    assert first == second > 0.75
