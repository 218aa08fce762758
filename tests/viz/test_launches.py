"""What the picture of a program shows."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np

import tinyflow as tf
from tinyflow.viz import draw_launches, launches

SVG = "{http://www.w3.org/2000/svg}"


def _words(drawing):
    return [t.text for t in ElementTree.fromstring(drawing.svg).iter(f"{SVG}text")]


def _program(config, rows=8, name="w"):
    tf.reset_default_graph()
    x = tf.placeholder(tf.float32, [None, 16], name="x")
    w = tf.Variable(tf.ones([16, 16]), name=name)
    h = tf.reshape(tf.matmul(x, w), [-1, 4])
    loss = tf.reduce_mean(tf.exp(tf.tanh(h * 2.0) + 1.0))
    train = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    sess = tf.Session(config)
    sess.run(tf.initialize_all_variables())
    sess.run([loss, train], {x: np.ones((rows, 16), np.float32)})
    return sess.program()


def test_there_is_one_row_per_instruction_with_its_results():
    program = _program("cpu")
    words = _words(draw_launches(program))
    for step in program.instructions:
        assert step.op.name in words
        assert any(word.startswith(f"r{step.outputs[0]} ") for word in words)


def test_bytes_are_those_of_what_is_read_and_written():
    text = str(draw_launches(_program("cpu")))
    (matmul, *_) = (line for line in text.splitlines() if line.startswith("matmul "))
    assert "1.54 kB in, 512 bytes out" in matmul  # 8x16 and 16x16 floats, then 8x16


def test_in_place_views_and_variables_are_marked():
    text = str(draw_launches(_program("cpu")))
    assert re.search(r"^tanh .* over r\d+", text, re.M)
    assert re.search(r"^reshape +- .* view of r\d+", text, re.M)
    assert re.search(r" is w$", text, re.M)


def test_fused_groups_name_their_members():
    text = str(draw_launches(_program("cpu fusion")))
    assert re.search(r"^fused .*\[.*tanh.*\]$", text, re.M)


def test_before_and_after_stand_side_by_side_with_their_counts():
    plain, fused = _program("cpu"), _program("cpu fusion")
    titles = [word for word in _words(draw_launches(plain, fused)) if "launches move" in word]
    assert [title.split(":")[0] for title in titles] == ["Before", "After"]
    before, after = (int(re.search(r"(\d+) launches", title)[1]) for title in titles)
    assert after < before


def test_columns_never_overlap():
    drawing = draw_launches(_program("cpu"), _program("cpu fusion", name="n" * 60))
    lines = {}
    root = ElementTree.fromstring(drawing.svg)
    for t in root.iter(f"{SVG}text"):
        # mean advance of the widest common font, per character at size 1
        advance = 0.602 if "monospace" in (t.get("font-family") or "") else 0.5
        x, size = float(t.get("x")), float(t.get("font-size"))
        lines.setdefault(t.get("y"), []).append((x, x + advance * size * len(t.text)))
    for spans in lines.values():
        for (_, end), (start, _) in zip(sorted(spans), sorted(spans)[1:]):
            assert end <= start
    assert max(end for spans in lines.values() for _, end in spans) <= float(root.get("width"))


def test_rows_above_the_limit_are_counted(monkeypatch):
    program = _program("cpu")
    monkeypatch.setattr(launches, "LIMIT", 2)
    words = _words(draw_launches(program))
    assert f"… and {len(program.instructions) - 2} more: print(program) shows them" in words


def test_a_program_without_instructions_and_zero_sizes_are_drawn():
    tf.reset_default_graph()
    x = tf.placeholder(tf.float32, [None], name="x")
    sess = tf.Session("cpu")
    sess.run(x, {x: np.ones(0, np.float32)})
    assert "0 launches move 0 bytes" in _words(draw_launches(sess.program()))
    assert "bytes" in str(draw_launches(_program("cpu", rows=0)))


def test_names_are_escaped():
    svg = draw_launches(_program("cpu", name="</svg><script>&")).svg
    ElementTree.fromstring(svg)
    assert "<script" not in svg and svg.count("</svg>") == 1
