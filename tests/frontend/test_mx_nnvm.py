"""Graph files as NNVM itself writes them: its own operators, attributes and shapes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import tinyflow.frontend.mx as mx
from tinyflow.errors import ShapeError
from tinyflow.ir import text

RNG = np.random.default_rng(0)


def document(*rows: tuple[str, str, dict[str, str], str], key: str = "attrs") -> dict[str, Any]:
    """Nodes in NNVM's layout: (op, name, attributes, names of inputs), the last one is the head."""
    place = {name: i for i, (_, name, _, _) in enumerate(rows)}
    nodes = [
        {"op": op, "name": name, key: attrs, "inputs": [[place[x], 0, 0] for x in inputs.split()]}
        for op, name, attrs, inputs in rows
    ]
    return {
        "nodes": nodes,
        "arg_nodes": [place[name] for op, name, _, _ in rows if op == "null"],
        "node_row_ptr": [*range(len(rows) + 1)],
        "heads": [[len(rows) - 1, 0, 0]],
    }


def leaves(names: str) -> list[tuple[str, str, dict[str, str], str]]:
    return [("null", name, {}, "") for name in names.split()]


def one(op: str, attrs: dict[str, str], inputs: str = "x") -> mx.Symbol:
    return mx.load_json(json.dumps(document(*leaves(inputs), (op, "y", attrs, inputs))))


def computed(net: mx.Symbol, *arrays: np.ndarray, config: str = "cpu") -> np.ndarray:
    """The result in inference; arrays in the order of arguments and then states."""
    names = [*net.list_arguments(), *net.list_auxiliary_states()]
    run = net.simple_bind(config, **{n: a.shape for n, a in zip(names, arrays, strict=True)})
    for name, array in zip(names, arrays):
        {**run.arg_dict, **run.aux_dict}[name][:] = array
    return run.forward()[0].asnumpy()


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype("float32")


IMAGE = normal(2, 4, 7, 6)
X, Y = normal(3, 4), normal(3, 4)


def at(*arrays: np.ndarray) -> list[torch.Tensor]:
    return [torch.tensor(array) for array in arrays]


# a network --------------------------------------------------------------------------------------

NET = (
    *leaves("data conv_weight conv_bias gamma beta bn_moving_mean bn_moving_var"),
    (
        "conv2d",
        "conv",
        {
            **{"channels": "6", "kernel_size": "(3, 3)", "strides": "(1, 1)", "padding": "(1, 1)"},
            **{"dilation": "(1, 1)", "groups": "1", "layout": "NCHW", "kernel_layout": "OIHW"},
            **{"out_layout": "__undef__", "out_dtype": "same", "use_bias": "True"},
        },
        "data conv_weight conv_bias",
    ),
    (
        "batch_norm",
        "bn",
        {"axis": "1", "epsilon": "0.001", "center": "True", "scale": "True"},
        "conv gamma beta bn_moving_mean bn_moving_var",
    ),
    ("relu", "act", {}, "bn"),
    (
        "max_pool2d",
        "pool",
        {"pool_size": "(2, 2)", "strides": "(2, 2)", "padding": "(0, 0)", "ceil_mode": "False"},
        "act",
    ),
    ("flatten", "flat", {}, "pool"),
    ("dropout", "drop", {"rate": "0.25"}, "flat"),
    *leaves("fc_weight fc_bias"),
    ("dense", "fc", {"units": "5", "use_bias": "1"}, "drop fc_weight fc_bias"),
    ("softmax", "prob", {"axis": "1"}, "fc"),
)


@pytest.mark.parametrize("key", ["attrs", "attr", "param"])
@pytest.mark.parametrize("config", ["cpu", "numpy", "cpu fusion"])
def test_a_network_of_nnvm_computes_what_torch_does(key: str, config: str) -> None:
    net = mx.load_json(json.dumps(document(*NET, key=key)))
    assert net.list_auxiliary_states() == ["bn_moving_mean", "bn_moving_var"]
    run = net.simple_bind(config, data=(2, 3, 8, 8))
    for array in (*run.arg_dict.values(), *run.aux_dict.values()):
        array[:] = RNG.uniform(0.1, 1, array.shape)
    p = {name: torch.tensor(np.array(a)) for name, a in (run.arg_dict | run.aux_dict).items()}
    t = F.conv2d(p["data"], p["conv_weight"], p["conv_bias"], padding=1)
    moving = (p["bn_moving_mean"], p["bn_moving_var"])
    t = F.batch_norm(t, *moving, p["gamma"], p["beta"], eps=1e-3)
    t = F.max_pool2d(t.relu(), 2).flatten(1)
    expected = (t @ p["fc_weight"].T + p["fc_bias"]).softmax(1)
    np.testing.assert_allclose(run.forward()[0], expected, rtol=1e-4, atol=1e-6)


def test_it_is_the_same_network_as_mxnets() -> None:
    net = mx.load_json(json.dumps(document(*NET)))
    x = mx.Convolution(mx.Variable("data"), kernel=(3, 3), num_filter=6, pad=(1, 1), name="conv")
    given = {"gamma": mx.Variable("gamma"), "beta": mx.Variable("beta")}
    x = mx.relu(mx.BatchNorm(x, **given, eps=1e-3, fix_gamma=False, name="bn"), name="act")
    x = mx.Pooling(x, kernel=(2, 2), stride=(2, 2), name="pool")
    x = mx.Dropout(mx.Flatten(x, name="flat"), p=0.25, name="drop")
    made = mx.softmax(mx.FullyConnected(x, num_hidden=5, name="fc"), axis=1, name="prob")
    for training in (False, True):
        assert text(net.graph(training)) == text(made.graph(training))


def test_it_is_written_as_mxnet_writes_it() -> None:
    written = json.loads(mx.load_json(json.dumps(document(*NET))).tojson())
    rows = {row["name"]: row for row in written["nodes"]}
    assert rows["fc"]["op"] == "FullyConnected"
    assert rows["fc"]["attrs"] == {"num_hidden": "5"}
    assert rows["drop"] == {"op": "Dropout", "name": "drop", "attrs": {"p": "0.25"}} | {
        "inputs": rows["drop"]["inputs"]
    }
    assert mx.load_json(json.dumps(written)).tojson() == json.dumps(written, indent=2)


# shapes and dtypes of the graph -----------------------------------------------------------------


def inferred(**attrs: Any) -> mx.Symbol:
    net = document(*leaves("x w"), ("dense", "y", {"units": "3", "use_bias": "0"}, "x w"))
    return mx.load_json(json.dumps({**net, "attrs": attrs}))


def test_shapes_that_nnvm_has_inferred_are_known() -> None:
    net = inferred(shape=["list_shape", [[2, 4], [3, 4], [2, 3]]], dtype=["list_int", [0, 0, 0]])
    assert net.infer_shape() == ([(2, 4), (3, 4)], [(2, 3)], [])
    with pytest.raises(ShapeError, match="contradict"):
        net.infer_shape(x=(5, 4))


def test_empty_shapes_and_sizes_of_zero_are_not_known() -> None:
    net = inferred(shape=["list_shape", [[0, 4], [], []]], dtype=["list_int", [-1, -1, -1]])
    assert net.infer_shape() == ([(None, 4), (3, 4)], [(None, 3)], [])


@pytest.mark.parametrize(
    "attrs",
    [
        {"dtype": ["list_int", [1, -1, -1]]},
        {"dltype": ["list_str", ["float64", "float64", "float64"]], "storage_id": ["list_int", []]},
    ],
)
def test_dtypes_that_nnvm_has_inferred_are_known(attrs: Any) -> None:
    assert inferred(**attrs).infer_type()[1] == [np.float64]


def test_a_shape_may_stand_at_the_variable() -> None:
    x = ("null", "x", {"shape": "(2, 4)", "dtype": "float64"}, "")
    net = mx.load_json(json.dumps(document(x, ("relu", "y", {}, "x"))))
    assert net.infer_shape()[1] == [(2, 4)] and net.infer_type()[1] == [np.float64]


# operators one by one ---------------------------------------------------------------------------

CONV = {"channels": "6", "kernel_size": "[3, 2]", "use_bias": "False"}
POOL = {"pool_size": "(3, 2)", "strides": "(2, 1)"}


@pytest.mark.parametrize(
    ("op", "attrs", "arrays", "expected"),
    [
        ("dense", {"units": "3", "use_bias": "False"}, [IMAGE, normal(3, 168)],
         lambda x, w: x.flatten(1) @ w.T),
        ("conv2d", CONV | {"strides": "(2, 1)", "padding": "(1, 0)"}, [IMAGE, normal(6, 4, 3, 2)],
         lambda x, w: F.conv2d(x, w, None, (2, 1), (1, 0))),
        ("conv2d", CONV | {"groups": "2", "dilation": "(2, 3)"}, [IMAGE, normal(6, 2, 3, 2)],
         lambda x, w: F.conv2d(x, w, None, 1, 0, (2, 3), 2)),
        ("max_pool2d", POOL | {"padding": "(1, 1)"}, [IMAGE],
         lambda x: F.max_pool2d(x, (3, 2), (2, 1), (1, 1))),
        ("max_pool2d", {"pool_size": "(2, 2)"}, [IMAGE], lambda x: F.max_pool2d(x, 2, 1)),
        ("max_pool2d", POOL | {"padding": "(1,)"}, [IMAGE],
         lambda x: F.max_pool2d(x, (3, 2), (2, 1), 1)),
        ("avg_pool2d", POOL | {"padding": "(1, 1)"}, [IMAGE],
         lambda x: F.avg_pool2d(x, (3, 2), (2, 1), 1, count_include_pad=False)),
        ("avg_pool2d", POOL | {"padding": "(1, 0, 2, 1)", "count_include_pad": "1"}, [IMAGE],
         lambda x: F.avg_pool2d(F.pad(x, (0, 1, 1, 2)), (3, 2), (2, 1))),
        ("global_max_pool2d", {}, [IMAGE], lambda x: x.amax((2, 3), keepdim=True)),
        ("global_avg_pool2d", {"layout": "NCHW"}, [IMAGE], lambda x: x.mean((2, 3), keepdim=True)),
        ("flatten", {}, [IMAGE], lambda x: x.flatten(1)),
        ("reshape", {"shape": "(-1, 8)"}, [IMAGE], lambda x: x.reshape(-1, 8)),
        ("transpose", {}, [IMAGE], lambda x: x.permute(3, 2, 1, 0)),
        ("transpose", {"axes": "(0, 2, 3, 1)"}, [IMAGE], lambda x: x.permute(0, 2, 3, 1)),
        ("concatenate", {"axis": "0"}, [X, Y], lambda x, y: torch.cat([x, y])),
        ("concatenate", {}, [X, Y], lambda x, y: torch.cat([x, y], 1)),
        ("matmul", {"transpose_b": "True"}, [X, Y], lambda x, y: x @ y.T),
        ("matmul", {"transpose_a": "1"}, [X, Y], lambda x, y: x.T @ y),
        ("softmax", {}, [X], lambda x: x.softmax(-1)),
        ("log_softmax", {"axis": "0"}, [X], lambda x: x.log_softmax(0)),
        ("dropout", {"rate": "0.9"}, [X], lambda x: x),
        ("clip", {"a_min": "-0.5", "a_max": "1"}, [X], lambda x: x.clamp(-0.5, 1)),
        ("sum", {}, [X], lambda x: x.sum().reshape(1)),
        ("sum", {"axis": "(0,)", "keepdims": "True"}, [X], lambda x: x.sum(0, keepdim=True)),
        ("mean", {"axis": "1"}, [X], lambda x: x.mean(1)),
        ("prod", {"axis": "(1,)"}, [X], lambda x: x.prod(1)),
        ("max", {"axis": "(-1,)"}, [X], lambda x: x.amax(-1)),
        ("min", {"axis": "0"}, [X], lambda x: x.amin(0)),
        ("relu", {}, [X], torch.relu),
        ("tanh", {}, [X], torch.tanh),
        ("sigmoid", {}, [X], torch.sigmoid),
        ("exp", {}, [X], torch.exp),
        ("log", {}, [X * X], torch.log),
        ("sqrt", {}, [X * X], torch.sqrt),
        ("negative", {}, [X], torch.neg),
        ("abs", {}, [X], torch.abs),
        ("copy", {}, [X], lambda x: x),
        ("elemwise_add", {}, [X, Y], torch.add),
        ("elemwise_sub", {}, [X, Y], torch.sub),
        ("elemwise_mul", {}, [X, Y], torch.mul),
        ("elemwise_div", {}, [X, Y], torch.div),
        ("__add_symbol__", {}, [X, Y], torch.add),
        ("broadcast_add", {}, [X, Y[:1]], torch.add),
        ("broadcast_sub", {}, [X[:, :1], Y], torch.sub),
        ("broadcast_mul", {}, [X, Y[0]], torch.mul),
        ("broadcast_div", {}, [X, Y[:, :1]], torch.div),
        ("broadcast_pow", {}, [X * X, Y[0]], torch.pow),
        ("__add_scalar__", {"scalar": "2.5"}, [X], lambda x: x + 2.5),
        ("__sub_scalar__", {"scalar": "2"}, [X], lambda x: x - 2),
        ("__rsub_scalar__", {"scalar": "2"}, [X], lambda x: 2 - x),
        ("__mul_scalar__", {"scalar": "-1e-1"}, [X], lambda x: x * -0.1),
        ("__div_scalar__", {"scalar": "4"}, [X], lambda x: x / 4),
        ("__rdiv_scalar__", {"scalar": "4"}, [X], lambda x: 4 / x),
        ("__pow_scalar__", {"scalar": "2"}, [X], lambda x: x**2),
        ("__rpow_scalar__", {"scalar": "2"}, [X], lambda x: 2**x),
    ],
)  # fmt: skip
def test_an_operator_computes_what_torch_does(
    op: str, attrs: dict[str, str], arrays: list[np.ndarray], expected: Any
) -> None:
    net = one(op, attrs, " ".join("xwb"[: len(arrays)]))
    want = expected(*at(*arrays)).numpy()
    for config in ("cpu", "numpy"):
        found = computed(net, *arrays, config=config)
        assert found.shape == want.shape
        np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("scale", "factor"), [("True", 3.0), ("False", 1.0)])
def test_batch_norm_without_scale_ignores_gamma(scale: str, factor: float) -> None:
    net = one("batch_norm", {"epsilon": "0", "scale": scale}, "x gamma beta mean variance")
    states = [np.float32([2.0] * 4), np.float32([4.0] * 4)]
    found = computed(net, IMAGE, np.float32([3.0] * 4), np.float32([1.0] * 4), *states)
    np.testing.assert_allclose(found, factor * (IMAGE - 2) / 2 + 1, rtol=1e-5, atol=1e-5)
