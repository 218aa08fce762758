"""Which layout images have: found behind whatever makes images of images, never guessed."""

import numpy as np
import pytest
import torch

import tinyflow as tf
from tinyflow.errors import GraphError, ShapeError
from tinyflow.frontend.tf import images

from .images import nhwc, normal, run, variables_of

POOL = ([1, 2, 2, 1], [1, 2, 2, 1], "SAME")  # as TensorFlow's scripts call it
IMAGE = normal(2, 4, 7, 8)  # NCHW


@pytest.fixture(autouse=True)
def _fresh_graph():
    tf.reset_default_graph()


@tf.custom_gradient
def _clipped_slope(x):
    return x * 2.0, lambda dy: tf.clip_by_value(dy, -1.0, 1.0)


# Each once for each layout: channels, rows and columns are axes c, h and w.
KEEP_IMAGES = {
    "concat": lambda x, c, h, w: tf.concat([x, x], c),
    "concat of rows": lambda x, c, h, w: tf.concat([x, x], h),
    "split": lambda x, c, h, w: tf.split(x, 2, axis=c)[1],
    "pad": lambda x, c, h, w: tf.pad(x, [[0, 0], *([int(i != c)] * 2 for i in (1, 2, 3))]),
    "slice": lambda x, c, h, w: x[tuple(slice(1, -1) if i in (h, w) else slice(None)
                                        for i in range(4))],
    "tf.slice": lambda x, c, h, w: tf.slice(x, [0, 0, 0, 0], [-1, 2, 2, 2]),
    "where": lambda x, c, h, w: tf.where(x > 0.0, x, tf.zeros_like(x)),
    "clip": lambda x, c, h, w: tf.clip_by_value(x, -0.5, 0.5),
    "dropout": lambda x, c, h, w: tf.nn.dropout(x, 1.0),
    "custom gradient": lambda x, c, h, w: _clipped_slope(x),
    "reshape": lambda x, c, h, w: tf.reshape(tf.nn.relu(x), [-1, *x.shape[1:]]),
    "cast": lambda x, c, h, w: tf.cast(tf.cast(x, tf.float64), tf.float32),
    "softmax": lambda x, c, h, w: tf.nn.softmax(x, c),
    "stop_gradient": lambda x, c, h, w: tf.stop_gradient(x),
    "mean": lambda x, c, h, w: x - tf.reduce_mean(x, [h, w], keepdims=True),
    "transpose of rows and columns": lambda x, c, h, w: tf.transpose(
        x, [0, 1, 3, 2] if c == 1 else [0, 2, 1, 3]),
    "squeeze and excite": lambda x, c, h, w: x * tf.reshape(
        tf.sigmoid(tf.reduce_mean(x, [h, w])), [-1, 4, 1, 1] if c == 1 else [-1, 1, 1, 4]),
    "flat and back": lambda x, c, h, w: tf.reshape(
        tf.reshape(x, [2, -1]) * 2.0, [-1, *x.shape[1:]]),
    "one by one": lambda x, c, h, w: tf.stack(tf.unstack(x)),
}  # fmt: skip


def convolved(layout):
    """IMAGE through a convolution by the unit filter, in the dialect of the layout."""
    one = np.eye(4, dtype="float32")
    if layout == "NHWC":
        return tf.nn.conv2d(tf.constant(nhwc(IMAGE)), tf.constant(one[None, None]), 1, "SAME")
    return tf.nn.conv2d(tf.constant(IMAGE), num_filter=4, weight=tf.constant(one[:, :, None, None]))


AXES = {"NCHW": (1, 2, 3), "NHWC": (3, 1, 2)}


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("kind", KEEP_IMAGES)
def test_a_pool_behind_what_keeps_images_has_the_layout_of_their_convolution(kind, layout):
    between = KEEP_IMAGES[kind](convolved(layout), *AXES[layout])
    pooled = tf.nn.max_pool(between, *POOL)
    given, got = tf.Session().run([between, pooled])
    images = torch.from_numpy(given if layout == "NCHW" else given.transpose(0, 3, 1, 2).copy())
    expected = torch.nn.functional.max_pool2d(images, 2, ceil_mode=layout == "NHWC").numpy()
    np.testing.assert_array_equal(got, expected if layout == "NCHW" else nhwc(expected))


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("kind", KEEP_IMAGES)
def test_so_has_a_batch_normalisation(kind, layout):
    between = KEEP_IMAGES[kind](convolved(layout), *AXES[layout])
    y = tf.nn.batch_norm(between, name="bn")
    channels = between.shape[AXES[layout][0]]
    found = {name: shape for name, (_, shape) in variables_of(y, {}).items()}
    assert found == {"bn_gamma": (channels,), "bn_beta": (channels,)}


def test_transposed_images_have_the_layout_that_the_transposition_gives_them():
    x = tf.placeholder(tf.float32, [None, 7, 8, 4])
    pooled = tf.nn.max_pool(tf.transpose(x, [0, 3, 1, 2]), *POOL)
    c = convolved("NHWC")
    again = tf.nn.max_pool(tf.nn.relu(tf.transpose(c, [0, 3, 1, 2])), *POOL)
    swapped = tf.nn.max_pool(tf.transpose(c, [0, 3, 2, 1]), *POOL)
    expected = torch.nn.functional.max_pool2d(torch.from_numpy(IMAGE), 2).numpy()
    np.testing.assert_array_equal(run(pooled, {x: nhwc(IMAGE)}), expected)
    np.testing.assert_array_equal(run(again), np.maximum(expected, 0))
    np.testing.assert_array_equal(run(swapped), expected.transpose(0, 1, 3, 2))


def test_a_gradient_of_images_has_their_layout():
    x = tf.placeholder(tf.float32, [2, 7, 8, 4])
    y = tf.nn.conv2d(x, tf.constant(normal(3, 3, 4, 4)), 1, "SAME")
    slope = tf.gradients(tf.reduce_sum(y * y), [x])[0]
    assert run(tf.nn.max_pool(slope, *POOL), {x: nhwc(IMAGE)}).shape == (2, 4, 4, 4)


def test_images_that_a_convolution_read_have_its_layout_for_other_readers():
    x = tf.placeholder(tf.float32, [2, 8, 8, 3])
    branch = tf.nn.conv2d(x, tf.constant(normal(1, 1, 3, 5)), [1, 2, 2, 1], "SAME")
    joined = tf.concat([branch, tf.nn.max_pool(tf.pad(x, [[0, 0]] * 4), *POOL)], 3)
    got = run(joined, {x: nhwc(normal(2, 3, 8, 8))})
    assert got.shape == (2, 4, 4, 8)


def test_behind_a_matrix_product_the_dialect_is_that_of_the_convolutions_before():
    flat = tf.reshape(convolved("NHWC"), [2, 7 * 8 * 4])
    images = tf.reshape(tf.matmul(flat, tf.constant(normal(224, 96))), [-1, 4, 4, 6])
    assert run(tf.nn.max_pool(images, *POOL)).shape == (2, 2, 2, 6)
    found = variables_of(tf.nn.batch_norm(images, name="bn"), {})
    assert [shape for _, shape in found.values()] == [(6,), (6,)]


@pytest.mark.parametrize("pool", [tf.nn.max_pool, tf.nn.avg_pool])
def test_a_pool_that_leaves_out_what_tensorflow_demands_is_tinyflows(pool):
    x = tf.placeholder(tf.float32)
    for y in (pool(x, [1, 2, 2, 1], [1, 2, 2, 1]), pool(x, [1, 2, 2, 1], padding="VALID")):
        assert run(y, {x: IMAGE}).shape[:2] == (2, 4)


def test_sizes_decide_where_they_allow_one_layout_only():
    gray = tf.placeholder(tf.float32, [None, 28, 28, 1])  # NCHW would be one column
    pooled = tf.nn.max_pool(gray, *POOL)
    assert run(pooled, {gray: normal(2, 28, 28, 1)}).shape == (2, 14, 14, 1)
    across = tf.placeholder(tf.float32, [2, 6, 6, 6])
    windows = tf.nn.max_pool(across, [1, 1, 2, 2], [1, 1, 2, 2], "VALID")  # NHWC has none such
    assert run(windows, {across: normal(2, 6, 6, 6)}).shape == (2, 6, 3, 3)
    x, four = tf.placeholder(tf.float32, [2, 7, 8, 4]), tf.constant(np.ones(4, "float32"))
    y = tf.nn.batch_norm(x, four, four, epsilon=0.0, name="bn")
    session = tf.Session()
    session.run(tf.initialize_all_variables())
    mean, std = IMAGE.mean((0, 2, 3)), IMAGE.std((0, 2, 3))
    expected = (nhwc(IMAGE) - mean) / std + 1
    np.testing.assert_allclose(session.run(y, {x: nhwc(IMAGE)}), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "layer",
    [
        lambda x: tf.nn.max_pool(x, *POOL),
        lambda x: tf.nn.avg_pool(tf.nn.relu(x), *POOL),
        lambda x: tf.nn.max_pool(tf.reshape(x, [-1, 8, 8, 4]), *POOL),
        lambda x: tf.nn.batch_norm(x),
        lambda x: tf.nn.batch_norm(tf.concat([x, x], 1)),
        lambda x: tf.nn.max_pool(tf.transpose(convolved("NCHW"), [1, 0, 2, 3]), *POOL),
        lambda x: tf.nn.max_pool(
            convolved("NCHW")[:, :, :4, :4] + convolved("NHWC")[:, :4, :4], *POOL
        ),
    ],
)
@pytest.mark.parametrize("shape", [[2, 8, 8, 4], None])
def test_images_that_may_be_either_are_refused_and_the_word_is_asked_for(layer, shape):
    x = tf.placeholder(tf.float32, shape, name="pictures")
    with pytest.raises(GraphError) as caught:
        layer(x)
    for word in ("test_image_layouts.py:", "NCHW or NHWC", "Give data_format='NHWC' or 'NCHW'"):
        assert word in str(caught.value)


def test_images_that_two_layers_read_differently_are_refused():
    x = tf.placeholder(tf.float32, [2, 8, 8, 8])
    tf.nn.max_pool(x, *POOL, data_format="NHWC")
    tf.nn.max_pool(x, *POOL, data_format="NCHW")
    with pytest.raises(GraphError, match="NCHW or NHWC"):
        tf.nn.max_pool(x, *POOL)


def test_the_word_decides_against_everything_else():
    y = tf.placeholder(tf.float32, [2, 7, 8, 4])
    tf.nn.max_pool(y, *POOL, data_format="NHWC")  # another reader, who may be another dialect
    c = tf.nn.max_pool(y, *POOL, data_format="NCHW")
    assert run(c, {y: nhwc(IMAGE)}).shape == (2, 7, 4, 2)
    x = tf.placeholder(tf.float32, [2, 28, 28, 1])
    with pytest.raises(ShapeError, match="window 2"):
        tf.nn.max_pool(x, *POOL, data_format="NCHW").shape  # noqa: B018


def test_a_bias_of_images_behind_other_ops_follows_their_layout():
    bias = np.arange(8, dtype="float32")
    for layout in ("NCHW", "NHWC"):
        c = convolved(layout)
        both = tf.concat([c, c], AXES[layout][0])
        got = run(tf.nn.bias_add(both, bias))
        got = got if layout == "NCHW" else got.transpose(0, 3, 1, 2)
        np.testing.assert_allclose(got, np.concatenate([IMAGE] * 2, 1) + bias[:, None, None])


def biased_along(value, feeds=None):
    """The axis along which bias_add adds a bias to value, whose sizes are all that of the bias."""
    got = run(tf.nn.bias_add(value, tf.constant([0.0, 1.0, 2.0, 3.0])) - value, feeds)
    return [axis for axis in range(4) if np.ptp(got, axis=axis).max() > 0.5]


def test_a_bias_goes_along_the_last_axis_whoever_else_reads_its_images():
    x = tf.placeholder(tf.float32, [2, 4, 4, 4])
    feeds = {x: np.zeros((2, 4, 4, 4))}
    assert biased_along(x, feeds) == [3]
    tf.nn.conv2d(x, num_filter=2, ksize=[1, 3, 3, 1])
    tf.nn.max_pool(x, *POOL, data_format="NCHW")
    assert biased_along(x, feeds) == biased_along(tf.nn.relu(x), feeds) == [3]
    assert biased_along(tf.transpose(x, [0, 3, 1, 2]), feeds) == [3]


def test_a_bias_of_attention_heads_behind_a_convolution_goes_along_the_last_axis():
    eye = tf.constant(np.eye(16, dtype="float32"))
    rows = tf.reshape(convolved("NCHW"), [2 * 14, 16])
    heads = tf.transpose(tf.reshape(tf.matmul(rows, eye), [2, 14, 4, 4])[:, :4], [0, 2, 1, 3])
    assert biased_along(heads) == [3]
    images = convolved("NCHW")[:, :, :4, :4]
    assert biased_along(images) == [1]
    assert biased_along(tf.reshape(tf.reshape(images, [2, 2, 8, 4]), [2, 4, 4, 4])) == [3]
    assert biased_along(tf.transpose(images, [0, 2, 1, 3])) == [3]
    both = images + convolved("NHWC")[:, :4, :4]
    with pytest.raises(GraphError, match="may be NCHW or NHWC"):
        tf.nn.bias_add(both, np.ones(4, "float32"))


@pytest.mark.parametrize(
    ("made", "wanted", "layer"),
    [
        ("NHWC", "NCHW", lambda x: tf.nn.conv2d(x, num_filter=2, ksize=[1, 3, 3, 1])),
        ("NHWC", "NCHW", lambda x: tf.nn.max_pool(x, *POOL, data_format="NCHW")),
        ("NHWC", "NCHW", lambda x: tf.nn.batch_norm(x, data_format="NCHW")),
        ("NHWC", "NCHW", lambda x: tf.nn.bias_add(x, np.ones(4, "float32"), "NCHW")),
        ("NCHW", "NHWC", lambda x: tf.nn.conv2d(x, tf.ones([1, 1, 4, 2]), 1, "SAME")),
        ("NCHW", "NHWC", lambda x: tf.layers.conv2d(x, 2, 3)),
        ("NCHW", "NHWC", lambda x: tf.layers.max_pooling2d(x, 2, 2)),
        ("NCHW", "NHWC", lambda x: tf.layers.average_pooling2d(x, 2, 2)),
    ],
)
def test_a_layer_of_the_other_dialect_is_refused_unless_a_transposition_is_between(
    made, wanted, layer
):
    for x in (convolved(made), tf.nn.relu(convolved(made)) * 2.0):
        with pytest.raises(GraphError) as caught:
            layer(x)
        for word in (f"made {made} images", f"expected {wanted} images", "tf.transpose", "test_im"):
            assert word in str(caught.value)
        layer(tf.transpose(x, [0, 3, 1, 2] if wanted == "NCHW" else [0, 2, 3, 1]))
    layer(tf.placeholder(tf.float32, [2, 4, 4, 4]))  # nothing known
    flat = tf.reshape(convolved(made), [2, 224])
    layer(tf.reshape(flat, [2, 4, 14, 4]) if made == "NCHW" else tf.reshape(flat, [2, 4, 7, 8]))


def test_images_are_looked_for_again_once_a_layer_has_read_them():
    x = tf.placeholder(tf.float32, [2, 8, 8, 4])
    y = tf.nn.relu(x)
    for _ in range(2):
        with pytest.raises(GraphError, match="may be NCHW or NHWC"):
            tf.nn.max_pool(y, *POOL)
    tf.layers.conv2d(x, 2, 3)
    assert tf.nn.max_pool(y, *POOL).shape == (2, 4, 4, 4)


@pytest.mark.parametrize(
    "layer",
    [
        lambda h: tf.nn.bias_add(h, tf.zeros([4])),
        lambda h: tf.nn.max_pool(h, [1, 1, 1, 1], [1, 1, 1, 1], "SAME", "NHWC") + h,
        lambda h: tf.nn.batch_norm(h, data_format="NHWC") + h,
        lambda h: tf.nn.batch_norm(tf.nn.conv2d(h, tf.ones([1, 1, 4, 4]))) + h,
    ],
)
def test_each_value_of_a_deep_network_is_looked_at_a_few_times(layer, monkeypatch):
    looked = []
    monkeypatch.setattr(images, "_sources", lambda *a: looked.append(a) or SOURCES(*a))
    h = tf.placeholder(tf.float32, [1, 4, 4, 4])
    for _ in range(LAYERS):
        h = layer(tf.tanh(h))
    assert len(looked) < 40 * LAYERS


SOURCES, LAYERS = images._sources, 300  # a search from each would look at 45,000 and more
