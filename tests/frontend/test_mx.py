"""MXNet's symbol language on the engine: names, shapes, training, and equal graphs with tf."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

import tinyflow as tf
import tinyflow.frontend.mx as mx
from tinyflow.datasets import get_mnist
from tinyflow.errors import (
    DTypeError,
    FeedError,
    GradientError,
    GraphError,
    RunError,
    ShapeError,
    TinyflowError,
)
from tinyflow.ir import Graph, text, verify


def mlp(hidden: int = 32) -> mx.Symbol:
    data = mx.sym.Variable("data")
    h = mx.sym.FullyConnected(data, num_hidden=hidden, name="fc1")
    h = mx.sym.Activation(data=h, act_type="relu", name="relu1")
    return mx.sym.FullyConnected(h, num_hidden=10, name="fc2")


def lenet() -> mx.Symbol:
    x = mx.Variable("data", shape=(0, 1, 28, 28))
    x = mx.Convolution(x, kernel=(5, 5), num_filter=6, pad=(2, 2), name="conv1")
    x = mx.Activation(x, act_type="tanh", name="tanh1")
    x = mx.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="max", name="pool1")
    x = mx.FullyConnected(mx.Flatten(x, name="flat"), num_hidden=10, no_bias=True, name="fc1")
    return mx.softmax(x, name="prob")


def randomise(executor: mx.Executor, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    for array in executor.arg_dict.values():
        array[:] = rng.normal(0, 0.3, array.shape)


# names and shapes -------------------------------------------------------------------------------


def test_nodes_without_a_name_are_numbered_by_kind() -> None:
    with mx.NameManager():
        x = mx.Variable("data")
        h = mx.FullyConnected(mx.FullyConnected(x, num_hidden=4), num_hidden=3)
        y = (mx.relu(h) + h) * 2 + 1
    assert h.list_arguments() == [
        *("data", "fullyconnected0_weight", "fullyconnected0_bias"),
        *("fullyconnected1_weight", "fullyconnected1_bias"),
    ]
    assert y.list_outputs() == ["_plusscalar0_output"]
    assert [row["name"] for row in json.loads(y.tojson())["nodes"]][-4:] == [
        *("relu0", "_plus0", "_mulscalar0", "_plusscalar0")
    ]


def test_parameters_are_named_after_their_layer() -> None:
    net = mx.SoftmaxOutput(mx.BatchNorm(lenet(), name="bn"), name="softmax")
    assert net.list_arguments() == [
        *("data", "conv1_weight", "conv1_bias", "fc1_weight", "bn_gamma", "bn_beta"),
        "softmax_label",
    ]
    assert net.list_auxiliary_states() == ["bn_moving_mean", "bn_moving_var"]
    assert net.list_outputs() == ["softmax_output"]


def test_shapes_are_inferred_through_layers_and_back_to_labels() -> None:
    net = mx.SoftmaxOutput(mlp(), name="softmax")
    arguments, outputs, states = net.infer_shape(data=(100, 784))
    assert arguments == [(100, 784), (32, 784), (32,), (10, 32), (10,), (100,)]
    assert outputs == [(100, 10)] and states == []


def test_states_get_the_shape_of_their_channels() -> None:
    x = mx.Convolution(mx.Variable("data"), kernel=(3, 3), num_filter=8, name="c")
    arguments, outputs, states = mx.BatchNorm(x, name="bn").infer_shape(data=(2, 3, 8, 8))
    assert arguments[3:] == [(8,), (8,)] and states == [(8,), (8,)]
    assert outputs == [(2, 8, 6, 6)]


def test_what_cannot_be_inferred_is_none_and_zero_means_unknown() -> None:
    arguments, outputs, _ = mlp().infer_shape(data=(0, 784))
    assert arguments[0] == (None, 784) and outputs == [(None, 10)]
    with pytest.raises(GraphError, match="shapes are missing.*data.*Give the shapes"):
        mlp().simple_bind(data=(0, 784))


def test_types_are_inferred_forwards_and_backwards() -> None:
    net = mx.BatchNorm(mx.SoftmaxOutput(mlp(), name="softmax"), name="bn")
    assert net.infer_type() == ([np.float32] * 8, [np.float32], [np.float32] * 2)
    for name in ("data", "fc2_bias", "bn_moving_var"):
        assert net.infer_type(**{name: "float64"}) == (
            [np.float64] * 8,
            [np.float64],
            [np.float64] * 2,
        )
    x = mx.Variable("x", dtype=np.float64)
    apart = mx.Group([mx.relu(x), mx.relu(mx.Variable("y"))])
    assert apart.infer_type()[1] == [np.float64, np.float32]


@pytest.mark.parametrize("config", ["cpu", "numpy"])
def test_a_network_of_doubles_is_computed_in_doubles(config: str) -> None:
    run = lenet().simple_bind(config, type_dict={"data": "float64"}, data=(2, 1, 28, 28))
    assert {array.dtype for array in (run.arg_dict | run.grad_dict).values()} == {np.dtype("f8")}
    randomise(run)
    (y,) = run.forward(is_train=True)
    head, step = np.random.default_rng(1).normal(size=(2, 10)), 1e-6
    run.backward(head)
    slope = run.grad_dict["conv1_weight"][0, 0, 2, 2]
    run.arg_dict["conv1_weight"][0, 0, 2, 2] += step
    after = run.forward()[0]
    assert after.dtype == np.float64
    np.testing.assert_allclose(((after - y) * head).sum() / step, slope, rtol=1e-4)


def test_a_loss_of_doubles_has_gradients_of_doubles() -> None:
    net = mx.SoftmaxOutput(mx.Variable("x", dtype="float64"), name="softmax")
    run = net.simple_bind(x=(2, 3))
    run.forward(is_train=True, x=[[0, 1, 2], [3, 4, 5]], softmax_label=[0, 1])
    run.backward()
    p = np.exp([0, 1, 2]) / np.exp([0, 1, 2]).sum()
    np.testing.assert_allclose(run.grad_dict["x"], [p - [1, 0, 0], p - [0, 1, 0]], rtol=1e-12)


def test_a_group_has_all_outputs_and_an_index_picks_one() -> None:
    net = mlp()
    both = mx.Group([net, mx.softmax(net, name="prob")])
    assert both.list_outputs() == ["fc2_output", "prob_output"]
    assert both["prob_output"].list_outputs() == both[1].list_outputs() == ["prob_output"]
    with pytest.raises(GraphError, match=r"no such output.*'fc9_output'.*fc2_output, prob_output"):
        both["fc9_output"]
    with pytest.raises(GraphError, match="wrong inputs.*symbols of one result"):
        mx.relu(both)


# one IR -----------------------------------------------------------------------------------------


def test_tf_and_mx_print_the_same_mlp() -> None:
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, name="data")
        h = tf.nn.linear(x, num_hidden=32, no_bias=False, name="fc1")
        h = tf.nn.relu(h, name="relu1")
        h = tf.nn.linear(h, num_hidden=10, no_bias=False, name="fc2")
        expected = text(Graph((tf.nn.softmax(h, name="prob").value,)))
    assert text(mx.softmax(mlp(), name="prob").graph()) == expected


def test_tf_and_mx_print_the_same_lenet() -> None:
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [None, 1, 28, 28], name="data")
        x = tf.nn.conv2d(x, num_filter=6, ksize=[1, 5, 5, 1], no_bias=False, name="conv1")
        x = tf.nn.tanh(x, name="tanh1")
        pool = [1, 2, 2, 1]
        x = tf.nn.max_pool(x, ksize=pool, strides=pool, padding="VALID", name="pool1")
        x = tf.nn.linear(tf.nn.flatten_layer(x, name="flat"), num_hidden=10, name="fc1")
        expected = text(Graph((tf.nn.softmax(x, name="prob").value,)))
    assert text(lenet().graph()) == expected


def test_a_network_of_two_thousand_layers_is_described() -> None:
    net = mx.Variable("data")
    for _ in range(2000):
        net = mx.FullyConnected(net, num_hidden=3, no_bias=True)
    assert len(net.list_arguments()) == 2001
    assert net.infer_shape(data=(2, 3))[1] == [(2, 3)]
    assert mx.load_json(net.tojson()).list_arguments() == net.list_arguments()


def test_lowered_graphs_are_well_formed() -> None:
    for training in (False, True):
        verify(mx.SoftmaxOutput(mx.Dropout(lenet()), name="softmax").graph(training))


# running ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", ["cpu", "numpy", "cpu fusion"])
def test_forward_and_backward_agree_with_torch(config: str) -> None:
    net = lenet()
    run = net.simple_bind(config, data=(4, 1, 28, 28))
    randomise(run)
    head = np.random.default_rng(1).normal(size=(4, 10)).astype("float32")
    (y,) = run.forward(is_train=True)
    run.backward(head)
    at = {n: torch.tensor(np.array(a), requires_grad=True) for n, a in run.arg_dict.items()}
    t = torch.nn.functional.conv2d(at["data"], at["conv1_weight"], at["conv1_bias"], padding=2)
    t = torch.nn.functional.max_pool2d(torch.tanh(t), 2).flatten(1) @ at["fc1_weight"].T
    expected = torch.softmax(t, 1)
    expected.backward(torch.tensor(head))  # type: ignore[no-untyped-call]
    np.testing.assert_allclose(y.asnumpy(), expected.detach().numpy(), rtol=1e-4, atol=1e-6)
    for name, slope in run.grad_dict.items():
        np.testing.assert_allclose(slope, at[name].grad, rtol=2e-3, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("config", ["cpu", "numpy"])
def test_a_convolution_in_groups_and_dilated_agrees_with_torch(config: str) -> None:
    options: Any = {"kernel": (3, 2), "num_filter": 6, "num_group": 2, "dilate": (2, 3)}
    net = mx.Convolution(mx.Variable("x"), stride=(2, 1), pad=(1, 2), name="c", **options)
    assert net.infer_shape(x=(2, 4, 9, 8))[0][1:] == [(6, 2, 3, 2), (6,)]
    run = net.simple_bind(config, x=(2, 4, 9, 8))
    randomise(run)
    at = [torch.tensor(np.array(a), requires_grad=True) for a in run.arg_dict.values()]
    expected = torch.nn.functional.conv2d(*at, (2, 1), (1, 2), (2, 3), 2)
    (y,) = run.forward(is_train=True)
    np.testing.assert_allclose(y, expected.detach(), rtol=1e-4, atol=1e-5)
    run.backward(np.ones(expected.shape))
    expected.sum().backward()  # type: ignore[no-untyped-call]
    for slope, tensor in zip(run.grad_dict.values(), at):
        np.testing.assert_allclose(slope, tensor.grad, rtol=1e-4, atol=1e-4)
    assert mx.load_json(net.tojson()).tojson() == net.tojson()


@pytest.mark.parametrize("config", ["cpu", "numpy"])
def test_an_mlp_learns_digits(config: str) -> None:
    net = mx.sym.SoftmaxOutput(mlp(), name="softmax")
    run = net.simple_bind(ctx=config, data=(100, 784))
    randomise(run)
    mnist = get_mnist(flatten=True)
    for _ in range(80):
        images, labels = mnist.train.next_batch(100)
        run.forward(is_train=True, data=images, softmax_label=labels)
        run.backward()
        for name in ("fc1_weight", "fc1_bias", "fc2_weight", "fc2_bias"):
            run.arg_dict[name] -= 0.2 / 100 * run.grad_dict[name]
    right = 0
    for start in range(0, 500, 100):
        images, labels = mnist.test.images[start : start + 100], mnist.test.labels
        prob = run.forward(data=images)[0]
        right += int((prob.argmax(1) == labels[start : start + 100]).sum())
    assert right > 375


@pytest.mark.parametrize(
    ("options", "factor"),
    [({}, 1.0), ({"grad_scale": 2.0}, 2.0), ({"normalization": "batch"}, 0.25)],
)
def test_the_gradient_of_softmax_output_is_p_minus_onehot(options: Any, factor: float) -> None:
    net = mx.SoftmaxOutput(mx.Variable("x"), name="softmax", **options)
    run = net.simple_bind(x=(4, 3))
    x, label = np.random.default_rng(0).normal(size=(4, 3)), np.array([0, 2, 1, 1])
    (p,) = run.forward(is_train=True, x=x, softmax_label=label)
    run.backward()
    expected = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    np.testing.assert_allclose(p, expected, rtol=1e-5)
    np.testing.assert_allclose(
        run.grad_dict["x"], factor * (expected - np.eye(3)[label]), rtol=1e-5, atol=1e-6
    )
    assert (run.grad_dict["softmax_label"] == 0).all()


def test_batch_norm_moves_its_states_in_training_and_uses_them_otherwise() -> None:
    net = mx.BatchNorm(mx.Variable("x"), eps=1e-5, momentum=0.8, fix_gamma=False, name="bn")
    run = net.simple_bind(x=(8, 3, 4, 4))
    run.arg_dict["bn_gamma"][:], run.aux_dict["bn_moving_var"][:] = 2.0, 1.0
    x = np.random.default_rng(0).normal(1, 3, (8, 3, 4, 4)).astype("float32")
    (y,) = run.forward(is_train=True, x=x)
    mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3))
    wide = (slice(None), None, None)
    np.testing.assert_allclose(
        y, 2 * (x - mean[wide]) / np.sqrt(variance[wide] + 1e-5), rtol=1e-3, atol=1e-4
    )
    np.testing.assert_allclose(run.aux_dict["bn_moving_mean"], 0.2 * mean, rtol=1e-4)
    np.testing.assert_allclose(run.aux_dict["bn_moving_var"], 0.8 + 0.2 * variance, rtol=1e-4)
    state = run.aux_dict["bn_moving_mean"].asnumpy()
    (y,) = run.forward(x=x)
    moved = 2 * (x - 0.2 * mean[wide]) / np.sqrt(0.8 + 0.2 * variance[wide] + 1e-5)
    np.testing.assert_allclose(y, moved, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(run.aux_dict["bn_moving_mean"], state)


def test_a_fixed_gamma_counts_as_one_and_has_no_gradient() -> None:
    run = mx.BatchNorm(mx.Variable("x"), name="bn").simple_bind(x=(4, 2, 3, 3))
    randomise(run)
    (y,) = run.forward(is_train=True)
    np.testing.assert_allclose(y.std((0, 2, 3)), 1.0, rtol=0.05)
    run.grad_dict["bn_gamma"][:] = 7.0
    run.backward(np.ones((4, 2, 3, 3)))
    assert (run.grad_dict["bn_gamma"] == 0).all()
    np.testing.assert_allclose(run.grad_dict["bn_beta"], [36.0, 36.0])


def test_dropout_drops_the_same_forward_and_backward_and_nothing_in_inference() -> None:
    run = mx.Dropout(mx.Variable("x"), p=0.25).simple_bind(x=(100, 100))
    run.arg_dict["x"][:] = 1.0
    for _ in range(2):
        (y,) = run.forward(is_train=True)
        run.backward(np.ones((100, 100)))
        assert 0.7 < (y != 0).mean() < 0.8
        np.testing.assert_allclose(np.unique(y), [0, 4 / 3], rtol=1e-6)
        np.testing.assert_array_equal(run.grad_dict["x"], y)
    assert (run.forward()[0] == 1.0).all()


def test_gradients_are_written_added_or_not_asked_for() -> None:
    net = mx.Variable("a") * mx.Variable("b") - mx.Variable("c")
    shapes = dict.fromkeys("abc", (3,))
    run = net.simple_bind(grad_req={"a": "write", "b": "add"}, **shapes)
    assert list(run.grad_dict) == ["a", "b"]
    for _ in range(3):
        run.forward(is_train=True, a=[1, 2, 3], b=[4, 5, 6])
        run.backward([np.ones(3)])
    np.testing.assert_array_equal(run.grad_dict["a"], [4, 5, 6])
    np.testing.assert_array_equal(run.grad_dict["b"], [3, 6, 9])


def test_operators_compute_what_python_does() -> None:
    x = mx.Variable("x")
    y = mx.Group([1 - x, x - 1, 2 / x, x / 2, x**2, -1 * x, x * x + x / (x + 1), 1 + x])
    run = y.simple_bind(x=(3,))
    v = np.array([1.0, 2.0, 4.0])
    outputs = run.forward(x=v)
    expected = [1 - v, v - 1, 2 / v, v / 2, v**2, -v, v * v + v / (v + 1), 1 + v]
    for got, want in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6)
    assert list(run.output_dict) == y.list_outputs()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"kernel": (2, 2), "pool_type": "avg", "stride": (2, 2)}, [[2.5, 4.5], [10.5, 12.5]]),
        ({"kernel": (2, 2), "stride": (2, 2)}, [[5, 7], [13, 15]]),
        ({"kernel": (1, 1), "global_pool": True, "pool_type": "avg"}, [[7.5]]),
        ({"kernel": (1, 1), "global_pool": True}, [[15]]),
        (
            {
                **{"kernel": (2, 2), "stride": (3, 3), "pad": (1, 1), "pool_type": "avg"},
                "count_include_pad": False,
            },
            [[0, 2.5], [10, 12.5]],
        ),
    ],
)
def test_pooling(options: Any, expected: Any) -> None:
    run = mx.Pooling(mx.Variable("x"), **options).simple_bind(x=(1, 1, 4, 4))
    (y,) = run.forward(x=np.arange(16).reshape(1, 1, 4, 4))
    np.testing.assert_allclose(y[0, 0], expected)


def test_concat_reshape_and_softmax_of_rows() -> None:
    x, y = mx.Variable("x"), mx.Variable("y")
    net = mx.Concat(mx.Reshape(x, shape=(0, -1)), mx.Reshape(y, shape=(2, -1)), name="both")
    run = mx.SoftmaxActivation(net).simple_bind(x=(2, 1, 2), y=(4,))
    (p,) = run.forward(x=np.zeros((2, 1, 2)), y=[0, 0, np.log(3), 0])
    np.testing.assert_allclose(p, [[1 / 4] * 4, [1 / 6, 1 / 6, 1 / 2, 1 / 6]], rtol=1e-5)


def test_two_losses_in_a_group_train_together() -> None:
    x = mx.Variable("x")
    net = mx.Group([mx.SoftmaxOutput(x, name="a"), mx.BlockGrad(x, name="seen")])
    run = net.simple_bind(x=(2, 3))
    run.forward(is_train=True, x=np.zeros((2, 3)), a_label=[0, 1])
    run.backward([None, np.ones((2, 3))])
    np.testing.assert_allclose(run.grad_dict["x"][0], [-2 / 3, 1 / 3, 1 / 3], rtol=1e-5)


# bad input --------------------------------------------------------------------------------------


def bound() -> mx.Executor:
    return mlp().simple_bind(data=(2, 5))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: mx.FullyConnected(mx.Variable("x"), name="f"), GraphError, "'num_hidden'"),
        (lambda: mx.relu(mx.Variable("x"), slope=1.0), GraphError, "unknown attribute.*slope"),
        (lambda: mx.relu(mx.Variable("x"), weight=mx.Variable("w")), GraphError, "wrong inputs"),
        (lambda: mx.relu(3.0), GraphError, "wrong inputs"),
        (lambda: mx.Activation(mx.Variable("x"), act_type="elu"), GraphError, "'elu'.*'relu' or"),
        (
            lambda: mx.Convolution(
                mx.Variable("x"), kernel=(3, 3), num_filter=1, dilate=(2,), name="c"
            ).graph(),
            GraphError,
            r"'c'.*only images.*dilate \(2,\).*expected two sizes",
        ),
        (
            lambda: mx.Convolution(
                mx.Variable("x"), kernel=(3, 3), num_filter=4, num_group=3, name="c"
            ).infer_shape(x=(1, 3, 9, 9)),
            ShapeError,
            r"conv2d 'c'.*cannot cut into groups.*3 groups",
        ),
        (
            lambda: mx.Convolution(mx.Variable("x"), kernel=(3,), num_filter=1, name="c").graph(),
            GraphError,
            r"'c'.*only images are supported.*kernel \(3,\)",
        ),
        (lambda: mx.Dropout(mx.Variable("x"), p=1.0).graph(), GraphError, "wrong p.*0 <= p < 1"),
        (lambda: mx.Reshape(mx.Variable("x"), shape=(-2,)).graph(), GraphError, "wrong shape"),
        (lambda: mx.Variable("x") + "1", GraphError, "cannot plus.*'1'.*a number"),
        (lambda: mx.Variable("x") ** "y", GraphError, "cannot power"),
        (lambda: mx.Group([mx.Variable("x"), 3]), GraphError, "cannot group.*a list of symbols"),
        (lambda: mx.Group(3), GraphError, "cannot group; got 3; expected a list of symbols"),
        (lambda: (mx.Variable("x") + mx.Variable("x")).graph(), GraphError, "share one name"),
        (lambda: mlp().infer_shape(dat=(2, 5)), GraphError, "no such argument.*dat.*data, fc1"),
        (lambda: mlp().infer_shape(data=(2, 5), fc1_weight=(32, 6)), ShapeError, "fc1"),
        (lambda: mlp().infer_type(dat="float64"), GraphError, "no such argument.*dat.*data, fc1"),
        (lambda: mlp().infer_type(data="float8"), DTypeError, "unsupported dtype.*float8"),
        (lambda: mx.Variable("x", dtype="complex64"), GraphError, "null 'x'.*'dtype'.*complex64"),
        (
            lambda: mlp().infer_type(data="float64", fc2_bias="float32"),
            DTypeError,
            "FullyConnected 'fc.'.*float32 and float64.*Give all arguments one dtype",
        ),
        (lambda: mlp().simple_bind(grad_req="sum", data=(2, 5)), GraphError, "wrong grad_req"),
        (lambda: mlp().simple_bind(ctx="tpu", data=(2, 5)), RunError, "unknown device"),
        (lambda: mlp().simple_bind(ctx=mx.gpu(99), data=(2, 5)), RunError, "no such device"),
        (lambda: bound().forward(data=np.zeros((3, 5))), FeedError, r"data \[3, 5\].*data \[2, 5"),
        (lambda: bound().forward(x=np.zeros((2, 5))), FeedError, "data do not fit; got x"),
        (lambda: bound().backward(), RunError, r"forward\(is_train=True\)"),
    ],
)
def test_bad_input_is_refused(make: Any, error: type[TinyflowError], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_powers_and_signs_of_symbols() -> None:
    x, y = mx.Variable("x"), mx.Variable("y")
    net = mx.load_json(mx.Group([-x, 2**x, x**y]).tojson())
    run = net.simple_bind(x=(3,), y=(3,))
    xs, ys = np.array([1.0, 2.0, 3.0], np.float32), np.array([2.0, -1.0, 0.5], np.float32)
    for found, right in zip(run.forward(x=xs, y=ys), (-xs, 2**xs, xs**ys)):
        np.testing.assert_allclose(found, right, rtol=1e-6)


def test_a_shared_weight_of_two_sizes_is_refused() -> None:
    x, w = mx.Variable("x"), mx.Variable("w")
    layers = [mx.FullyConnected(x, w, num_hidden=n, no_bias=True) for n in (3, 4)]
    with pytest.raises(ShapeError, match="null 'w'.*shapes contradict"):
        mx.Group(layers).graph()


def test_an_output_that_is_no_loss_needs_its_gradient() -> None:
    run = bound()
    run.forward(is_train=True)
    with pytest.raises(GradientError, match="gradients of outputs are missing.*fc2_output"):
        run.backward()
