"""What scripts of TensorFlow 1 ask of sessions, tensors, variables and savers."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyflow as tf
from tinyflow.errors import FeedError, GraphError, RunError, ShapeError
from tinyflow.passes import STANDARD

Pair = namedtuple("Pair", ["first", "second"])


@pytest.fixture(autouse=True)
def _fresh_graph() -> None:
    tf.reset_default_graph()


def test_fetches_come_back_in_the_structure_that_was_asked_for() -> None:
    a, b, c = (tf.constant(float(number)) for number in (1, 2, 3))
    sess = tf.Session()
    assert sess.run({"a": a, "rest": [b, (c, a)]}) == {"a": 1.0, "rest": [2.0, (3.0, 1.0)]}
    assert sess.run([[a], [], [b, c]]) == [[1.0], [], [2.0, 3.0]]
    assert sess.run((a, b)) == (1.0, 2.0)
    assert sess.run(Pair(a, [b])) == Pair(1.0, [2.0])
    assert sess.run(fetches=a, feed_dict=None, options=None, run_metadata=None) == 1.0
    for strange in (3, "a", [a, None], {"a": "b"}):
        with pytest.raises(FeedError, match="cannot fetch this.*a tensor, or a list, tuple or d"):
            sess.run(strange)


def test_an_operation_runs_and_fetches_nothing() -> None:
    x = tf.placeholder(tf.float32, [2], name="x")
    w = tf.Variable([1.0, 2.0])
    step = tf.assign_add(w, x)
    assert (x.op.name, tf.exp(x, name="e").op.name, tf.exp(x).op.type) == ("x", "e", "exp")
    assert [tensor.name for tensor in tf.exp(x).op.inputs] == ["x"]
    sess = tf.Session()
    sess.run(w.initializer)
    assert sess.run([step.op, w], {x: [1.0, 1.0]})[0] is None
    tf.group(tf.assign(w, w * 2.0)).op.run(session=sess)
    np.testing.assert_array_equal(sess.run(w), [4.0, 6.0])


def test_a_session_has_a_graph_and_can_be_the_default_for_a_while() -> None:
    graph = tf.Graph()
    with graph.as_default():
        w = tf.Variable(3.0)
        sess = tf.Session(graph=graph)
    assert sess.graph is graph and tf.Session().graph is tf.get_default_graph()
    with graph.as_default(), sess.as_default():
        w.initializer.run()
        assert w.eval() == 3.0
        assert w.eval(sess) == w.eval(session=sess) == w.eval({}, sess) == 3.0
    with pytest.raises(RunError, match="no session"):
        w.eval()


def test_variables_are_read_and_compute_first_contents() -> None:
    w = tf.Variable(tf.random_normal([3]), name="w")
    twin = tf.Variable(w.initialized_value() * 2.0)
    before, after = w.read_value(), tf.assign(w, w + 1.0)
    sess = tf.Session(seed=1)
    sess.run(tf.global_variables_initializer())
    first = sess.run(w)
    np.testing.assert_array_equal(sess.run(twin), first * 2.0)
    np.testing.assert_array_equal(sess.run([before, after]), [first, first + 1.0])


@pytest.mark.parametrize(
    ("make", "name", "learned"),
    [
        (lambda: tf.Variable(1.0), "variable", True),
        (lambda: tf.Variable(1.0, "w"), "w", True),
        (lambda: tf.Variable(1.0, "w", trainable=False), "w", False),
        (lambda: tf.Variable(1.0, False, name="w"), "w", False),
        (lambda: tf.Variable(init=1.0, name="w"), "w", True),
        (lambda: tf.Variable(lambda: 1.0, name="w"), "w", True),
    ],
)
def test_a_second_argument_is_a_name_or_trainable(make: Any, name: str, learned: bool) -> None:
    w = make()
    assert w.name == name and (len(tf.trainable_variables()) == 1) is learned


def test_a_shape_can_be_set_where_one_size_is_open() -> None:
    x = tf.placeholder(tf.float32, [None, None])
    y = tf.reshape(x, [-1, 2, 2])
    y.set_shape([None, 2, 2])
    z = tf.exp(x)
    z.set_shape([None, 4])
    assert z.shape == (None, 4)
    logits = tf.layers.dense(z, 3)
    assert logits.shape == (None, 3)
    with pytest.raises(ShapeError):
        z.set_shape([None, 5])
    with pytest.raises(GraphError, match=r"cannot set this shape.*Give tf\.placeholder the shape"):
        x.set_shape([2, None])


def test_settings_of_tensorflow_are_accepted() -> None:
    config = tf.ConfigProto(allow_soft_placement=True, device_count={"GPU": 0})
    config.gpu_options.allow_growth = True
    config.intra_op_parallelism_threads = 2
    options = tf.GPUOptions(per_process_gpu_memory_fraction=0.3)
    for made in (tf.Session(config=config), tf.Session(config=tf.ConfigProto(gpu_options=options))):
        assert made.run(tf.constant(2.0)) == 2.0 and str(made.device) == "cpu"
    sess = tf.InteractiveSession(config=config)
    assert tf.constant(2.0).eval() == 2.0
    sess.close()


def test_a_saver_keeps_the_last_files(tmp_path: Path) -> None:
    tf.Variable(1.0, name="w")
    sess = tf.Session()
    sess.run(tf.global_variables_initializer())
    saver, path = tf.train.Saver(max_to_keep=2), f"{tmp_path}/model"
    for step in (1, 2, 2, 3):
        saver.save(sess, path, global_step=step)
    assert saver.last_checkpoints == [f"{path}-2", f"{path}-3"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model-2", "model-3"]
    everything = tf.train.Saver(max_to_keep=None)
    for step in range(10, 18):
        everything.save(sess, path, global_step=step, write_meta_graph=False)
    assert len([*tmp_path.iterdir()]) == 10
    for step in range(20, 28):
        tf.train.Saver([tf.global_variables()[0]]).save(sess, f"{path}-{step}")
    five = tf.train.Saver()
    for step in range(30, 38):
        five.save(sess, path, global_step=step)
    assert [file[-2:] for file in five.last_checkpoints] == ["33", "34", "35", "36", "37"]


def test_initializers_have_a_dtype_for_calls_without_one() -> None:
    made = [
        tf.zeros_initializer(tf.float64), tf.ones_initializer(dtype=tf.float64),
        tf.constant_initializer([1, 2, 3, 4], tf.float64, verify_shape=False),
        tf.random_normal_initializer(0.0, 1.0, 1, tf.float64),
        tf.truncated_normal_initializer(dtype=tf.float64),
        tf.random_uniform_initializer(-1.0, 1.0, dtype=tf.float64),
        tf.variance_scaling_initializer(dtype=tf.float64),
        tf.glorot_uniform_initializer(None, tf.float64), tf.glorot_normal_initializer(1, "float64"),
    ]  # fmt: skip
    assert {initializer([2, 2]).dtype for initializer in made} == {tf.float64}
    assert {initializer([2, 2], tf.float32).dtype for initializer in made} == {tf.float32}


def test_a_session_takes_target_graph_and_config_as_tensorflow_does() -> None:
    graph = tf.get_default_graph()
    c = tf.constant(2.0)
    sessions = [
        tf.Session("", None, tf.ConfigProto()),
        tf.Session("", graph, tf.ConfigProto(allow_soft_placement=True)),
        tf.Session(tf.ConfigProto()),
        tf.Session("cpu fusion"),
        tf.Session(config="cpu"),
        tf.Session("fusion", config="cpu"),
        tf.Session(seed=3, pipeline=STANDARD),
        tf.Session(None, graph=graph, seed=3),
    ]
    assert [sess.run(c) for sess in sessions] == [2.0] * 8
    with pytest.raises(GraphError, match="no graph; got 3; expected a tf.Graph"):
        tf.Session("", 3)  # type: ignore[arg-type]


def test_an_optimizer_of_ones_own_is_told_what_to_write() -> None:
    class Empty(tf.train.Optimizer):
        pass

    class Signs(tf.train.Optimizer):
        def __init__(self, rate: float, use_locking: bool = False, name: str = "Signs") -> None:
            super().__init__(use_locking, name)
            self.rate = rate

        def updates(self, variables: list[Any], slopes: list[Any]) -> list[Any]:
            return [tf.assign(v, v - self.rate * tf.sign(s)) for v, s in zip(variables, slopes)]

    w = tf.Variable([3.0, -4.0])
    loss = tf.reduce_sum(w * w)
    with pytest.raises(GraphError, match=r"Empty has no updates.*Write updates\(variables, slopes"):
        Empty().minimize(loss)
    step, sess = Signs(0.5).minimize(loss), tf.Session()
    assert Signs(0.5).name == "Signs"
    sess.run(tf.global_variables_initializer())
    sess.run(step)
    np.testing.assert_array_equal(sess.run(w), [2.5, -3.5])
