"""What the picture of a memory plan shows."""

import xml.etree.ElementTree as ElementTree
from itertools import combinations

import numpy as np
import pytest

import tinyflow as tf
from tinyflow import ops
from tinyflow.passes import MemoryPlan
from tinyflow.passes.memory import STRATEGIES, Interval, lower_bound
from tinyflow.viz import draw_memory

SVG = "{http://www.w3.org/2000/svg}"


def _plan(*pieces, strategy="best fit", names=None):
    """A plan for storages of (bytes, first step, last step)."""
    x = ops.placeholder(dtype="float32", shape=(2,), name="x")
    values = [ops.tanh(x, name=name) for name in names or [f"n{i}" for i in range(len(pieces))]]
    intervals = tuple(Interval((v,), *piece) for v, piece in zip(values, pieces))
    offsets = tuple(STRATEGIES[strategy](intervals))
    arena = max((o + i.size_bytes for o, i in zip(offsets, intervals)), default=0)
    place = {value: i for i, value in enumerate(values)}
    return MemoryPlan(intervals, offsets, place, arena, lower_bound(intervals), strategy)


def _root(drawing):
    return ElementTree.fromstring(drawing.svg)


def _words(drawing):
    return [t.text for t in _root(drawing).iter(f"{SVG}text")]


def _blocks(drawing):
    """Frame and hover title of each storage."""
    found = []
    for rect in _root(drawing).iter(f"{SVG}rect"):
        title = rect.find(f"{SVG}title")
        if title is not None:
            x, y, w, h = (float(rect.get(key)) for key in ("x", "y", "width", "height"))
            found.append(((x, y, x + w, y + h), title.text))
    return found


PIECES = ((512, 0, 3), (256, 1, 2), (1024, 2, 6), (256, 4, 5), (64, 5, 6))


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_there_is_one_block_per_storage_and_none_overlap(strategy):
    blocks = _blocks(draw_memory(_plan(*PIECES, strategy=strategy)))
    assert len(blocks) == len(PIECES)
    for (a, _), (b, _) in combinations(blocks, 2):
        apart = (a[2], b[2], a[3], b[3]) <= (b[0] + 0.2, a[0] + 0.2, b[1] + 0.2, a[1] + 0.2)
        apart = apart or a[2] <= b[0] + 0.2 or b[2] <= a[0] + 0.2
        assert apart or a[3] <= b[1] + 0.2 or b[3] <= a[1] + 0.2


def test_sizes_are_to_scale_and_blocks_lie_in_the_plot():
    blocks = {title.split('"')[1]: frame for frame, title in _blocks(draw_memory(_plan(*PIECES)))}
    heights = {name: bottom - top for name, (_, top, _, bottom) in blocks.items()}
    widths = {name: right - left for name, (left, _, right, _) in blocks.items()}
    assert heights["n2"] == pytest.approx(2 * heights["n0"], abs=0.2)
    assert widths["n0"] == pytest.approx(2 * widths["n1"], abs=0.2)


def test_hovering_tells_name_bytes_offset_and_steps():
    titles = [title for _, title in _blocks(draw_memory(_plan((4096, 3, 7))))]
    assert titles == ['tanh "n0"\n4,096 bytes at 0, steps 3 to 7']


def test_the_head_tells_bytes_bound_and_strategy():
    plan = _plan(*PIECES, strategy="free list")
    head = " ".join(_words(draw_memory(plan))[:2])
    assert f"{plan.arena_bytes:,} bytes" in head and f"{plan.bound_bytes:,} bytes" in head
    assert "free list" in head and f"{plan.arena_bytes / plan.bound_bytes:.3f}" in head


def test_the_busiest_step_and_what_is_idle_there_are_told():
    words = _words(draw_memory(_plan((600, 0, 1), (400, 1, 2))))
    assert "busiest: step 1, 1 kB" in words and "idle there: 0 bytes" in words
    assert "idle on average: 33 %" in words


def test_the_largest_are_listed_and_the_longest_lived_first_among_equals():
    plan = _plan(*((64, i, i) for i in range(30)), (64, 0, 29))
    listed = str(draw_memory(plan)).splitlines()
    assert len(listed) == 11 and listed[1].endswith('"n30"')


def test_storages_used_in_place_name_all_that_they_hold():
    x = ops.placeholder(dtype="float32", shape=(2,), name="x")
    a = ops.exp(x)
    b = ops.tanh(a)
    plan = MemoryPlan((Interval((a, b), 64, 1, 3),), (0,), {a: 0, b: 0}, 64, 64, "best fit")
    assert "exp → tanh" in _words(draw_memory(plan))


@pytest.mark.parametrize("plan", [_plan(), _plan((0, 0, 0))])
def test_a_plan_without_bytes_says_so(plan):
    words = _words(draw_memory(plan))
    assert words[0] == "Arena of 0 bytes" and "Nothing to place" in words[-1]


def test_names_are_escaped_and_long_ones_cut():
    drawing = draw_memory(_plan((64, 0, 1), (64, 0, 1), names=["<b>&\"'\x00", "n" * 300]))
    assert "<b>" not in drawing.svg
    assert max(map(len, _words(drawing))) < 110


def test_huge_sizes_are_drawn():
    words = _words(draw_memory(_plan((10**15, 0, 10**6), (64, 5, 5))))
    assert "200 TB" in words and "200000" in words  # of the axes


def test_the_plan_of_a_run_is_drawn_with_what_is_backward_apart():
    tf.reset_default_graph()
    x = tf.placeholder(tf.float32, [8, 16], name="x")
    w = tf.Variable(tf.ones([16, 16]), name="w")
    loss = tf.reduce_mean(tf.tanh(tf.matmul(tf.tanh(tf.matmul(x, w)), w)))
    train = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    sess = tf.Session("cpu")
    sess.run(tf.initialize_all_variables())
    sess.run([loss, train], {x: np.ones((8, 16), np.float32)})
    plan = sess.memory_plan()
    drawing = draw_memory(plan)
    assert len(_blocks(drawing)) == len(plan.intervals)
    assert str(drawing).startswith(str(plan))
    fills = {
        rect.get("fill"): rect.find(f"{SVG}title").text
        for rect in _root(drawing).iter(f"{SVG}rect")
        if rect.find(f"{SVG}title") is not None
    }
    assert len(fills) == 2
