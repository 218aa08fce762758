"""The command `tinyflow`."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import tinyflow
from tinyflow import ops
from tinyflow.cli import main
from tinyflow.ir import Graph, to_json
from tinyflow.passes import gradient

ROOT = Path(tinyflow.__file__).parent.parent


def run(capsys, *arguments):
    status = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def places(output):
    """The file:line words of an output."""
    return [word for word in output.split() if word.startswith("tinyflow/")]


def test_inspect_shows_the_row_with_all_that_belongs_to_it(capsys):
    status, out, _ = run(capsys, "inspect", "op", "exp")
    assert status == 0
    for part in ("exp = _unary(", "same_shape", "FLOATING", "exp_adjoint", "np.exp", "torch"):
        assert part in out
    assert len(places(out)) == 6


@pytest.mark.parametrize("name", sorted(ops.OPS))
def test_every_place_of_every_op_is_where_it_says(capsys, name):
    _, out, _ = run(capsys, "inspect", "op", name)
    found = places(out)
    assert len(found) >= 3 + (name != "group")
    for place in found:
        file, _, line = place.rpartition(":")
        text = (ROOT / file).read_text().splitlines()[int(line) - 1]
        names = (f"{name} = ", f"{name.upper()} = ", "def ", "class ", f".{name}:", "CONSTANT:")
        names += (" = Family(", "@dataclass")
        assert any(part in text for part in names), (place, text)


def test_an_op_without_gradient_shows_the_reason(capsys):
    assert "none: a comparison is constant" in run(capsys, "inspect", "op", "greater")[1]
    assert "none: the run hands its array in" in run(capsys, "inspect", "op", "placeholder")[1]


def test_ops_are_listed_with_inputs_and_attributes(capsys):
    _, out, _ = run(capsys, "inspect", "ops")
    assert len(out.splitlines()) == len(ops.OPS)
    assert "matmul(x, y, transpose_a=, transpose_b=)" in out


def test_an_op_of_another_package_is_found_when_it_is_imported(tmp_path, monkeypatch, capsys):
    (tmp_path / "cube_package.py").write_text(
        "from tinyflow.ir import Op\n"
        "from tinyflow.ops import OPS, exp\n\n"
        "cube = Op('cube', ('x',), exp.shape, exp.dtype, doc='y = x ** 3.')\n"
        "OPS.add(cube)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(ops.OPS, "_rows", dict(ops.OPS))  # gone again after this test
    status, out, _ = run(capsys, "inspect", "op", "cube", "--import", "cube_package")
    assert status == 0
    assert "cube_package.py:4" in out and "y = x ** 3." in out
    assert out.count("none: no entry") == 3


def test_an_unknown_op_is_an_error_that_says_where_to_look(capsys):
    status, out, err = run(capsys, "inspect", "op", "nope")
    assert (status, out) == (1, "")
    assert "got nope" in err and "tinyflow inspect ops" in err


def test_a_package_that_is_not_there_is_an_error(capsys):
    status, _, err = run(capsys, "inspect", "ops", "--import", "no_such_package")
    assert status == 1 and "no_such_package" in err


@pytest.fixture
def model(tmp_path):
    x = ops.placeholder(dtype="float32", shape=(2, 3), name="x")
    file = tmp_path / "model.json"
    file.write_text(to_json(Graph((ops.tanh(x),))))
    return file


def test_viz_draws_a_saved_graph(model, capsys):
    picture = model.with_name("graph.svg")
    status, out, _ = run(capsys, "viz", model, "-o", picture)
    assert status == 0 and out == f"{picture}: 2 nodes, 1 outputs\n"
    assert "tanh" in "".join(ElementTree.parse(picture).getroot().itertext())


def test_viz_writes_beside_the_model_unless_told(model, capsys):
    run(capsys, "viz", model)
    assert model.with_suffix(".svg").exists()


def test_viz_of_a_graph_over_the_limit_writes_the_summary(model, capsys):
    run(capsys, "viz", model, "--limit", 1)
    assert "too many" in model.with_suffix(".svg").read_text()


@pytest.fixture
def step(tmp_path):
    """A training step whose batch size nobody knows."""
    x = ops.placeholder(dtype="float32", shape=(None, 3), name="x")
    w = ops.variable(dtype="float32", shape=(3, 2), name="W")
    loss = ops.reduce_sum(ops.exp(ops.mul(ops.matmul(x, w), 2.0)))
    new = ops.sub(w, gradient(Graph((loss,)), [w]).outputs[0])
    file = tmp_path / "step.json"
    file.write_text(to_json(Graph((loss, ops.assign(w, new)))))
    return file


def picture(file):
    return "".join(ElementTree.parse(file).getroot().itertext())


@pytest.mark.parametrize(
    ("option", "shown"), [("--memory", "Arena of"), ("--launches", "launches move")]
)
def test_viz_draws_what_a_graph_becomes(step, capsys, option, shown):
    out = step.with_name("out.svg")
    status, _, err = run(capsys, "viz", step, option, "--shape", "x=4,3", "-o", out)
    assert (status, err) == (0, "")
    assert shown in picture(out)


def test_viz_applies_the_passes_of_an_option(step, capsys):
    run(capsys, "viz", step, "--shape", "x=4,3", "--with", "fusion")
    assert "fused" in picture(step.with_suffix(".svg"))


def test_viz_says_which_shape_is_missing_and_how_to_give_it(step, capsys):
    status, _, err = run(capsys, "viz", step, "--memory")
    assert status == 1
    assert "placeholder 'x'" in err and "[?, 3]" in err and "--shape x=" in err
    assert not step.with_suffix(".svg").exists()


@pytest.mark.parametrize("word", ["nope=3", "x", "x=3,?", "x=-1", "=3"])
def test_viz_refuses_a_shape_that_fits_no_leaf(step, capsys, word):
    status, _, err = run(capsys, "viz", step, "--memory", f"--shape={word}")
    assert status == 1 and "NAME=SIZES of x, W" in err


def test_viz_refuses_a_shape_that_contradicts_the_graph(step, capsys):
    status, _, err = run(capsys, "viz", step, "--memory", "--shape", "x=4,5")
    assert status == 1 and "contradict" in err


def test_viz_draws_a_part_by_number(step, capsys):
    run(capsys, "viz", step, "--nodes", 0, 2)
    assert "matmul" not in picture(step.with_suffix(".svg"))


@pytest.mark.parametrize("part", [(3, 1), (0, 999), (-1, 2)])
def test_viz_refuses_a_part_that_is_not_there(step, capsys, part):
    status, _, err = run(capsys, "viz", step, "--nodes", *part)
    assert status == 1 and "range(0," in err


def test_viz_to_a_folder_that_is_not_there_is_an_error(model, tmp_path, capsys):
    status, _, err = run(capsys, "viz", model, "-o", tmp_path / "no" / "a.svg")
    assert status == 1 and "cannot write" in err and "folder that exists" in err


@pytest.mark.parametrize(
    "content", [b"no json", b"", b"\xff\xfe\x00", b"{}", b'{"nodes": 3, "heads": 1}', b"[" * 9999]
)
def test_viz_of_what_is_no_graph_is_an_error_that_says_how_to_write_one(tmp_path, capsys, content):
    file = tmp_path / "broken.json"
    file.write_bytes(content)
    status, _, err = run(capsys, "viz", file)
    assert status == 1 and err.startswith("tinyflow: ")
    assert "broken.json" in err and "to_json(graph)" in err
    assert not file.with_suffix(".svg").exists()


LEAVES = [{"op": "null", "name": name, "inputs": []} for name in ("x", "w")]
DENSE = {
    "op": "dense",
    "name": "score",
    "attrs": {"units": "3", "use_bias": "False"},
    "inputs": [[0, 0, 0], [1, 0, 0]],
}


def nnvm(row, **more):
    return json.dumps(
        {
            "nodes": [*LEAVES, {**DENSE, **row}],
            "arg_nodes": [0, 1],
            "node_row_ptr": [0, 1, 2, 3],
            "heads": [[2, 0, 0]],
            **more,
        }
    )


def test_viz_draws_a_graph_file_of_nnvm_with_the_shapes_in_it(tmp_path, capsys):
    file = tmp_path / "graph.json"
    attrs = {"shape": ["list_shape", [[2, 5], [3, 5], [2, 3]]]}
    file.write_text(nnvm({}, attrs=attrs))
    status, _, err = run(capsys, "viz", file)
    assert (status, err) == (0, "")
    shown = picture(file.with_suffix(".svg"))
    assert "linear" in shown and "score" in shown and "[2, 3]" in shown


def test_viz_draws_a_symbol_file_without_the_version_of_mxnet(tmp_path, capsys):
    source = ROOT / "tests" / "frontend" / "data" / "mxnet-0.9-sum-symbol.json"
    status, _, _ = run(capsys, "viz", source, "-o", tmp_path / "sum.svg")
    assert status == 0 and "relu0" in picture(tmp_path / "sum.svg")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"op": "einsum"}, "einsum 'score': 'graph.json': operator is not supported"),
        ({"inputs": [[0, 0, 0], [9, 0, 0]]}, "'graph.json': node 2: inputs refers to node"),
        ({"inputs": [[0, 0, 0], [0, 0, 0]]}, "'graph.json': "),
    ],
)
def test_viz_of_a_broken_file_of_another_program_names_file_and_node(
    tmp_path, capsys, monkeypatch, row, message
):
    monkeypatch.chdir(tmp_path)
    Path("graph.json").write_text(nnvm(row, attrs={"shape": ["list_shape", [[2, 5]] * 3]}))
    status, _, err = run(capsys, "viz", "graph.json")
    assert status == 1 and message in err and not Path("graph.svg").exists()


def test_viz_of_something_else_names_the_three_formats(tmp_path, capsys):
    file = tmp_path / "package.json"
    for content in ('{"name": "x"}', '{"op": "null"}', "3"):
        file.write_text(content)
        status, _, err = run(capsys, "viz", file)
        assert status == 1 and "package.json" in err
        assert "tinyflow.ir.to_json" in err and "MXNet" in err and "NNVM" in err


def test_viz_of_a_missing_file_or_a_folder_names_it(tmp_path, capsys):
    status, _, err = run(capsys, "viz", tmp_path / "nowhere.json")
    assert status == 1 and "nowhere.json" in err and "No such file" in err
    status, _, err = run(capsys, "viz", tmp_path)
    assert status == 1 and str(tmp_path) in err


def test_the_package_runs_as_a_command():
    done = subprocess.run(
        [sys.executable, "-m", "tinyflow", "--help"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0
    assert "inspect" in done.stdout and "viz" in done.stdout
