"""What a drawing shows."""

import itertools
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

import tinyflow as tf
from tinyflow import ops
from tinyflow.errors import GraphError
from tinyflow.ir import Graph, Value, text
from tinyflow.passes import describe, gradient, infer
from tinyflow.types import Device
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


def test_arrows_tell_which_output_they_read_where_they_end():
    x = ops.placeholder(dtype="float32", shape=(2, 6), name="p")
    _, second = ops.split(x, sizes=(3, 3), axis=1)
    words = _words(draw(Graph((ops.sub(second, 1.0),))))
    assert "x:1" in words


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


def _chain(length):
    x = ops.placeholder(dtype="float32", shape=(2,), name="x")
    y = x
    for _ in range(length):
        y = ops.tanh(y)
    return Graph((y,))


def test_a_huge_graph_becomes_a_few_boxes_that_say_how_to_draw_a_part():
    graph = _chain(3000)
    words = _words(draw(graph))
    assert words[0] == "3,001 nodes are too many for one picture: 12 boxes stand for them."
    first = re.search(r"nodes=range\((\d+), (\d+)\)", words[1])
    assert "× tanh" in "".join(words) and len(words) < 100
    part = _words(draw(graph, nodes=range(*map(int, first.groups()))))
    assert part.count("tanh") == int(first[2]) - 1  # all of it, and x


def test_the_boxes_of_an_overview_hold_every_node_once():
    words = _words(draw(_chain(999), limit=100))
    titles = [re.fullmatch(r"%(\d+) to %(\d+)", word) for word in words]
    spans = sorted((int(m[1]), int(m[2])) for m in titles if m)
    assert spans[0][0] == 0 and spans[-1][1] == 999
    assert all(b == a + 1 for (_, a), (b, _) in itertools.pairwise(spans))


def test_a_part_shows_what_it_reads_as_elsewhere_and_no_output():
    words = _words(draw(_chain(9), nodes=range(4, 7)))
    assert [w for w in words if w.startswith("%")] == ["%3", "%4", "%5", "%6"]
    assert "elsewhere" in words and "output" not in words


@pytest.mark.parametrize("nodes", [range(0), range(5, 99), range(0, 4, 2), range(-2, 2)])
def test_a_part_that_is_not_there_is_refused(nodes):
    with pytest.raises(tf.TinyflowError, match="no such nodes.*range"):
        draw(_chain(3), nodes=nodes)


def test_a_fused_group_lists_what_it_computes():
    graph = _fused(2)
    words = _words(draw(graph))
    assert words[words.index("fused") :][2:5] == ["float32[4]", "t0 = mul(x0, 2)", "y0 = exp(t0)"]
    assert not any("body=" in word for word in words)


def test_a_long_fused_group_is_cut_short():
    words = _words(draw(_fused(40)))
    assert "… and 26 more" in words


def _fused(steps):
    inner = ops.placeholder(dtype="float32", shape=(4,), name="x0")
    y = ops.mul(inner, 2.0)
    for _ in range(steps - 1):
        y = ops.exp(y)
    x = ops.placeholder(dtype="float32", shape=(4,), name="x")
    return Graph((ops.fused(x, body=Graph((y,))),))


def test_what_only_updates_need_is_backward(model):
    graph, _, w = model
    step = ops.assign(w, ops.mul(w, 0.5))
    fills = _fills(draw(Graph((*graph.outputs, ops.group(after=[step.node])))))
    assert fills["mul"] != fills["tanh"]


def test_devices_have_a_colour_each_and_stand_in_the_legend():
    x = ops.placeholder(dtype="float32", shape=(2,), name="x")
    a = ops.exp.node([x], {})
    b = ops.exp.node([Value(a)], {})
    on = [replace(a, device=Device("gpu", 0)), None]
    on[1] = replace(b, inputs=(Value(on[0]),), device=Device("gpu", 1))
    svg = draw(Graph((Value(on[1]),))).svg
    assert svg.count("#0072b2") == svg.count("#e69f00") == 2  # the bar and the legend
    assert {"gpu:0", "gpu:1", "on gpu:0", "on gpu:1"} <= set(_words(draw(Graph((Value(on[1]),)))))
    assert "#0072b2" not in draw(Graph((Value(a),))).svg


def test_a_drawing_prints_as_the_text_of_the_graph():
    graph = infer(_chain(2))
    assert str(draw(graph)) == text(graph, describe(graph))


def test_a_place_that_cannot_be_written_is_an_error(model, tmp_path):
    with pytest.raises(tf.TinyflowError, match="cannot write.*folder that exists"):
        draw(model[0]).save(tmp_path / "nowhere" / "graph.svg")


def test_notebooks_and_files_get_the_same_picture(model, tmp_path):
    drawing = draw(model[0])
    file = tmp_path / "graph.svg"
    drawing.save(file)
    assert file.read_text(encoding="utf-8") == drawing._repr_svg_() == drawing.svg
    assert drawing.svg in drawing._repr_html_()
    assert draw(model[0]) == drawing


def test_an_empty_graph_is_drawn():
    ElementTree.fromstring(draw(Graph(())).svg)


def test_tensors_stand_for_what_computes_them():
    x = tf.placeholder(tf.float32, [2, 3], name="x")
    y, z = tf.exp(x), tf.tanh(x)
    assert draw(y).words == draw(Graph((y.value,))).words
    assert draw([y, z]).words == draw(Graph((y.value, z.value))).words
    for wrong in (3, [y, 3], "y"):
        with pytest.raises(GraphError, match="cannot draw; got .*expected a graph or tensors"):
            draw(wrong)
