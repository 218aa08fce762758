"""The NaN tracer names the node where trouble begins, not where it ends."""

from __future__ import annotations

import numpy as np
import pytest

import tinyflow as tf


@pytest.fixture(autouse=True)
def fresh_graph() -> None:
    tf.reset_default_graph()


@pytest.fixture(params=["cpu", "numpy"])
def sess(request: pytest.FixtureRequest) -> tf.Session:
    return tf.Session(request.param)


def test_all_finite_is_none(sess: tf.Session) -> None:
    x = tf.placeholder(tf.float32, [2])
    assert sess.find_nan(tf.exp(x), {x: [1.0, 2.0]}) is None


def test_the_first_bad_node_is_named_with_its_line_and_the_ranges_of_its_inputs(
    sess: tf.Session,
) -> None:
    x = tf.placeholder(tf.float32, [2, 2], name="x")
    gap = tf.subtract(x, 3.0, name="gap")
    root = tf.sqrt(gap, name="root")
    loss = tf.reduce_sum(tf.exp(root * 2.0))
    found = sess.find_nan(loss, {x: [[7.0, 4.0], [3.0, 1.0]]})
    assert found is not None and found.node.name == "root" and found.kind == "NaN"
    assert found.position == (1, 1) and found.output.nans == 1
    assert [(each.least, each.greatest) for each in found.inputs] == [(-2.0, 4.0)]
    text = str(found)
    assert text.startswith("sqrt 'root' (test_find_nan.py:") and "the first NaN at [1, 1]" in text
    assert "input x 'gap': float32[2, 2] from -2 to 4" in text
    assert "output: float32[2, 2] from 0 to 2, 1 NaN" in text


def test_infinity_counts_and_nan_made_of_infinity_too(sess: tf.Session) -> None:
    x = tf.placeholder(tf.float32, [2], name="x")
    mask = tf.constant(np.array([0.0, -np.inf], "float32"))
    found = sess.find_nan(tf.exp(tf.log(x, name="low")), {x: [1.0, 0.0]})
    assert found is not None and found.node.name == "low" and found.kind == "inf"
    masked = tf.add(x, mask, name="masked")
    found = sess.find_nan(tf.subtract(masked, mask, name="nan"), {x: [1.0, 2.0]})
    assert found is not None and found.node.name == "nan" and found.kind == "NaN"


def test_a_fed_or_stored_nan_is_the_beginning(sess: tf.Session) -> None:
    x = tf.placeholder(tf.float32, [2], name="x")
    w = tf.Variable(1.0, name="w")
    sess.run(w.initializer)
    found = sess.find_nan(x * w, {x: [1.0, np.nan]})
    assert found is not None and found.node.name == "x" and found.position == (1,)
    sess.run(tf.assign(w, tf.log(-1.0 * tf.ones([]))))
    found = sess.find_nan(x * w, {x: [1.0, 2.0]})
    assert found is not None and found.node.name == "w" and found.inputs == ()


def test_a_diverging_training_step_is_explained_and_left_alone(sess: tf.Session) -> None:
    x = tf.placeholder(tf.float32, [3], name="x")
    w = tf.Variable(2.0, name="w")
    loss = tf.reduce_sum(tf.sqrt(w * x, name="root"))
    step = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    sess.run(tf.global_variables_initializer())
    found = sess.find_nan([step, loss], {x: [0.0, 1.0, 2.0]})
    assert found is not None and found.kind == "inf" and found.node.op.name == "div"
    assert sess.run(w) == 2.0
