"""Convolutions and pools: both dialects, inferred variables, layouts, wrong calls."""

import numpy as np
import pytest
import torch

import tinyflow as tf
from tinyflow.errors import GraphError, ShapeError, TinyflowError

from .images import nhwc, normal, run, variables_of


@pytest.fixture(autouse=True)
def _fresh_graph():
    tf.reset_default_graph()


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


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("dilation", [(2, 1), (2, 3)])
def test_dilated_filters_of_both_dialects_agree_with_torch(padding, dilation):
    image, weight = normal(2, 3, 11, 12), normal(4, 3, 3, 3)
    mine = {"num_filter": 4, "ksize": [1, 3, 3, 1], "weight": tf.constant(weight)}
    spread = {"padding": padding, "dilations": [1, *dilation, 1]}
    y = tf.nn.conv2d(tf.constant(image), **mine, **spread)
    hwio = tf.constant(weight.transpose(2, 3, 1, 0))
    z = tf.nn.conv2d(tf.constant(nhwc(image)), hwio, [1, 1, 1, 1], **spread)
    amount = [d if padding == "SAME" else 0 for d in dilation]  # (3 - 1) * d / 2
    expected = torch.nn.functional.conv2d(
        torch.from_numpy(image), torch.from_numpy(weight), None, 1, amount, dilation
    ).numpy()
    np.testing.assert_allclose(run(y), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(run(z), nhwc(expected), rtol=1e-4, atol=1e-4)


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


def hwio(*shape):
    return tf.constant(normal(*shape))


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


def test_a_window_that_is_no_whole_number_is_refused() -> None:
    images = tf.placeholder(tf.float32, [1, 1, 8, 8])
    with pytest.raises(TinyflowError, match="dilations"):
        tf.nn.conv2d(images, num_filter=2, ksize=[1, 3, 3, 1], dilations=1.5)
