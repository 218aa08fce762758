"""Who owns which array, and what is left after a run that does not come to its end."""

from __future__ import annotations

import signal
import threading
from typing import Any

import numpy as np
import pytest
import torch

import tinyflow as tf
from tinyflow.errors import FeedError, RunError, ShapeError

CONFIGS = ["cpu", "cpu fusion", "numpy", "cpu interpret"]


@pytest.fixture(autouse=True)
def fresh_graph() -> None:
    tf.reset_default_graph()


@pytest.fixture(params=CONFIGS)
def sess(request: pytest.FixtureRequest) -> tf.Session:
    return tf.Session(request.param)


def ramp(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


class TestFetches:
    def test_writing_into_a_fetched_array_changes_nothing(self, sess: tf.Session) -> None:
        w = tf.Variable(ramp(2, 3), name="w")
        c = tf.constant(ramp(2, 3))
        x = tf.placeholder(tf.float32, [2, 3])
        fetches = [w, tf.reshape(w, [6]), tf.transpose(w), c, tf.reshape(c, [3, 2]), x]
        fetches += [tf.reshape(x, [6]), tf.identity(w), tf.exp(x)]
        sess.run(tf.global_variables_initializer())
        given = ramp(2, 3)
        first = sess.run(fetches, {x: given})
        kept = [array.copy() for array in first]
        for array in first:
            array[...] = -1
        for before, after in zip(kept, sess.run(fetches, {x: given})):
            np.testing.assert_array_equal(before, after)
        np.testing.assert_array_equal(given, ramp(2, 3))

    def test_fetched_arrays_survive_later_runs(self, sess: tf.Session) -> None:
        w = tf.Variable(np.zeros(4, "float32"))
        x = tf.placeholder(tf.float32, [4])
        step = tf.assign_add(w, x)
        fetches = [w, tf.reshape(w, [2, 2]), tf.exp(x), x, step]
        sess.run(tf.global_variables_initializer())
        first = sess.run(fetches, {x: np.ones(4)})
        kept = [array.copy() for array in first]
        for _ in range(3):
            sess.run(fetches, {x: np.full(4, 7.0)})
        for before, after in zip(kept, first):
            np.testing.assert_array_equal(before, after)

    def test_fetched_arrays_share_no_memory_with_each_other(self, sess: tf.Session) -> None:
        x = tf.placeholder(tf.float32, [4])
        y = tf.exp(x)
        made = sess.run([x, tf.reshape(x, [2, 2]), y, tf.reshape(y, [2, 2]), y], {x: ramp(4)})
        for i, a in enumerate(made):
            assert a.flags.writeable
            assert not any(np.may_share_memory(a, b) for b in made[i + 1 :])


class TestFeeds:
    def test_feeds_are_never_written(self, sess: tf.Session) -> None:
        x, y = tf.placeholder(tf.float32, [3, 3]), tf.placeholder(tf.float32, [3, 3])
        w = tf.Variable(tf.zeros([3, 3]))
        step = tf.assign(w, x)
        more = tf.assign_add(w, tf.exp(tf.nn.relu(x) + y) * x)
        sess.run(tf.global_variables_initializer())
        a, b = ramp(3, 3), np.asfortranarray(ramp(3, 3))
        a.flags.writeable = b.flags.writeable = False
        for _ in range(2):
            sess.run([step, more], {x: a, y: b})
        np.testing.assert_array_equal(a, ramp(3, 3))
        np.testing.assert_array_equal(b, ramp(3, 3))

    def test_a_variable_does_not_keep_the_array_it_was_assigned_from(
        self, sess: tf.Session
    ) -> None:
        x, w = tf.placeholder(tf.float32, [3]), tf.Variable(np.zeros(3, "float32"))
        step = tf.assign(w, x)
        given = ramp(3)
        sess.run(step, {x: given})
        given[:] = 9
        np.testing.assert_array_equal(sess.run(w), [0, 1, 2])

    def test_one_array_is_fed_twice_and_views_of_one_array_overlap(self, sess: tf.Session) -> None:
        x, y = tf.placeholder(tf.float32), tf.placeholder(tf.float32)
        base = ramp(6)
        np.testing.assert_array_equal(sess.run(x * 2.0 - y, {x: base, y: base}), base)
        np.testing.assert_array_equal(sess.run(x - y, {x: base[1:], y: base[:-1]}), np.ones(5))
        np.testing.assert_array_equal(sess.run(x - y, {x: base[::-1], y: base})[0], 5)
        row = base[None][::-1]  # contiguous, but its stride is negative
        np.testing.assert_array_equal(sess.run(x + y, {x: row, y: base[None]}), 2 * base[None])

    def test_a_fetched_array_may_be_fed_again(self, sess: tf.Session) -> None:
        x = tf.placeholder(tf.float32, [3])
        y, current = x * 2.0 + 1.0, np.zeros(3, "float32")
        for _ in range(4):
            current = sess.run(y, {x: current})
        np.testing.assert_array_equal(current, np.full(3, 15.0))

    @pytest.mark.parametrize(
        "given",
        [
            pytest.param(
                np.array([[1.0, 2.0], [3.0, 4.0]]).view(np.matrix),
                marks=pytest.mark.filterwarnings("ignore:the matrix subclass"),
            ),
            np.ma.masked_array([[1.0, 2.0], [3.0, 4.0]], mask=False),
            np.array([[1.0, 2.0], [3.0, 4.0]], dtype=">f4"),
            np.array([[1, 3], [2, 4]], dtype=np.int16).T,
            torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
            [[1, 2], [3, 4]],
        ],
        ids=["matrix", "masked", "big-endian", "int16", "torch", "list"],
    )
    def test_whatever_numpy_understands_is_a_plain_array(
        self, sess: tf.Session, given: Any
    ) -> None:
        x = tf.placeholder(tf.float32, [2, 2])
        made = sess.run(x * x, {x: given})
        assert type(made) is np.ndarray and made.dtype == "float32" and made.dtype.isnative
        np.testing.assert_array_equal(made, [[1, 4], [9, 16]])

    @pytest.mark.parametrize("given", [[[1.0], [1.0, 2.0]], "text", None, {1: 2}, 1j, object()])
    def test_what_is_no_array_of_numbers_names_the_placeholder(
        self, sess: tf.Session, given: Any
    ) -> None:
        x = tf.placeholder(tf.float32, name="x")
        with pytest.raises(FeedError, match=r"placeholder 'x' \(test_aliasing.py:\d+\)"):
            sess.run(x, {x: given})

    def test_nan_and_infinity_go_through_as_numpy_has_them(self, sess: tf.Session) -> None:
        x = tf.placeholder(tf.float32, [4])
        odd = np.array([np.nan, np.inf, -np.inf, -0.0], "float32")
        fetches = [x + 1.0, tf.nn.relu(x), tf.exp(x), x * 0.0, tf.reduce_max(x), tf.equal(x, x)]
        with np.errstate(all="ignore"):
            wanted = [odd + 1, np.maximum(odd, 0), np.exp(odd), odd * 0, odd.max(), odd == odd]
        for made, expected in zip(sess.run(fetches, {x: odd}), wanted):
            np.testing.assert_array_equal(made, expected)


class TestVariables:
    def test_a_variable_assigned_from_another_is_a_copy(self, sess: tf.Session) -> None:
        a, b = tf.Variable(ramp(3), name="a"), tf.Variable(np.zeros(3, "float32"), name="b")
        copy, view = tf.assign(b, a), tf.assign(b, tf.reshape(tf.reshape(a, [3, 1]), [3]))
        bump = tf.assign_add(a, 1.0)
        sess.run(tf.global_variables_initializer())
        for step in (copy, view):
            sess.run(step)
            before = sess.run(b)
            sess.run(bump)
            np.testing.assert_array_equal(sess.run(b), before)

    def test_what_shows_a_variable_is_fetched_as_it_was_before_a_later_write(
        self, sess: tf.Session
    ) -> None:
        w = tf.Variable(tf.ones([2, 2]))
        flat, same = tf.reshape(w, [4]), tf.cast(w, tf.float32)
        x = tf.zeros([2, 2])
        slope = tf.gradients(x + 1.0, [x], grad_ys=[w])[0]
        twice = tf.assign(w, w + w)
        late = [twice * 1.0, tf.negative(-tf.reshape(twice, [4])), tf.reshape(twice, [2, 2])]
        last = tf.assign(w, twice * 3.0)
        sess.run(w.initializer)
        results = sess.run([flat * 1.0, tf.negative(-flat), same, slope, *late, last])
        for result, number in zip(results, (1, 1, 1, 1, 2, 2, 2, 6)):
            np.testing.assert_array_equal(result, np.full(result.shape, number, "float32"))

    def test_sessions_share_nothing(self) -> None:
        w = tf.Variable(ramp(3), name="w")
        bump = tf.assign_add(w, 1.0)
        sessions = [tf.Session(config) for config in CONFIGS]
        for sess in sessions:
            sess.run(tf.global_variables_initializer())
        for count, sess in enumerate(sessions):
            for _ in range(count):
                sess.run(bump)
        for count, sess in enumerate(sessions):
            np.testing.assert_array_equal(sess.run(w), ramp(3) + count)

    def test_threads_of_one_session_and_of_two_get_their_own_results(self) -> None:
        x = tf.placeholder(tf.float32, [64])
        y = tf.reduce_sum(tf.exp(x * 0.0) * x)
        shared, wrong = tf.Session(), []

        def work(number: int, sess: tf.Session) -> None:
            for _ in range(30):
                if sess.run(y, {x: np.full(64, number)}) != 64 * number:
                    wrong.append(number)

        threads = [
            threading.Thread(target=work, args=(n, shared if n % 2 else tf.Session()))
            for n in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong


class TestFailures:
    """x is exponentiated between two writes; a patched kernel fails there."""

    def build(self, sess: tf.Session) -> tuple[Any, Any, Any, Any]:
        x = tf.placeholder(tf.float32, [2], name="x")
        a, b = tf.Variable(ramp(2), name="a"), tf.Variable(ramp(2), name="b")
        first = tf.assign(a, x * 2.0)
        with tf.control_dependencies([first]):
            middle = tf.exp(x, name="middle")
        second = tf.assign(b, middle)
        sess.run(tf.global_variables_initializer())
        return x, a, b, [first, second]

    def fail(self, sess: tf.Session, patch: pytest.MonkeyPatch, error: Any) -> None:
        """The next exponential fails, later ones do not; a number is a signal."""
        original, pending = sess.kernels.namespace["exp"], [error]

        def kernel(*args: Any, **kwargs: Any) -> Any:
            if pending and isinstance(pending[0], int):
                signal.raise_signal(pending.pop())
            elif pending:
                raise pending.pop()
            return original(*args, **kwargs)

        patch.setitem(sess.kernels.namespace, "exp", kernel)

    def test_a_late_failure_names_what_was_written(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sess = tf.Session()
        x, a, b, steps = self.build(sess)
        self.fail(sess, monkeypatch, RuntimeError("broken"))
        with pytest.raises(RunError, match="'middle'.*failed: broken. Already written: a."):
            sess.run(steps, {x: [1.0, 2.0]})
        np.testing.assert_array_equal(sess.run([a, b]), [[2, 4], [0, 1]])
        sess.run(steps, {x: [0.0, 0.0]})
        np.testing.assert_array_equal(sess.run([a, b]), [[0, 0], [1, 1]])

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), int(signal.SIGINT)])
    def test_an_interrupt_tells_what_was_written_and_the_session_goes_on(
        self, monkeypatch: pytest.MonkeyPatch, error: Any
    ) -> None:
        sess = tf.Session()
        x, a, b, steps = self.build(sess)
        self.fail(sess, monkeypatch, error)
        before = signal.signal(
            signal.SIGINT, signal.default_int_handler
        )  # background jobs ignore it
        try:
            with pytest.raises(KeyboardInterrupt) as stop:
                sess.run(steps, {x: [1.0, 2.0]})
        finally:
            signal.signal(signal.SIGINT, before)
        assert stop.value.__notes__[0].startswith("Already written: a.")
        np.testing.assert_array_equal(sess.run(a), [2, 4])
        sess.run(steps, {x: [0.0, 0.0]})
        np.testing.assert_array_equal(sess.run([a, b]), [[0, 0], [1, 1]])

    def test_an_interrupt_before_the_first_write_changes_nothing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        x = tf.placeholder(tf.float32, [2], name="x")
        a = tf.Variable(ramp(2), name="a")
        step, sess = tf.assign(a, tf.exp(x) * 2.0), tf.Session()
        sess.run(a.initializer)
        self.fail(sess, monkeypatch, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt) as stop:
            sess.run(step, {x: [1.0, 2.0]})
        assert stop.value.__notes__ == ["No variable was changed."]
        np.testing.assert_array_equal(sess.run(a), ramp(2))

    @pytest.mark.parametrize("config", ["numpy", "cpu interpret"])
    @pytest.mark.parametrize("error", [RuntimeError("broken"), KeyboardInterrupt()])
    def test_the_interpreter_writes_all_or_nothing(
        self, config: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from tinyflow import ops
        from tinyflow.backends.table import Kernel

        def kernel(*args: Any, **kwargs: Any) -> Any:
            raise error

        sess = tf.Session(config)
        x, a, b, steps = self.build(sess)
        monkeypatch.setitem(sess.kernels._rows, ops.exp, Kernel(kernel))
        with pytest.raises((RunError, KeyboardInterrupt)):
            sess.run(steps, {x: [1.0, 2.0]})
        np.testing.assert_array_equal(sess.run([a, b]), [ramp(2), ramp(2)])


class TestSizes:
    def test_arrays_without_elements_are_computed_with(self, sess: tf.Session) -> None:
        x = tf.placeholder(tf.float32, [0, 3])
        w = tf.Variable(tf.ones([3, 2]))
        loss = tf.reduce_sum(tf.exp(tf.matmul(x, w)))
        slope = tf.gradients(loss, [w])[0]
        sess.run(w.initializer)
        made = sess.run([tf.matmul(x, w), loss, slope], {x: np.ones((0, 3))})
        assert made[0].shape == (0, 2) and made[1] == 0
        np.testing.assert_array_equal(made[2], np.zeros((3, 2)))

    def test_the_largest_of_no_elements_is_an_error(self, sess: tf.Session) -> None:
        x = tf.placeholder(tf.float32, [0, 3])
        with pytest.raises(ShapeError, match=r"reduce_max.*no elements; got \[0, 3\]"):
            sess.run(tf.reduce_max(x, axis=0), {x: np.ones((0, 3))})

    @pytest.mark.parametrize("shape", [[2**46], [2**40, 2**40]], ids=["256 TiB", "2 ** 82 bytes"])
    def test_out_of_memory_names_node_and_bytes(self, sess: tf.Session, shape: list[int]) -> None:
        x = tf.placeholder(tf.float32, [1], name="x")
        constant = tf.zeros(shape, name="big")
        computed = tf.exp(tf.broadcast_to(x, shape, name="wide"))
        drawn = tf.random_normal(shape, name="drawn")
        kept = tf.Variable(tf.zeros(shape, name="start"), name="kept")
        for fetch, name in (
            (constant, "big"),
            (computed, "wide|exp"),
            (drawn, "drawn"),
            (kept.initializer, "start|kept"),
        ):
            with pytest.raises(RunError, match=f"({name}).*out of memory") as error:
                sess.run(fetch, {x: [1.0]})
            assert len(shape) > 1 or "bytes" in str(error.value) or "256. TiB" in str(error.value)
        assert sess.run(x * 2.0, {x: [1.0]}) == [2.0]

    def test_a_product_that_does_not_fit_names_its_node(self, sess: tf.Session) -> None:
        x = tf.placeholder(tf.float32, [2**23, 1])
        outer = tf.matmul(x, tf.transpose(x), name="outer")
        line = outer.value.node.source  # also where a pass makes a node of its own
        with pytest.raises(RunError, match=rf"matmul 'outer' \({line}\): out of memory"):
            sess.run(outer, {x: np.ones((2**23, 1))})


@pytest.mark.parametrize("config", ["gpu:99", "cpu:1", "numpy:2", "cpu numpy", "tpu", "gpu:x", 3])
def test_a_device_that_does_not_exist_is_a_clear_error(config: Any) -> None:
    with pytest.raises(RunError, match="device|configured by words"):
        tf.Session(config)
