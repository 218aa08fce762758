"""Symbol files as MXNet wrote them in its ages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyflow.frontend.mx as mx
from tinyflow.cli import main
from tinyflow.errors import GraphError
from tinyflow.ir import text

DATA = Path(__file__).parent / "data"
FILES = sorted(DATA.glob("mxnet-*.json"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_is_read_is_written_and_read_again(path: Path) -> None:
    net = mx.load(path)
    again = mx.load_json(net.tojson())
    assert again.tojson() == net.tojson()
    assert text(again.graph(training=True)) == text(net.graph(training=True))


def test_a_file_of_1_5_is_the_network_it_describes() -> None:
    net = mx.load(DATA / "mxnet-1.5-lenet-symbol.json")
    x = mx.Variable("data", shape=(0, 1, 28, 28))
    weight = mx.Variable("conv1_weight", shape=(8, 0, 5, 5))
    x = mx.Convolution(x, weight, kernel=(5, 5), num_filter=8, pad=(2, 2), name="conv1")
    x = mx.BatchNorm(x, eps=1e-5, fix_gamma=False, name="bn1")
    x = mx.Activation(x, act_type="tanh", name="tanh1")
    x = mx.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="max", name="pool1")
    x = mx.FullyConnected(mx.Flatten(x, name="flatten0"), num_hidden=10, no_bias=True, name="fc1")
    with mx.NameManager():
        x = x * 0.5
    made = mx.SoftmaxOutput(x, normalization="batch", name="softmax")
    for training in (False, True):
        assert text(net.graph(training)).replace("strides=[1, 1], ", "") == text(
            made.graph(training)
        )


def test_a_file_of_1_5_trains() -> None:
    net = mx.load(DATA / "mxnet-1.5-lenet-symbol.json")
    assert net.list_auxiliary_states() == ["bn1_moving_mean", "bn1_moving_var"]
    run = net.simple_bind(data=(4, 1, 28, 28))
    rng = np.random.default_rng(0)
    for array in run.arg_dict.values():
        array[:] = rng.normal(0, 0.1, array.shape)
    for _ in range(30):
        (p,) = run.forward(is_train=True, softmax_label=[0, 1, 2, 3])
        run.backward()
        for name in ("conv1_weight", "fc1_weight"):
            run.arg_dict[name] -= 0.1 * run.grad_dict[name]
    assert (p.argmax(1) == [0, 1, 2, 3]).all()


def test_a_file_of_0_8_gets_the_auxiliary_states_that_it_does_not_list() -> None:
    net = mx.load(DATA / "mxnet-0.8-mlp-symbol.json")
    assert net.list_arguments() == ["data", "bn_gamma", "bn_beta", "fc1_weight", "fc1_bias"]
    assert net.list_auxiliary_states() == ["bn_moving_mean", "bn_moving_var"]
    run = net.simple_bind(data=(2, 3, 1, 1))
    run.aux_dict["bn_moving_var"][:] = 1 - 1e-3
    run.arg_dict["fc1_weight"][:] = np.eye(3)
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_allclose(run.forward(data=x.reshape(2, 3, 1, 1))[0], 2 * x + 1, rtol=1e-5)


def test_a_file_of_0_9_has_two_heads() -> None:
    net = mx.load(DATA / "mxnet-0.9-sum-symbol.json")
    assert net.list_outputs() == ["relu0_output", "_plus0_output"]
    assert net.infer_shape()[0] == [(2,), None]
    relu, total = net.simple_bind(a=(2,), b=(2,)).forward(a=[1, 2], b=[1, -5])
    assert relu.tolist() == [2, 0] and total.tolist() == [2, -3]


def test_a_file_is_written_as_mxnet_writes_it(tmp_path: Path) -> None:
    x = mx.FullyConnected(mx.Variable("data", shape=(0, 4)), num_hidden=3, no_bias=True, name="fc")
    x.save(tmp_path / "model-symbol.json")
    document = json.loads((tmp_path / "model-symbol.json").read_text())
    assert document == {
        "nodes": [
            {"op": "null", "name": "data", "attrs": {"__shape__": "(0, 4)"}, "inputs": []},
            {"op": "null", "name": "fc_weight", "inputs": []},
            {
                "op": "FullyConnected",
                "name": "fc",
                "attrs": {"num_hidden": "3", "no_bias": "True"},
                "inputs": [[0, 0, 0], [1, 0, 0]],
            },
        ],
        "arg_nodes": [0, 1],
        "node_row_ptr": [0, 1, 2, 3],
        "heads": [[2, 0, 0]],
        "attrs": {"mxnet_version": ["int", 10900]},
    }
    assert mx.load(tmp_path / "model-symbol.json").list_arguments() == ["data", "fc_weight"]


def test_attributes_are_read_as_the_languages_of_mxnet_wrote_them() -> None:
    attrs = {"kernel": "(3L, 3L)", "num_filter": "8L", "no_bias": "1", "layout": "None"}
    row = node("Convolution", [[0, 0, 0], [1, 0, 0]], **attrs, stride="[2,2]", pad="None")
    weight = {"op": "null", "name": "w", "inputs": []}
    net = mx.load_json(file(weight, row, heads=[[2, 0, 0]]))
    assert net.list_arguments() == ["data", "w"]
    assert net.infer_shape(data=(1, 3, 9, 9))[:2] == (
        [(1, 3, 9, 9), (8, 3, 3, 3)],
        [(1, 8, 4, 4)],
    )


def file(*rows: Any, heads: Any = ((1, 0, 0),), **more: Any) -> str:
    data = {"op": "null", "name": "data", "inputs": []}
    return json.dumps({"nodes": [data, *rows], "heads": heads, **more})


def node(op: str, inputs: Any = ((0, 0, 0),), **attrs: str) -> dict[str, Any]:
    return {"op": op, "name": "n1", "attrs": attrs, "inputs": inputs}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            file(node("LRN", nsize="5")),
            "LRN 'n1': operator.*MXNet's Fully.*Conc.*NNVM's dense.*Make it",
        ),
        (file(node("linear")), "linear 'n1'.*tinyflow.ir.from_json"),
        (file(node("relu", slope="1")), "node 1: unknown attribute.*slope"),
        (
            file(node("Activation", act_type="elu")),
            "n1: node 1: .*'act_type'.*'elu'.*'relu'",
        ),
        (file(node("Pooling", pooling_convention="full")), "n1: node 1.*'full'.*'valid'"),
        (file(node("FullyConnected", num_hidden="many")), "node 1.*kind int"),
        (file(node("FullyConnected")), "FullyConnected 'n1'.*wrong number of inputs; got 1"),
        (file(node("Reshape")), "Reshape 'n1'.*'shape' is missing"),
        (file(node("Pooling", kernel="(2,")), "not a symbol file of MXNet.*node 1"),
        (file(node("Pooling", kernel="__import__('os')")), "not a symbol file of MXNet.*node 1"),
        (file(node("relu", inputs=[[1, 0, 0]])), "inputs refers to node '1'.*topological order"),
        (file(node("relu", inputs=[[0, 3, 0]])), "corrupt entry in inputs.*index below 1"),
        (file(node("relu", inputs=[[]])), "not a symbol file.*node 1.*IndexError"),
        (file(node("relu", inputs=[])), "relu 'n1'.*wrong number of inputs; got 0"),
        (
            file({"op": "null", "name": "x", "attrs": {"__dtype__": "3"}, "inputs": []}),
            r"null 'x': unknown dtype; got 3; expected 0 \(float32\)",
        ),
        (file({"name": "x", "inputs": []}), "not a symbol file of MXNet.*node 1: KeyError: 'op'"),
        (file(heads=[[7, 0, 0]]), "heads refers to node '7'"),
        (file(node("dense", activation="relu")), "dense 'n1': unknown attr.*activ.*units, use_b"),
        (file(node("conv2d", kernel_layout="HWIO")), "conv2d 'n1'.*'kernel_layout'.*HWIO.*oihw"),
        (file(node("max_pool2d", ceil_mode="True")), "max_pool2d 'n1'.*'ceil_mode'.*True.*false"),
        (file(node("batch_norm", center="0")), "batch_norm 'n1'.*'center'.*got 0; expected true"),
        (file(node("dense", units="4", use_bias="maybe")), "n1: node 1.*cannot read.*maybe"),
        (file(node("conv2d", layout="NHWC")), "n1: node 1.*'layout'.*'NHWC'; expected.*'NCHW'"),
        (file(node("sum", exclude="True")), "n1: node 1.*'exclude'.*True"),
        (json.dumps({"nodes": [], "heads": [], "attrs": {"shape": []}}), "not a symbol.*IndexE"),
        (file(node("FullyConnected", num_hidden="-3")), "n1: node 1.*num_hid.*got -3; expected 1"),
        (
            file(node("dense", units="0")),
            "n1: node 1.*num_hidden': this.*; got 0; expected 1 or",
        ),
        (
            file(node("Pooling", kernel="(2, 0)")),
            r"'kernel': this.*; got \(2, 0\); expected 1 or",
        ),
        (
            file(node("Pooling", kernel="(2, 2)", stride="(0, 1)")),
            "'stride': this value is not supported",
        ),
        (
            file(node("Pooling", kernel="(2, 2)", pad="(-1, 0)")),
            "'pad': this value is not supported.*0 or more",
        ),
        (file(node("Convolution", num_group="0")), "'num_group': this value is not supported"),
        (
            file(node("Reshape", shape="-" * 99999)),
            "not a symbol.*node 1: .*Error.*Save the symbol",
        ),
        (file(node("clip", a_min="[" * 99999)), "node 1.*'a_min': cannot read"),
        (file(heads=[]), r"no heads; got \[\]; expected one or more. Name the results"),
        (file(heads=[[-1, 0, 0]]), "heads refers to node '-1'.*0 to 0"),
        (file(node("relu"), arg_nodes=[0, 1]), r"arg_nodes.*got \[0, 1\]; expected \[0\]. List"),
        (file(node("relu"), arg_nodes=[0, 7]), r"arg_nodes are.*got \[0, 7\]; expected \[0\]"),
        (file(node("relu"), arg_nodes="0"), r"arg_nodes are.*got 0; expected \[0\]"),
        (file(node("relu"), arg_nodes=None), r"arg_nodes are.*got None; expected \[0\]"),
        ("{", "not a symbol file of MXNet; got node 0: JSONDecodeError"),
        ("[]", "not a symbol file of MXNet"),
        ('{"nodes": 3}', "not a symbol file of MXNet"),
        ('{"nodes": []}', "not a symbol file of MXNet.*'heads'"),
        ("[" * 100_000, "not a symbol file of MXNet"),
    ],
)
def test_a_broken_file_is_refused(source: str, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        mx.load_json(source)


def test_an_operator_refuses_sizes_that_cannot_be_when_it_is_made() -> None:
    with pytest.raises(GraphError, match="'fc'.*test_mx_files.*num_hidden': this.*; got -3"):
        mx.FullyConnected(mx.Variable("x"), num_hidden=-3, name="fc")


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "net.json").write_text(file(node("LRN")))
    with pytest.raises(GraphError, match="LRN 'n1': '.*net.json': operator is not supported"):
        mx.load(tmp_path / "net.json")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="none.json: cannot read the file.*No such file"):
        mx.load(tmp_path / "none.json")


def test_the_command_line_draws_a_symbol_file(tmp_path: Path) -> None:
    target = tmp_path / "net.svg"
    assert main(["viz", str(DATA / "mxnet-1.5-lenet-symbol.json"), "-o", str(target)]) == 0
    assert "conv1" in target.read_text() and "softmax" in target.read_text()
