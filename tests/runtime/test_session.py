"""Sessions: state, feeds and fetches, what is cached, and what a failing run leaves behind."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import tinyflow as tf
from tinyflow.errors import (
    DTypeError,
    FeedError,
    GradientError,
    GraphError,
    PassError,
    RunError,
    ShapeError,
)
from tinyflow.passes import STANDARD, infer

CONFIGS = ["cpu", "numpy", "cpu interpret"]


@pytest.fixture(autouse=True)
def fresh_graph() -> None:
    tf.reset_default_graph()


@pytest.fixture(params=CONFIGS)
def sess(request: pytest.FixtureRequest) -> tf.Session:
    return tf.Session(request.param)


def test_scalars_lists_and_groups_are_fetched(sess: tf.Session) -> None:
    x = tf.placeholder(tf.float32, [2])
    total, done = tf.reduce_sum(x), tf.group(x * 2)
    assert sess.run(total, {x: [1.0, 2.0]}) == 3.0
    results = sess.run([total, done, x], {x: [1.0, 2.0]})
    assert results[1] is None
    np.testing.assert_array_equal(results[2], [1.0, 2.0])


def test_a_fetch_named_twice_gives_two_arrays(sess: tf.Session) -> None:
    x = tf.placeholder(tf.float32, [2])
    a, b = sess.run([x + 1, x + 1], {x: [1.0, 2.0]})
    y = x * 3
    c, d = sess.run([y, y], {x: [1.0, 2.0]})
    c[:] = 0
    np.testing.assert_array_equal(d, [3.0, 6.0])
    np.testing.assert_array_equal(a, b)


def test_fetched_arrays_survive_later_runs(sess: tf.Session) -> None:
    x = tf.placeholder(tf.float32, [3])
    y = tf.exp(x)
    first = sess.run(y, {x: np.zeros(3)})
    sess.run(y, {x: np.ones(3)})
    np.testing.assert_array_equal(first, np.ones(3))


def test_feeds_are_never_written_and_fetched_feeds_are_copies(sess: tf.Session) -> None:
    x = tf.placeholder(tf.float32, [3])
    given = np.arange(3, dtype=np.float32)
    out = sess.run(x, {x: given})
    out[:] = 7
    np.testing.assert_array_equal(given, [0, 1, 2])


def test_one_array_fed_twice_and_read_only_and_strided_feeds_work(sess: tf.Session) -> None:
    x, y = tf.placeholder(tf.float32), tf.placeholder(tf.float32)
    base = np.arange(12, dtype=np.float32).reshape(3, 4)
    base.flags.writeable = False
    np.testing.assert_array_equal(sess.run(x - y, {x: base, y: base}), np.zeros((3, 4)))
    view = base[::-1, ::2]
    np.testing.assert_array_equal(sess.run(x * 2.0, {x: view}), view * 2)


def test_variables_keep_their_content_between_runs_and_sessions_are_apart() -> None:
    w = tf.Variable(tf.zeros([2]), name="w")
    bump = tf.assign(w, w + 1.0)
    one, two = tf.Session(), tf.Session()
    for sess in (one, two):
        sess.run(tf.initialize_all_variables())
    one.run(bump)
    one.run(bump)
    np.testing.assert_array_equal(one.run(w), [2, 2])
    np.testing.assert_array_equal(two.run(w), [0, 0])


def test_a_bare_variable_is_read_after_all_writes_of_the_run(sess: tf.Session) -> None:
    w = tf.Variable(5.0)
    old = w * 1.0
    update = tf.assign(w, w + 1.0)
    sess.run(tf.initialize_all_variables())
    before, written, after = sess.run([old, update, w])
    assert (before, written, after) == (5.0, 6.0, 6.0)


def test_the_output_of_an_earlier_assign_is_not_overwritten_by_a_later_one(
    sess: tf.Session,
) -> None:
    w = tf.Variable(1.0)
    first = tf.assign(w, 2.0)
    second = tf.assign(w, 3.0)
    sess.run(tf.initialize_all_variables())
    assert sess.run([first, second]) == [2.0, 3.0]


def test_updates_that_read_each_other_use_old_contents(sess: tf.Session) -> None:
    a, b = tf.Variable(1.0), tf.Variable(2.0)
    new_a, new_b = a + b, a * b
    swap = tf.group(tf.assign(a, new_a), tf.assign(b, new_b))
    sess.run(tf.initialize_all_variables())
    sess.run(swap)
    assert sess.run([a, b]) == [3.0, 2.0]


def test_an_inner_value_may_be_fed(sess: tf.Session) -> None:
    x = tf.placeholder(tf.float32, name="x")
    h = tf.exp(x)
    assert sess.run(h * 2.0, {h: np.float32(3.0)}) == 6.0


def test_a_feed_that_nothing_needs_is_ignored(sess: tf.Session) -> None:
    x, y = tf.placeholder(tf.float32), tf.placeholder(tf.float32)
    assert sess.run(x + 1.0, {x: np.float32(1), y: np.float32(2)}) == 2.0


def test_new_shapes_get_programs_of_their_own_and_old_ones_are_reused() -> None:
    sess = tf.Session()
    x = tf.placeholder(tf.float32, [None])
    y = tf.reduce_sum(x)
    assert sess.run(y, {x: np.ones(3)}) == 3.0
    first = sess.program()
    assert sess.run(y, {x: np.ones(5)}) == 5.0
    assert sess.program() is not first
    assert sess.run(y, {x: np.ones(3)}) == 3.0
    assert sess.program() is first


def test_the_cache_drops_the_least_recently_used_program() -> None:
    sess = tf.Session()
    x = tf.placeholder(tf.float32, [None])
    y = x + 1.0
    for size in range(1, 50):
        sess.run(y, {x: np.ones(size)})
    assert len(sess._cache) == 32


def test_random_numbers_change_with_the_run_and_repeat_with_the_seed() -> None:
    r = tf.normal([4])
    numbers = {}
    for config in CONFIGS:
        sess = tf.Session(config, seed=3)
        numbers[config] = [sess.run(r), sess.run(r)]
        assert not np.array_equal(*numbers[config])
    for config in CONFIGS[1:]:
        np.testing.assert_array_equal(numbers[config], numbers["cpu"])
    assert not np.array_equal(tf.Session(seed=4).run(r), numbers["cpu"][0])


def test_source_and_program_show_what_was_made() -> None:
    sess = tf.Session()
    x = tf.placeholder(tf.float32, [2, 3], name="x")
    sess.run(tf.matmul(x, tf.transpose(x)), {x: np.ones((2, 3))})
    assert sess.source().startswith("def run(key, x0):")
    assert "matmul" in str(sess.program())
    with pytest.raises(RunError, match="nothing was compiled yet"):
        tf.Session().source()


def test_trace_shows_the_graph_after_each_pass() -> None:
    x = tf.placeholder(tf.float32, [2])
    steps = tf.Session().trace(tf.exp(x), {x: np.ones(2)})
    assert [step.name for step in steps] == ["input", *STANDARD.names()]
    assert "exp" in str(steps[-1])


def test_a_pass_of_ones_own_runs_in_the_session() -> None:
    seen = []
    mine = STANDARD.replace("infer", lambda graph: seen.append(len(graph.nodes)) or infer(graph))
    x = tf.placeholder(tf.float32, [2])
    tf.Session(pipeline=mine).run(tf.exp(x), {x: np.ones(2)})
    assert seen


def test_threads_share_a_session() -> None:
    sess = tf.Session()
    w = tf.Variable(0.0)
    bump = tf.assign(w, w + 1.0)
    sess.run(tf.initialize_all_variables())
    threads = [threading.Thread(target=lambda: [sess.run(bump) for _ in range(50)]) for _ in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sess.run(w) == 200.0


class TestBadInput:
    def test_an_unfed_placeholder_is_named_with_the_users_line(self, sess: tf.Session) -> None:
        x = tf.placeholder(tf.float32, [2], name="images")
        with pytest.raises(
            FeedError, match=r"placeholder 'images' \(test_session.py:\d+\).*not fed"
        ):
            sess.run(x + 1.0)

    def test_a_feed_of_the_wrong_shape_tells_got_and_expected(self, sess: tf.Session) -> None:
        x = tf.placeholder(tf.float32, [None, 784], name="images")
        message = r"'images'.*wrong shape; got \[2, 3\]; expected \[\?, 784\]"
        with pytest.raises(FeedError, match=message):
            sess.run(x, {x: np.ones((2, 3))})

    def test_floats_are_not_fed_to_integers(self, sess: tf.Session) -> None:
        x = tf.placeholder(tf.int64, name="labels")
        with pytest.raises(FeedError, match="'labels'.*wrong dtype; got float64; expected int64"):
            sess.run(x, {x: np.ones(2)})
        with pytest.raises(FeedError, match="wrong dtype"):
            sess.run(x, {x: np.array(["a"])})

    @pytest.mark.parametrize(
        ("dtype", "given", "got"),
        [
            (tf.int32, np.array([1, 2**32 + 3]), 2**32 + 3),
            (tf.int32, [7, -(2**31) - 1], -(2**31) - 1),
            (tf.int32, 2**31, 2**31),
            (tf.int32, np.uint32([0, 2**31 + 5]), 2**31 + 5),
            (tf.int64, np.uint64([1, 2**63]), 2**63),
            (tf.int64, [2**63], 2**63),
            (tf.int64, [[3], [2**70]], 2**70),
        ],
    )
    def test_an_integer_that_does_not_fit_is_not_wrapped(
        self, sess: tf.Session, dtype: object, given: object, got: int
    ) -> None:
        x = tf.placeholder(dtype, name="numbers")
        message = f"'numbers'.*does not fit in {dtype}; got {got}; expected .*Feed smaller numbers"
        with pytest.raises(FeedError, match=message):
            sess.run(x, {x: given})

    def test_integers_that_fit_are_fed_whatever_their_dtype(self, sess: tf.Session) -> None:
        x = tf.placeholder(tf.int32)
        ends = [-(2**31), 2**31 - 1]
        for given in (ends, np.array(ends), np.uint8([0, 255]), np.uint64([5]), np.zeros(0, int)):
            fed = sess.run(x, {x: given})
            assert fed.dtype == np.int32
            np.testing.assert_array_equal(fed, given)

    def test_ints_are_fed_to_floats(self, sess: tf.Session) -> None:
        x = tf.placeholder(tf.float32)
        assert sess.run(x + 0.5, {x: np.array(2)}) == 2.5

    def test_an_uninitialised_variable_is_named(self, sess: tf.Session) -> None:
        w = tf.Variable(tf.zeros([2]), name="weights")
        with pytest.raises(
            RunError, match="'weights' is not initialised.*initialize_all_variables"
        ):
            sess.run(w + 1.0)
        with pytest.raises(RunError, match="'weights' is not initialised"):
            sess.run(w)

    def test_keys_and_fetches_that_are_no_tensors_are_refused(self, sess: tf.Session) -> None:
        x = tf.placeholder(tf.float32)
        with pytest.raises(FeedError, match="cannot feed this; got 'x'"):
            sess.run(x, {"x": 1.0})
        with pytest.raises(FeedError, match="cannot fetch this; got str"):
            sess.run("x")

    def test_shapes_that_contradict_name_the_node(self, sess: tf.Session) -> None:
        x = tf.placeholder(tf.float32, [2, 3])
        w = tf.Variable(tf.zeros([4, 5]), name="w")
        with pytest.raises(ShapeError, match=r"matmul 'logits' \(test_session.py:\d+\)"):
            sess.run(tf.matmul(x, w, name="logits"), {x: np.ones((2, 3))})

    def test_dtypes_that_contradict_name_the_node(self, sess: tf.Session) -> None:
        x = tf.placeholder(tf.int32, name="count")
        with pytest.raises(DTypeError, match=r"test_session.py:\d+.*got 0.5; expected int32"):
            sess.run(x + 0.5, {x: np.array(1, np.int32)})

    def test_an_assign_of_another_shape_is_refused_and_changes_nothing(
        self, sess: tf.Session
    ) -> None:
        w = tf.Variable(tf.zeros([2]), name="w")
        sess.run(tf.initialize_all_variables())
        with pytest.raises(ShapeError, match="assign"):
            sess.run(tf.assign(w, tf.ones([3])))
        np.testing.assert_array_equal(sess.run(w), [0, 0])

    def test_a_label_out_of_range_fails_before_any_variable_changes(self, sess: tf.Session) -> None:
        x, y = tf.placeholder(tf.float32, [None, 4]), tf.placeholder(tf.float32, [None])
        net = tf.nn.linear(x, num_hidden=3, name="fc", no_bias=False)
        loss = tf.nn.mean_sparse_softmax_cross_entropy_with_logits(net, y)
        train = tf.train.GradientDescentOptimizer(0.5).minimize(loss)
        for v, _, shape in tf.infer_variable_shapes(loss, {x: [2, 4], y: [2]}):
            sess.run(tf.assign(v, tf.ones(shape)))
        with pytest.raises(
            RunError, match="label 3.* at position 1; expected an integer from 0 to 2"
        ):
            sess.run([loss, train], {x: np.ones((2, 4)), y: np.array([0, 3])})
        np.testing.assert_array_equal(sess.variable("fc_weight"), np.ones((3, 4)))
        with pytest.raises(RunError, match="label 0.5"):
            sess.run([loss, train], {x: np.ones((2, 4)), y: np.array([0.5, 1])})
        np.testing.assert_array_equal(sess.variable("fc_bias"), np.ones(3))

    def test_an_old_read_that_needs_a_new_write_suggests_identity(self) -> None:
        w = tf.Variable(1.0, name="w")
        w_read = tf.Tensor(w.value)
        update = tf.assign(w, 2.0)
        with pytest.raises(GraphError, match=r"tf.identity\(w\)"):
            tf.Session().run(w_read + update)

    def test_an_unreachable_gradient_names_x(self) -> None:
        x, y = tf.placeholder(tf.float32, name="x"), tf.placeholder(tf.float32, name="y")
        with pytest.raises(GradientError, match="placeholder 'y'.*no y depends on this x"):
            tf.gradients(tf.exp(x), [y])

    def test_a_loss_without_variables_cannot_be_minimized(self) -> None:
        x = tf.placeholder(tf.float32, name="x")
        with pytest.raises(GradientError, match="depends on no variable"):
            tf.train.GradientDescentOptimizer(0.1).minimize(tf.exp(x))

    def test_only_variables_are_assigned(self) -> None:
        with pytest.raises(GraphError, match="only a variable can be assigned"):
            tf.assign(tf.placeholder(tf.float32), 1.0)

    def test_a_missing_or_unknown_device_is_a_clear_error(self) -> None:
        with pytest.raises(RunError, match="unknown device; got 'tpu'"):
            tf.Session("tpu")
        with pytest.raises(RunError, match="no such device; got gpu:0"):
            tf.Session("gpu")

    def test_a_broken_pass_is_named(self) -> None:
        x = tf.placeholder(tf.float32, [2])
        broken = STANDARD.replace("specialise", lambda graph: None)
        with pytest.raises(PassError, match="pass 'specialise' returned no graph"):
            tf.Session(pipeline=broken).run(tf.exp(x), {x: np.ones(2)})

    def test_tensors_are_neither_true_nor_iterable(self) -> None:
        x = tf.placeholder(tf.float32, name="x")
        with pytest.raises(GraphError, match="no truth value"):
            bool(x)
        with pytest.raises(GraphError, match="cannot be iterated"):
            list(x)

    def test_eval_needs_a_session(self) -> None:
        with pytest.raises(RunError, match="no session"):
            tf.constant(1.0).eval()
        with tf.Session():
            assert tf.constant(1.0).eval() == 1.0


def test_an_unknown_word_is_answered_with_the_known_ones() -> None:
    with pytest.raises(RunError, match="unknown device; got .fuzion.*numpy.*fusion, .*interpret"):
        tf.Session("cpu fuzion")


@pytest.mark.parametrize("config", ["cpu", "cpu fusion recompute checkpoint", "numpy"])
def test_fetching_nothing_gives_nothing(config: str) -> None:
    assert tf.Session(config).run([]) == []


@pytest.mark.parametrize("config", ["cpu", "cpu fusion"])
def test_filling_variables_is_not_compiled_and_fills_them_as_compiled_code_does(
    config: str,
) -> None:
    def filled(compiled: bool) -> list[np.ndarray]:
        with tf.Graph().as_default():
            constant = tf.Variable(np.arange(6.0).reshape(2, 3), name="constant", dtype=tf.float32)
            weak = tf.assign(tf.Variable(1.0, name="weak"), 0.5)
            drawn = tf.Variable(tf.random_normal([4, 5], stddev=2.0, seed=3), name="drawn")
            session = tf.Session(config)
            fetch = tf.group(constant.initializer, weak, drawn.initializer)
            wanted = [constant.initializer, weak, drawn.initializer] if compiled else fetch
            session.run(wanted)
            if not compiled:
                with pytest.raises(RunError, match="nothing was compiled"):
                    session.source()
            return [session.variable(name) for name in ("constant", "weak", "drawn")]

    for a, b in zip(filled(True), filled(False)):
        assert a.dtype == b.dtype == np.float32
        np.testing.assert_array_equal(a, b)
