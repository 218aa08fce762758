"""Each op that can be exported is valid ONNX, means the same there, and comes back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented

import tinyflow as tf
from tinyflow import ops
from tinyflow.frontend.onnx import export
from tinyflow.frontend.onnx.export import OPSETS, RULES
from tinyflow.frontend.onnx.words import ALONG, REDUCTIONS, SPELLED, WORDS
from tinyflow.frontend.tf.tensor import apply
from tinyflow.ir import Graph, Op

from .models import imported, runtime

RNG = np.random.default_rng(3)
Make = Callable[..., Any]
Case = tuple[Make, tuple[Any, ...]]  # a network, and what is fed to it


@pytest.fixture(autouse=True)
def _fresh_graph() -> None:
    tf.reset_default_graph()


def reals(*shape: int) -> Any:
    return RNG.uniform(0.2, 2.0, shape).astype("float32")


def same(make: Make, feeds: tuple[Any, ...], opset: int = 17, sizes: bool = True) -> set[str]:
    """Check that session, onnxruntime and what is read back agree; return the operators."""
    known = [array.shape if sizes else (None, *array.shape[1:]) for array in feeds]
    fed = [
        tf.placeholder(str(a.dtype), n, name=f"x{i}") for i, (a, n) in enumerate(zip(feeds, known))
    ]
    made, sess = make(*fed), tf.Session("numpy")
    made = [*made] if isinstance(made, list | tuple) else [made]
    sess.run(tf.initialize_all_variables())
    expected = sess.run([tf.nn.inference(y) for y in made], dict(zip(fed, feeds)))
    model = export(made, sess, opset=opset)
    onnx.checker.check_model(model, full_check=True)
    named = {row.name: feeds[int(row.name[1:])] for row in model.graph.input}
    for found in (runtime(model, named), imported(model, named)):
        for one, other in zip(found, expected, strict=True):
            assert one.dtype == other.dtype and one.shape == other.shape
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    return {row.op_type for row in model.graph.node}


def call(op: Op, **attrs: Any) -> Make:
    return lambda *inputs: apply(op, *inputs, **attrs)


def weight(*shape: int) -> Any:
    return tf.Variable(RNG.normal(size=shape).astype("float32"), name="w")


BACKWARD = Graph((ops.placeholder(dtype="float32", name="dy"),) * 2)
IDS = np.array([1, 0, 1])
CASES: Mapping[Op, list[Case]] = {
    **{op: [(call(op), (reals(3, 4), reals(4))[: len(op.inputs)])] for op in WORDS},
    **{op: [(call(op, axis=1), (reals(3, 4),))] for op in ALONG},
    **{op: [(call(op, reduction_indices=(1,)), (reals(3, 4),))] for op in REDUCTIONS},
    ops.where: [(lambda x, y: apply(ops.where, x > y, x, y), (reals(3, 4), reals(4)))],
    ops.concat: [(call(ops.concat, axis=1), (reals(3, 4), reals(3, 2)))],
    ops.gather: [
        (call(ops.gather, axis=1), (reals(3, 4), IDS)),
        (call(ops.gather), (reals(3, 4), IDS.astype("float32"))),
    ],
    ops.not_equal: [(call(ops.not_equal), (reals(3, 4).round(), reals(4).round()))],
    ops.rsqrt: [(call(ops.rsqrt), (reals(3, 4),))],
    ops.stop_gradient: [(lambda x: tf.stop_gradient(x) + 1, (reals(3, 4),))],
    ops.with_gradient: [(call(ops.with_gradient, backward=BACKWARD), (reals(3), reals(3)))],
    ops.cast: [(call(ops.cast, dtype="int32"), (reals(3, 4),))],
    ops.matmul: [(call(ops.matmul, transpose_b=True), (reals(3, 4), reals(2, 4)))],
    ops.batch_matmul: [
        (call(ops.batch_matmul, transpose_a=True), (reals(2, 4, 3), reals(2, 4, 5)))
    ],
    ops.linear: [(lambda x: apply(ops.linear, x, weight(2, 12), weight(2)), (reals(3, 4, 3),))],
    ops.conv2d: [(lambda x: apply(ops.conv2d, x, weight(2, 3, 3, 3)), (reals(2, 3, 5, 6),))],
    ops.max_pool2d: [
        (lambda x: tf.nn.max_pool(x, [1, 2, 2, 1], [1, 2, 2, 1]), (reals(2, 3, 5, 6),))
    ],
    ops.avg_pool2d: [
        (lambda x: tf.nn.avg_pool(x, [1, 2, 2, 1], [1, 2, 2, 1]), (reals(2, 3, 5, 6),))
    ],
    ops.batch_norm: [(call(ops.batch_norm, training=False), (reals(2, 3, 5, 6), *[reals(3)] * 4))],
    ops.layer_norm: [
        (lambda x: tf.nn.layer_norm(x, epsilon=0.1), (reals(3, 4),)),
        (call(ops.layer_norm), (reals(2, 3, 4), reals(4), reals(4))),
    ],
    ops.argmax: [
        (call(ops.argmax, axis=1), (reals(3, 4),)),
        (call(ops.argmax, axis=-2), (reals(3, 4),)),
    ],
    ops.flatten_layer: [(call(ops.flatten_layer), (reals(2, 3, 4),))],
    ops.transpose: [(call(ops.transpose, perm=(1, 2, 0)), (reals(2, 3, 4),))],
    ops.reshape: [(call(ops.reshape, shape=(-1, 6)), (reals(2, 3, 4),))],
    ops.broadcast_to: [(call(ops.broadcast_to, shape=(2, 3, 4)), (reals(3, 4),))],
    ops.expand_dims: [(call(ops.expand_dims, axis=1), (reals(3, 4),))],
    ops.squeeze: [(call(ops.squeeze, axes=(1,)), (reals(3, 1, 4),))],
    ops.slice: [(lambda x: x[:, 1:3, ::-1], (reals(2, 4, 3),))],
    ops.pad: [(call(ops.pad, dim=1, pad=-2), (reals(3, 4),))],
    ops.crop: [(call(ops.crop, dim=1, pad=2), (reals(3, 4),))],
    ops.gelu: [(tf.nn.gelu, (reals(3, 4),))],
    ops.zeros: [(lambda x: x + apply(ops.zeros, shape=(3, 1)), (reals(3, 4),))],
    ops.ones: [(lambda x: x * apply(ops.ones, shape=(4,)), (reals(3, 4),))],
    ops.split: [
        (lambda x: tf.split(x, 2, 1), (reals(3, 4),)),
        (lambda x: tf.split(x, [1, 3], -1)[::-1], (reals(3, 4),)),
        (lambda x: tf.unstack(x, axis=1), (reals(3, 4),)),
    ],
    ops.cumsum: [
        (lambda x: tf.cumsum(x, 1), (reals(3, 4),)),
        (lambda x: tf.cumsum(x, -1, exclusive=True, reverse=True), (reals(3, 4),)),
    ],
    ops.softmax_cross_entropy_with_logits: [
        (tf.nn.softmax_cross_entropy_with_logits, (reals(3, 4), reals(3, 4)))
    ],
    ops.mean_softmax_cross_entropy_with_logits: [
        (call(ops.mean_softmax_cross_entropy_with_logits), (reals(3, 4), reals(3, 4)))
    ],
    ops.mean_sparse_softmax_cross_entropy_with_logits: [
        (call(ops.mean_sparse_softmax_cross_entropy_with_logits), (reals(3, 4), labels))
        for labels in (IDS, IDS.astype("int32"), IDS.astype("float32"))
    ],
}


def test_each_op_that_can_be_exported_is_tried() -> None:
    assert set(CASES) == {*RULES, *SPELLED, ops.zeros, ops.ones}


@pytest.mark.parametrize("sizes", [True, False], ids=["sizes", "open"])
@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("op", CASES, ids=lambda op: op.name)
def test_an_op_goes_to_onnx_and_comes_back(op: Op, opset: int, sizes: bool) -> None:
    for make, feeds in CASES[op]:
        tf.reset_default_graph()
        same(make, feeds, opset, sizes)


TRUTHS = np.array([[True, True, False], [False, True, False]])
OTHERS = np.array([[True, False, False], [True, True, False]])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda x, y: tf.cast(tf.logical_and(x, y), tf.float32), {"And", "Cast"}),
        (tf.logical_or, {"Or"}),
        (lambda x, y: tf.logical_not(tf.logical_or(x, y)), {"Or", "Equal"}),
        (tf.equal, {"Equal"}),
        (tf.not_equal, {"Equal", "Not"}),
        (tf.greater, {"Cast", "Greater"}),
        (tf.greater_equal, {"Cast", "GreaterOrEqual"}),
        (tf.less, {"Cast", "Less"}),
        (tf.less_equal, {"Cast", "LessOrEqual"}),
        (lambda x, y: tf.reduce_max(x, 1), {"Cast", "ReduceMax"}),
        (lambda x, y: tf.reduce_min(y, 0, keepdims=True), {"Cast", "ReduceMin"}),
        (lambda x, y: tf.reduce_sum(x, 1), {"Cast", "ReduceSum"}),
        (lambda x, y: tf.where(x, y, x), {"Where"}),
        (lambda x, y: tf.where(tf.greater(tf.cast(x, tf.int32), 0), x, y), {"Greater", "Where"}),
        (lambda x, y: x + y, {"Cast", "Add"}),
        (lambda x, y: tf.maximum(x, True), {"Or"}),
        (lambda x, y: tf.maximum(tf.cast(x, tf.float32), y), {"Cast", "Max"}),
        (lambda x, y: tf.concat([x, y], 1), {"Concat"}),
        (lambda x, y: tf.split(x, 3, 1), {"Split"}),
        (lambda x, y: tf.argmax(x, 1), {"ArgMax", "Cast"}),
        (lambda x, y: tf.cumsum(x, 1), {"CumSum", "Cast"}),
        (lambda x, y: tf.pad(x, [[1, 0], [0, 1]]), {"Pad"}),
        (lambda x, y: apply(ops.broadcast_to, x, shape=(2, 2, 3)), {"Expand"}),
        (lambda x, y: tf.transpose(tf.gather(x, IDS))[1:], {"Transpose", "Gather", "Slice"}),
    ],
)
@pytest.mark.parametrize("opset", OPSETS)
def test_truth_values_go_to_onnx_and_come_back(make: Make, words: set[str], opset: int) -> None:
    assert words <= same(make, (TRUTHS, OTHERS), opset) <= {*words, "Identity", "Cast"}


ROUNDED = RNG.integers(1, 4, (3, 4))


@pytest.mark.parametrize("dtype", ["bool", "int32", "int64", "float16", "float64"])
@pytest.mark.parametrize("op", [*WORDS, *ALONG, *REDUCTIONS, ops.not_equal, ops.cumsum, ops.argmax])
def test_an_op_of_another_dtype_is_valid_and_comes_back(op: Op, dtype: str) -> None:
    """onnxruntime has not all kernels; what it lacks is compared without it."""
    x, count = ROUNDED.astype(dtype), 1 if op is ops.concat else len(op.inputs)
    arrays = [x > 2, x, x[::-1]] if op is ops.where else [x, x[::-1]][:count]
    arrays = [x, IDS] if op is ops.gather else arrays
    fed = [
        tf.placeholder(str(array.dtype), array.shape, name=f"x{i}")
        for i, array in enumerate(arrays)
    ]
    y, named = apply(op, *fed), {f"x{i}": array for i, array in enumerate(arrays)}
    model, expected = export(y, {}), tf.Session("numpy").run(y, dict(zip(fed, arrays)))
    found = [imported(model, named)]
    with contextlib.suppress(NotImplemented):
        found.append(runtime(model, named))
    for (one,) in found:
        assert one.dtype == expected.dtype
        np.testing.assert_allclose(one, expected, rtol=2e-3 if dtype == "float16" else 1e-5)


@pytest.mark.parametrize("labels", [IDS, np.float32(IDS)])
def test_losses_of_networks_go_to_onnx(labels: Any) -> None:
    logits = reals(3, 4)
    for make in (
        lambda x, y: tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=x),
        lambda x, y: tf.losses.sparse_softmax_cross_entropy(y, x),
        lambda x, y: tf.losses.softmax_cross_entropy(tf.one_hot(y, 4), x),
        lambda x, y: tf.losses.sigmoid_cross_entropy(tf.one_hot(y, 4), x),
        lambda x, y: tf.losses.mean_squared_error(tf.one_hot(y, 4), x),
        lambda x, y: tf.nn.l2_normalize(x, 1) * tf.nn.l2_loss(tf.cast(y, tf.float32)),
    ):
        tf.reset_default_graph()
        same(make, (logits, labels))


class Normal(torch.nn.Module):
    """Two normalisations, of which the first has no weights."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.LayerNorm(6, elementwise_affine=False)
        self.second = torch.nn.LayerNorm(6, eps=0.1)
        with torch.no_grad():
            for weight in self.second.parameters():
                weight.uniform_(0.5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.tanh(self.first(x)))


class Parts(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> Any:
        a, b = torch.split(x, 3, 2)
        c, d = torch.split(x, [1, 3], 1)
        chosen = (x > 0) & ~(x > 1) ^ (x < -1)
        best = x.argmax(1, keepdim=True) + x.argmax(2).sum()
        return a - b, c + d.cumsum(1), chosen.float(), best


class Loss(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        labels = torch.tensor([1, 5])
        return torch.nn.functional.cross_entropy(x[:, 0] / x[:, 0].abs().reciprocal(), labels)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("opset", [13, 17, 20])
@pytest.mark.parametrize("net", [Normal(), Parts(), Loss()])
def test_what_pytorch_writes_of_these_computes_the_same(
    net: Any, opset: int, tmp_path: Any
) -> None:
    x, path = torch.randn(2, 4, 6), str(tmp_path / "net.onnx")
    torch.onnx.export(net, (x,), path, dynamo=False, opset_version=opset, input_names=["x"])
    expected = net(x)
    for one, other in zip(
        imported(path, {"x": x.numpy()}),
        expected if isinstance(expected, tuple) else (expected,),
        strict=True,
    ):
        np.testing.assert_allclose(one, other.detach().numpy(), rtol=1e-4, atol=1e-5)
