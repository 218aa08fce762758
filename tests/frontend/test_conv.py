"""Layers on images: both dialects, inferred variables, moving statistics, wrong calls."""

import numpy as np
import pytest
import torch

import tinyflow as tf
from tinyflow.datasets import get_cifar10, get_mnist
from tinyflow.errors import GraphError, ShapeError, TinyflowError

RNG = np.random.default_rng(3)


@pytest.fixture(autouse=True)
def _fresh_graph():
    tf.reset_default_graph()


def normal(*shape):
    return RNG.normal(size=shape).astype("float32")


def nhwc(x):
    return x.transpose(0, 2, 3, 1)


def run(tensor, feeds=None, state=None):
    session = tf.Session()
    for variable, array in (state or {}).items():
        session.run(tf.assign(variable, array))
    return session.run(tensor, feeds)


def variables_of(net, known):
    return {name: (v, shape) for v, name, shape in tf.infer_variable_shapes(net, known)}


def test_num_filter_makes_named_variables_whose_shapes_are_inferred():
    x = tf.placeholder(tf.float32)
    y = tf.nn.conv2d(x, num_filter=4, ksize=[1, 5, 3, 1], no_bias=False, name="first")
    z = tf.nn.conv2d(tf.nn.max_pool(y, [1, 2, 2, 1], [1, 2, 2, 1]), num_filter=2)
    net = tf.nn.linear(tf.nn.flatten_layer(z), num_hidden=7, name="out")
    found = variables_of(net, {x: [8, 3, 9, 12]})
    assert {name: shape for name, (_, shape) in found.items()} == {
        "first_weight": (4, 3, 5, 3),
        "first_bias": (4,),
        "conv2d_weight": (2, 4, 1, 1),
        "out_weight": (7, 2 * 4 * 6),
    }


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("ksize", [(3, 5), (2, 4)])
def test_same_with_num_filter_pads_half_a_window_on_every_side(padding, ksize):
    x, weight = tf.placeholder(tf.float32), normal(4, 3, *ksize)
    y = tf.nn.conv2d(x, num_filter=4, ksize=[1, *ksize, 1], padding=padding, strides=[1, 2, 1, 1])
    image = normal(2, 3, 7, 8)
    ((w, shape),) = variables_of(y, {x: image.shape}).values()
    assert shape == weight.shape
    amount = [(k - 1) // 2 if padding == "SAME" else 0 for k in ksize]
    expected = torch.nn.functional.conv2d(
        torch.from_numpy(image), torch.from_numpy(weight), stride=(2, 1), padding=amount
    )
    np.testing.assert_allclose(run(y, {x: image}, {w: weight}), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("size", "stride", "added"), [(8, 2, (0, 1)), (7, 2, (1, 1)), (7, 3, (1, 1)), (9, 3, (0, 0))]
)
def test_same_with_a_filter_is_tensorflows_and_images_are_nhwc(size, stride, added):
    x, image, kernel = tf.placeholder(tf.float32), normal(2, 3, size, size), normal(3, 3, 3, 4)
    y = tf.nn.conv2d(x, tf.constant(kernel), [1, stride, stride, 1], "SAME")
    padded = torch.nn.functional.pad(torch.from_numpy(image), (*added, *added))
    weight = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
    expected = torch.nn.functional.conv2d(padded, weight, stride=stride).numpy()
    assert expected.shape[2] == -(-size // stride)
    got = run(y, {x: nhwc(image)})
    np.testing.assert_allclose(got, nhwc(expected), rtol=1e-4, atol=1e-4)


def test_a_filter_is_hwio_whatever_the_layout_of_the_images():
    x, image, kernel = tf.placeholder(tf.float32), normal(2, 3, 5, 5), normal(3, 3, 3, 4)
    same = {"filter": tf.constant(kernel), "strides": 1, "padding": "VALID"}
    a = run(tf.nn.conv2d(x, data_format="NCHW", **same), {x: image})
    b = run(tf.nn.conv2d(x, **same), {x: nhwc(image)})
    np.testing.assert_allclose(nhwc(a), b, rtol=1e-4, atol=1e-4)


def test_what_follows_a_convolution_has_its_layout():
    x, image, kernel = tf.placeholder(tf.float32), normal(2, 3, 5, 6), normal(1, 1, 3, 4)
    bias = np.float32([1, 2, 3, 4])
    one = tf.nn.bias_add(tf.nn.conv2d(x, tf.constant(kernel), 1, "VALID"), bias)
    one = tf.nn.max_pool(tf.nn.relu(one) * 2.0, [1, 2, 2, 1], [1, 2, 2, 1], "VALID")
    weight = tf.constant(kernel.transpose(3, 2, 0, 1))
    two = tf.nn.conv2d(x, num_filter=4, weight=weight, padding="VALID")
    two = tf.nn.relu(tf.nn.bias_add(two, bias)) * 2.0
    two = tf.nn.max_pool(two, [1, 2, 2, 1], [1, 2, 2, 1], "VALID")
    a, b = run(one, {x: nhwc(image)}), run(two, {x: image})
    assert a.shape == (2, 2, 3, 4) and b.shape == (2, 4, 2, 3)
    np.testing.assert_allclose(a, nhwc(b), rtol=1e-5, atol=1e-5)


def test_a_mean_counts_padding_in_nchw_and_not_in_nhwc():
    x, ones = tf.placeholder(tf.float32), np.ones((1, 1, 3, 3), "float32")
    pool = {"ksize": [1, 3, 3, 1], "strides": [1, 2, 2, 1], "padding": "SAME"}
    counted = run(tf.nn.avg_pool(x, data_format="NCHW", **pool), {x: ones})
    np.testing.assert_allclose(counted[0, 0], np.full((2, 2), 4 / 9), rtol=1e-6)
    not_counted = run(tf.nn.avg_pool(x, data_format="NHWC", **pool), {x: nhwc(ones)})
    np.testing.assert_allclose(not_counted, np.ones((1, 2, 2, 1)), rtol=1e-6)


def test_tensorflows_sizes_for_nchw_are_understood():
    x, image = tf.placeholder(tf.float32), normal(2, 3, 6, 4)
    y = tf.nn.max_pool(x, [1, 1, 3, 2], [1, 1, 3, 2], "VALID", data_format="NCHW")
    expected = image.reshape(2, 3, 2, 3, 2, 2).max((3, 5))
    np.testing.assert_array_equal(run(y, {x: image}), expected)


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


def norm_network():
    """x -> batch_norm -> loss, with an optimizer; gamma 2 and beta 1."""
    x = tf.placeholder(tf.float32)
    y = tf.nn.batch_norm(x, name="bn", momentum=0.75, epsilon=0.001)
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
    from tinyflow.frontend.tf.scope import current_scope

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
    y = tf.nn.batch_norm(x, training=training, name="bn", momentum=0.5, epsilon=0.001)
    step = tf.train.GradientDescentOptimizer(0.01).minimize(tf.reduce_sum(tf.square(y)))
    image = normal(4, 3, 5, 5) + 1
    session = started(y, {x: image.shape})
    on, off = {x: image, training: True}, {x: image, training: False}
    np.testing.assert_allclose(session.run(y, off), 2 * image / np.sqrt(1.001) + 1, rtol=1e-5)
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
    y = tf.nn.batch_norm(x, gamma, beta, moving_mean=mean, moving_variance=variance, training=False)
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


def test_pad_adds_zeros_on_either_side():
    x = tf.placeholder(tf.float32)
    both = tf.pad(tf.pad(x, dim=1, pad=-3), dim=1, pad=3)
    image = normal(2, 4, 3, 3)
    expected = np.pad(image, ((0, 0), (3, 3), (0, 0), (0, 0)))
    np.testing.assert_array_equal(run(both, {x: image}), expected)
    same = tf.nn.pad(x, [[0, 0], [3, 3], [0, 0], [0, 0]], "CONSTANT", name="padded")
    np.testing.assert_array_equal(run(same, {x: image}), expected)


def test_flatten_layer_keeps_rows_and_order():
    x, image = tf.placeholder(tf.float32), normal(3, 2, 4)
    np.testing.assert_array_equal(run(tf.nn.flatten_layer(x), {x: image}), image.reshape(3, 8))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: tf.nn.conv2d(x), ["wrong filter", "filter= or num_filter="]),
        (lambda x: tf.nn.conv2d(x, x, num_filter=3), ["wrong filter", "either"]),
        (lambda x: tf.nn.conv2d(x, num_filter=3, padding="same"), ["padding", "'same'", "'VALID'"]),
        (
            lambda x: tf.nn.conv2d(x, num_filter=3, strides=[2, 1, 1, 1]),
            ["strides", "[2, 1, 1, 1]"],
        ),
        (lambda x: tf.nn.conv2d(x, num_filter=3, strides=[1, 0, 1, 1]), ["strides", "(0, 1)"]),
        (lambda x: tf.nn.conv2d(x, x, data_format="NWHC"), ["data_format", "'NWHC'", "'NHWC'"]),
        (lambda x: tf.nn.max_pool(x, [1, 2, 2, 1, 1]), ["ksize", "[1, h, w, 1]"]),
        (lambda x: tf.nn.max_pool(x, [1, 1, 2, 2], data_format="NHWC"), ["ksize", "[1, 1, 2, 2]"]),
        (lambda x: tf.nn.avg_pool(x, 2, data_format="HW"), ["data_format", "'HW'"]),
        (lambda x: tf.pad(x, [[1, 1]], mode="REFLECT"), ["mode", "'REFLECT'", "'CONSTANT'"]),
        (lambda x: tf.pad(x), ["padding", "either paddings"]),
    ],
)
def test_a_wrong_call_says_what_was_given_and_expected(call, words):
    with pytest.raises(GraphError) as caught:
        call(tf.placeholder(tf.float32))
    for word in ["test_conv.py:", *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("build", "shape", "words"),
    [
        (lambda x: tf.nn.max_pool(x, 3, padding="VALID", data_format="NHWC"), (1, 2, 4, 3), ["3"]),
        (lambda x: tf.nn.conv2d(x, hwio(3, 3, 4, 2), 1, "SAME"), (1, 8, 8, 3), ["not 3 and 4"]),
        (lambda x: tf.nn.conv2d(x, num_filter=2), (3, 4, 4), ["x has the wrong rank", "[3, 4, 4]"]),
        (lambda x: tf.nn.max_pool(x, 3, padding="VALID"), (1, 3, 2, 2), ["window 3", "size 2"]),
        (lambda x: tf.nn.batch_norm(x), (3, 4, 5), ["x has the wrong rank", "[3, 4, 5]"]),
        (lambda x: tf.pad(x, dim=3, pad=1), (3, 4), ["axis", "(3,)"]),
    ],
)  # fmt: skip
def test_images_that_do_not_fit_are_named(build, shape, words):
    y = build(tf.placeholder(tf.float32, shape))
    with pytest.raises(ShapeError) as caught:
        y.shape  # noqa: B018
    for word in words:
        assert word in str(caught.value)


def hwio(*shape):
    return tf.constant(normal(*shape))


def test_a_run_without_moving_statistics_says_how_to_start_them():
    x, y, _, step = norm_network()
    found = variables_of(y, {x: (2, 3, 4, 4)})
    session = tf.Session()
    session.run([tf.assign(v, np.ones(shape)) for v, shape in found.values()])
    with pytest.raises(TinyflowError, match=r"bn_moving_\w+.*initialize_all_variables"):
        session.run(step, {x: normal(2, 3, 4, 4)})
