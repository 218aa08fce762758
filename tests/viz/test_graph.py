"""What a drawing shows."""

import xml.etree.ElementTree as ElementTree

import pytest

from tinyflow import ops
from tinyflow.ir import Graph, Value, text
from tinyflow.passes import gradient
from tinyflow.viz import draw

SVG = "{http://www.w3.org/2000/svg}"


def _words(drawing):
    return [t.text for t in ElementTree.fromstring(drawing.svg).iter(f"{SVG}text")]


def _fills(drawing):
    """Fill colour of the box of each title."""
    found = {}
    for group in ElementTree.fromstring(drawing.svg).iter(f"{SVG}g"):
        rect, label = group.find(f"{SVG}rect"), group.find(f"{SVG}text")
        if rect is not None and label is not None and group.find(f"{SVG}title") is not None:
            found.setdefault(label.text, set()).add(rect.get("fill"))
    return found


@pytest.fixture
def model():
    x = ops.placeholder(dtype="float32", shape=(None, 784), name="x")
    w = ops.variable(dtype="float32", shape=(784, 10), name="W")
    return Graph((ops.reduce_sum(ops.tanh(ops.matmul(x, w, name="fc"))),)), x, w


def test_boxes_show_op_name_number_and_inferred_shape(model):
    words = _words(draw(model[0]))
    for word in ("matmul", '"fc"', "float32[?, 10]", "tanh", "reduce_sum", "output"):
        assert word in words
    assert words[words.index("W") + 1] == "%1"  # as in text(graph)


def test_leaves_show_their_name_and_op(model):
    words = _words(draw(model[0]))
    assert "x" in words and "placeholder" in words and "variable" in words


def test_describe_replaces_the_inferred_text(model):
    words = _words(draw(model[0], describe=lambda value: f"<{value.node.op.name}>"))
    assert "<tanh>" in words and "float32[?, 10]" not in words


def test_a_graph_whose_shapes_contradict_is_drawn_without_them():
    x = ops.placeholder(dtype="float32", shape=(2, 3), name="x")
    words = _words(draw(Graph((ops.matmul(x, x),))))
    assert "matmul" in words


def test_kinds_have_colours_of_their_own(model):
    graph, _, w = model
    dw = gradient(graph, [w]).outputs[0]
    step = ops.assign(w, ops.sub(w, ops.mul(dw, 0.5)))
    fills = _fills(draw(Graph((step,))))
    kinds = [fills["W"], fills["0.5"], fills["matmul"], fills["tanh_grad"], fills["assign"]]
    assert fills["tanh"] < fills["matmul"]  # matmul is both forward and backward
    assert len(set().union(*kinds)) == 5


def test_the_forward_graph_decides_what_is_backward_when_it_is_given(model):
    graph, _, w = model
    whole = Graph((*graph.outputs, *gradient(graph, [w]).outputs))
    same = _fills(draw(whole, forward=whole))
    assert same["tanh_grad"] == same["tanh"]


def test_inputs_are_named_where_their_order_matters():
    x = ops.placeholder(dtype="float32", name="p")
    assert "y" in _words(draw(Graph((ops.sub(x, 2.0),))))
    assert "y" not in _words(draw(Graph((ops.add(x, 2.0),))))


def test_control_dependencies_are_dashed_and_shape_only_reads_dotted(model):
    graph, _, w = model
    plain = draw(graph).svg
    assert "stroke-dasharray" not in plain
    store = ops.assign(w, ops.zeros_like(w))
    svg = draw(Graph((ops.group(after=[store.node]),)))
    words = _words(svg)
    assert "runs after" in words and "shape only" in words


def test_versions_of_variables_are_shown():
    w = ops.variable(dtype="float32", shape=(2,), name="W")
    late = Value(w.node, 0, 2)
    assert "@2" in _words(draw(Graph((ops.neg(late),))))


def test_several_outputs_are_numbered(model):
    graph, x, _ = model
    words = _words(draw(Graph((*graph.outputs, x))))
    assert "output 0" in words and "output 1" in words


def test_every_box_carries_its_line_of_the_text(model):
    graph = model[0]
    root = ElementTree.fromstring(draw(graph, describe=lambda value: "").svg)
    titles = [t.text for t in root.iter(f"{SVG}title")]
    assert titles == text(graph).splitlines()[:-1]


def test_names_are_escaped_and_cleaned():
    x = ops.placeholder(dtype="float32", name='<script>&"\x00\x1b')
    svg = draw(Graph((ops.neg(x, name="</svg>"),))).svg
    ElementTree.fromstring(svg)
    assert "<script" not in svg and svg.count("</svg>") == 1


def test_long_op_names_are_wrapped_and_long_text_is_shortened():
    x = ops.placeholder(dtype="float32", shape=(2, 3), name="n" * 200)
    labels = ops.constant(0)
    words = _words(draw(Graph((ops.mean_sparse_softmax_cross_entropy_with_logits(x, labels),))))
    assert "mean_sparse_softmax_cross_" in words and "entropy_with_logits" in words
    assert max(map(len, words)) <= 40


def test_a_huge_graph_becomes_a_summary_that_says_what_to_do():
    x = ops.placeholder(dtype="float32", name="x")
    y = x
    for _ in range(3000):
        y = ops.add(y, x)
    words = _words(draw(Graph((y,))))
    assert words[0] == "3,001 nodes are too many for one picture (limit 400)."
    assert "draw(Graph((value,)))" in words[1]
    assert "3,000 × add" in words[2]


def test_notebooks_and_files_get_the_same_picture(model, tmp_path):
    drawing = draw(model[0])
    file = tmp_path / "graph.svg"
    drawing.save(file)
    assert file.read_text(encoding="utf-8") == drawing._repr_svg_() == drawing.svg
    assert drawing.svg in drawing._repr_html_()
    assert draw(model[0]) == drawing


def test_an_empty_graph_is_drawn():
    ElementTree.fromstring(draw(Graph(())).svg)
