"""Words never cover each other, nor leave the picture: measured with the widths of common fonts."""

import itertools
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

import tinyflow as tf
from tinyflow.viz import draw, draw_launches, draw_memory

SVG = "{http://www.w3.org/2000/svg}"


def _texts(element, dx=0.0, dy=0.0):
    """(left, top, right, bottom, words) of every text, in pixels of the whole picture."""
    if moved := re.match(r"translate\(([-\d.]+) ([-\d.]+)\)", element.get("transform", "")):
        dx, dy = dx + float(moved[1]), dy + float(moved[2])
    if element.tag == f"{SVG}text":
        size, mono = float(element.get("font-size")), "mono" in (element.get("font-family") or "")
        bold = element.get("font-weight") is not None
        width = len(element.text) * size * (0.602 if mono else 0.56 if bold else 0.5)
        anchor = {"middle": 0.5, "end": 1.0}.get(element.get("text-anchor"), 0.0)
        x, y = float(element.get("x")) + dx - anchor * width, float(element.get("y")) + dy
        yield x, y - 0.72 * size, x + width, y, element.text
    for child in element:
        yield from _texts(child, dx, dy)


def _check(drawing):
    root = ElementTree.fromstring(drawing.svg)
    texts = list(_texts(root))
    assert len(texts) > 10
    for left, top, right, bottom, words in texts:
        assert left >= 0 and top >= 0, words
        assert right <= float(root.get("width")) and bottom <= float(root.get("height")), words
    for a, b in itertools.combinations(texts, 2):
        apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
        assert apart, (a, b)


def _step(config):
    tf.reset_default_graph()
    x = tf.placeholder(tf.float32, [None, 12], name="x")
    label = tf.placeholder(tf.int64, [None], name="label")
    h = x
    for i, (rows, columns) in enumerate(((12, 8), (8, 8), (8, 4))):
        w = tf.Variable(tf.ones([rows, columns]), name=f"a_rather_long_name_of_weight_{i}")
        h = tf.tanh(tf.matmul(h, w))
    loss = tf.nn.mean_sparse_softmax_cross_entropy_with_logits(h, label)
    train = tf.train.AdamOptimizer(0.1).minimize(loss)
    sess = tf.Session(config)
    sess.run(tf.initialize_all_variables())
    feeds = {x: np.ones((6, 12), np.float32), label: np.zeros(6, np.int64)}
    sess.run([loss, train], feeds)
    return sess, sess.trace([loss, train], feeds)


@pytest.mark.parametrize("config", ["cpu", "cpu fusion", "cpu checkpoint"])
def test_words_of_a_training_step_keep_apart(config):
    sess, trace = _step(config)
    _check(draw(trace[0].graph))
    _check(draw(trace[-1].graph))
    _check(draw(trace[-1].graph, limit=10))
    _check(draw(trace[-1].graph, nodes=range(5, 20)))
    _check(draw_memory(sess.memory_plan()))
    _check(draw_launches(sess.program()))
