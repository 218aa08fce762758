"""Checkpoints: training that goes on bit for bit, files that are whole, and clear refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyflow as tf
from tinyflow.errors import DTypeError, GraphError, RunError, ShapeError

SCRIPT = """
import sys
import numpy as np
import tinyflow as tf

x = tf.placeholder(tf.float32, [8, 5])
noisy = x + tf.random_normal([8, 5], stddev=0.5)
hidden = tf.layers.dense(noisy, 7, activation=tf.nn.tanh)
loss = tf.reduce_mean(tf.square(tf.layers.dense(hidden, 1)))
step = tf.train.{optimizer}.minimize(loss)
images = np.random.RandomState(0).normal(size=(8, 5))

def train(sess, steps):
    for _ in range(steps):
        sess.run(step, {{x: images}})
    found = {{v.name: sess.run(v) for v in tf.global_variables()}}
    return found | {{"loss": sess.run(loss, {{x: images}})}}
"""
OPTIMIZERS = ["AdamOptimizer(0.01)", "RMSPropOptimizer(0.01, momentum=0.9)"]


@pytest.fixture(autouse=True)
def _fresh_graph() -> None:
    tf.reset_default_graph()


def build(optimizer: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(SCRIPT.format(optimizer=optimizer), names)
    return names


def assert_same_bits(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("config", ["cpu", "cpu fusion recompute", "numpy"])
def test_ten_steps_are_five_saved_restored_and_five(
    optimizer: str, config: str, tmp_path: Path
) -> None:
    train = build(optimizer)["train"]
    path = str(tmp_path / "state")
    straight, first, second = (tf.Session(config, seed=s) for s in (3, 3, 99))
    for sess in (straight, first):
        sess.run(tf.global_variables_initializer())
    for _ in range(5):
        straight.run(tf.no_op())  # as many runs as the other session spends on looking
    train(straight, 5)
    for _ in range(5):
        first.run(tf.no_op())
    train(first, 5)
    first.save(path)
    second.restore(path)
    assert_same_bits(train(second, 5), train(straight, 5))
    assert (second.seed, second.run_count) == (straight.seed, straight.run_count)


def test_training_goes_on_in_another_process(tmp_path: Path) -> None:
    path = str(tmp_path / "state")
    train = build(OPTIMIZERS[0])["train"]
    sess = tf.Session(seed=3)
    sess.run(tf.global_variables_initializer())
    train(sess, 5)
    tf.train.Saver().save(sess, path)
    expected = train(sess, 5)
    tail = (
        f"sess = tf.Session(); tf.train.Saver().restore(sess, {path!r})\n"
        "found = {k.replace('/', '.'): v for k, v in train(sess, 5).items()}\n"
        f"np.savez({path!r} + '.out', **found)"
    )
    program = SCRIPT.format(optimizer=OPTIMIZERS[0]) + tail
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
    with np.load(path + ".out.npz") as found:
        assert_same_bits(dict(found), {k.replace("/", "."): v for k, v in expected.items()})


def test_programs_compiled_before_see_restored_contents(tmp_path: Path) -> None:
    w = tf.Variable(1.0, name="w")
    bump, sess = tf.assign_add(w, 1.0), tf.Session()
    sess.run(tf.global_variables_initializer())
    sess.save(str(tmp_path / "one"))
    assert [sess.run(bump), sess.run(bump)] == [2.0, 3.0]
    sess.restore(str(tmp_path / "one"))
    assert sess.run(bump) == 2.0


def test_variables_that_the_file_lacks_are_uninitialised_afterwards(tmp_path: Path) -> None:
    a, b = tf.Variable(1.0, name="a"), tf.Variable(2.0, name="b")
    sess = tf.Session()
    sess.run(a.initializer)
    sess.save(str(tmp_path / "a"))
    sess.run(b.initializer)
    sess.restore(str(tmp_path / "a"))
    assert sess.run(a) == 1.0
    with pytest.raises(RunError, match="'b' is not initialised"):
        sess.run(b)


def test_a_saver_of_some_variables_leaves_the_rest_and_the_counter(tmp_path: Path) -> None:
    path = str(tmp_path / "part")
    a, b = tf.Variable(1.0, name="a"), tf.Variable(2.0, name="b")
    saver, sess, other = tf.train.Saver([a]), tf.Session(seed=1), tf.Session(seed=2)
    for each in (sess, other):
        each.run(tf.global_variables_initializer())
    sess.run([tf.assign(a, 5.0), tf.assign(b, 6.0)])
    saver.save(sess, path)
    saver.restore(other, path)
    assert other.run([a, b]) == [5.0, 2.0]
    assert (other.seed, other.run_count) == (2, 2)


def test_every_dtype_comes_back(tmp_path: Path) -> None:
    dtypes = ["bool", "int32", "int64", "float16", "bfloat16", "float32", "float64"]
    made = [tf.Variable([0.0, 1.0], name=d, dtype=d) for d in dtypes if "float" in d]
    made += [tf.Variable(tf.cast([0, 1], d), name=d) for d in dtypes if "float" not in d]
    path, sess, other = str(tmp_path / "all"), tf.Session(), tf.Session()
    sess.run(tf.global_variables_initializer())
    sess.save(path)
    other.restore(path)
    for v in made:
        np.testing.assert_array_equal(other.run(tf.cast(v, "float32")), [0, 1])
        assert str(other.checkpoint().dtypes[v.name]) == v.name


class TestBadInput:
    @pytest.fixture
    def path(self, tmp_path: Path) -> str:
        tf.Variable(np.ones((2, 3), "float32"), name="w")
        sess = tf.Session()
        sess.run(tf.global_variables_initializer())
        sess.save(str(tmp_path / "saved"))
        tf.reset_default_graph()
        return str(tmp_path / "saved")

    @pytest.mark.parametrize("restore", ["session", "saver"])
    def test_an_unknown_variable_is_named(self, path: str, restore: str) -> None:
        tf.Variable(1.0, name="v")
        sess = tf.Session()
        with pytest.raises(RunError, match="'[vw]' (as the|is not in the) checkpoint.*Saver"):
            sess.restore(path) if restore == "session" else tf.train.Saver().restore(sess, path)
        assert sess.run_count == 0

    def test_a_missing_variable_is_named(self, path: str) -> None:
        w, v = tf.Variable(tf.zeros([2, 3]), name="w"), tf.Variable(1.0, name="v")
        with pytest.raises(RunError, match="'v' is not in the checkpoint; got variables: w"):
            tf.train.Saver([w, v]).restore(tf.Session(), path)

    def test_a_wrong_shape_or_dtype_is_named_and_changes_nothing(self, path: str) -> None:
        w = tf.Variable(tf.zeros([3, 2]), name="w")
        sess = tf.Session()
        sess.run(w.initializer)
        message = r"'w' \(test_saver.py:\d+\): .*wrong shape; got \[2, 3\]; expected \[3, 2\]"
        with pytest.raises(ShapeError, match=message):
            sess.restore(path)
        np.testing.assert_array_equal(sess.run(w), np.zeros((3, 2)))
        tf.reset_default_graph()
        tf.Variable(tf.zeros([2, 3], tf.float64), name="w")
        with pytest.raises(DTypeError, match="wrong dtype; got float32; expected float64"):
            sess.restore(path)

    def test_a_variable_without_content_is_not_saved(self, tmp_path: Path) -> None:
        tf.Variable(1.0, name="w")
        with pytest.raises(RunError, match="'w' is not initialised"):
            tf.train.Saver().save(tf.Session(), str(tmp_path / "x"))
        assert not list(tmp_path.iterdir())

    def test_no_file_and_no_place(self, tmp_path: Path) -> None:
        with pytest.raises(RunError, match="no such checkpoint; got '.*absent'"):
            tf.Session().restore(str(tmp_path / "absent"))
        with pytest.raises(RunError, match="cannot write checkpoint.*No such file"):
            tf.Session().save(str(tmp_path / "absent" / "x"))

    def test_a_file_that_is_something_else_or_cut_off(self, path: str, tmp_path: Path) -> None:
        whole = Path(path).read_bytes()
        other = tmp_path / "other"
        for content in (b"", b"hello", whole[:-40], whole[: len(whole) // 2]):
            other.write_bytes(content)
            with pytest.raises(GraphError, match="not a complete checkpoint"):
                tf.Session().restore(str(other))
        with open(other, "wb") as file:
            np.savez(file, head=np.frombuffer(json.dumps({}).encode(), np.uint8))
        with pytest.raises(GraphError, match="not a complete checkpoint"):
            tf.Session().restore(str(other))

    def test_pickled_objects_are_refused(self, tmp_path: Path) -> None:
        evil = tmp_path / "evil"
        with open(evil, "wb") as file:
            np.savez(file, head=np.array([{"a": 1}], dtype=object))
        with pytest.raises(GraphError, match="complete checkpoint; got another kind of file"):
            tf.Session().restore(str(evil))

    def test_a_failed_write_leaves_the_old_file(
        self, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = Path(path).read_bytes()

        def full(*args: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(RunError, match="cannot write.*No space left"):
            tf.Session().save(path)
        assert Path(path).read_bytes() == before
        assert [p.name for p in Path(path).parent.iterdir()] == ["saved"]


def test_a_dict_gives_variables_other_names_in_the_file(tmp_path: Path) -> None:
    v, w = tf.Variable([1.0, 2.0], name="v"), tf.Variable(3.0, name="w")
    sess, path = tf.Session(), str(tmp_path / "model")
    sess.run(tf.global_variables_initializer())
    tf.train.Saver({"old/v": v, "v": w}).save(sess, path)
    fresh = tf.Session()
    tf.train.Saver({"old/v": v}).restore(fresh, path)
    np.testing.assert_array_equal(fresh.run(v), [1.0, 2.0])
    tf.train.Saver({"v": w}).restore(fresh, path)
    assert fresh.run(w) == 3.0
    with pytest.raises(ShapeError, match="wrong shape"):
        tf.train.Saver([v]).restore(fresh, path)
    with pytest.raises(RunError, match="'other' is not in the checkpoint.*old/v, v"):
        tf.train.Saver({"other": w}).restore(fresh, path)


def test_a_saver_of_what_is_no_variable_is_refused() -> None:
    v = tf.Variable(1.0)
    for strange in ([3], [v, 3], {"x": 3}, {"x": v, "y": v}, [tf.constant(1.0)], 3):
        with pytest.raises(GraphError, match="cannot save this; got .*a dict of names in the file"):
            tf.train.Saver(strange)
    assert tf.train.Saver([v, v]).last_checkpoints == []
