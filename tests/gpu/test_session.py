"""Sessions on a GPU do what sessions on the CPU do: the core of their tests, and what is special.

Run alone (``pytest tests/gpu``) on a machine with a GPU, so that Triton compiles its kernels.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import tinyflow as tf
from tinyflow.backends import cuda
from tinyflow.backends.cuda import GpuTable, Replay
from tinyflow.errors import FeedError, RunError

from ..runtime import test_session as core

CONFIGS = ["gpu", "gpu fusion", "gpu interpret"]
globals().update(
    {
        name: test
        for name, test in vars(core).items()
        if name.startswith("test_") and "sess" in inspect.signature(test).parameters
    }
)


class TestBadInput(core.TestBadInput):
    """What a session refuses."""

    test_a_missing_or_unknown_device_is_a_clear_error = None  # type: ignore[assignment]


@pytest.fixture(autouse=True)
def fresh_graph() -> None:
    tf.reset_default_graph()


@pytest.fixture(params=CONFIGS)
def sess(request: pytest.FixtureRequest) -> tf.Session:
    return tf.Session(request.param)


def test_an_index_out_of_range_names_the_devices_that_are_there() -> None:
    with pytest.raises(RunError, match="no such device; got gpu:77; expected gpu:0"):
        tf.Session("gpu:77")


def test_arrays_live_on_the_device(gpu: torch.device) -> None:
    tf.Variable(tf.ones([2, 3]), name="w")
    sess = tf.Session("gpu")
    sess.run(tf.initialize_all_variables())
    assert sess._storage["w"].device.type == gpu.type
    np.testing.assert_array_equal(sess.variable("w"), np.ones((2, 3)))


def test_a_block_may_name_the_device_of_the_session_and_no_other() -> None:
    with tf.device("/gpu:0"):
        x = tf.placeholder(tf.float32, [2], name="x")
    np.testing.assert_array_equal(tf.Session("gpu").run(x * 2.0, {x: [1, 2]}), [2, 4])
    with tf.device("/cpu:0"):
        y = tf.exp(x, name="y")
    with pytest.raises(RunError, match="exp 'y'.*got cpu; expected gpu:0"):
        tf.Session("gpu").run(y, {x: [1, 2]})


@pytest.mark.parametrize("config", CONFIGS)
def test_random_numbers_are_those_of_the_cpu(config: str) -> None:
    drawn = [tf.normal([40]), tf.truncated_normal([40]), tf.nn.dropout(tf.ones([40]), 0.5)]
    there, here = tf.Session(config, seed=3), tf.Session("cpu", seed=3)
    for _ in range(3):
        for a, b in zip(there.run(drawn), here.run(drawn)):
            np.testing.assert_array_equal(a, b)


def network() -> tuple[list[Any], Callable[[int], dict[Any, np.ndarray]]]:
    """Loss and training step of a network of images, and feeds for a step."""
    tf.reset_default_graph()
    x, y = tf.placeholder(tf.float32, [4, 3, 12, 12]), tf.placeholder(tf.int64, [4])
    h = tf.nn.conv2d(x, num_filter=6, ksize=[1, 3, 3, 1], no_bias=False, name="c1")
    h = tf.nn.max_pool(tf.tanh(h), ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1])
    logits = tf.nn.linear(tf.nn.flatten_layer(tf.nn.relu(h)), num_hidden=7, name="fc")
    loss = tf.nn.mean_sparse_softmax_cross_entropy_with_logits(logits, y)
    train = tf.train.AdamOptimizer(0.01).minimize(loss)
    shapes = tf.infer_variable_shapes(loss, {x: [4, 3, 12, 12], y: [4]})
    start = tf.group(*[tf.assign(v, tf.normal(shape, 0.2)) for v, _, shape in shapes])

    def feeds(step: int) -> dict[Any, np.ndarray]:
        rng = np.random.default_rng(step)
        return {x: rng.normal(size=(4, 3, 12, 12)), y: rng.integers(0, 7, 4)}

    return [loss, train, start], feeds


def regression() -> tuple[list[Any], Callable[[int], dict[Any, np.ndarray]]]:
    """The same of a regression: nothing in its step can fail."""
    tf.reset_default_graph()
    x, y = tf.placeholder(tf.float32, [16, 5]), tf.placeholder(tf.float32, [16, 2])
    w, v = tf.Variable(tf.zeros([5, 8]), name="w"), tf.Variable(tf.zeros([8, 2]), name="v")
    error = tf.matmul(tf.tanh(tf.matmul(x, w)), v) - y
    loss = tf.reduce_mean(tf.square(error))
    train = tf.train.AdamOptimizer(0.01).minimize(loss)
    start = tf.group(*[tf.assign(z, tf.normal(z.shape, 0.5)) for z in (w, v)])

    def feeds(step: int) -> dict[Any, np.ndarray]:
        rng = np.random.default_rng(step)
        return {x: rng.normal(size=(16, 5)), y: rng.normal(size=(16, 2))}

    return [loss, train, start], feeds


def losses(config: str, make: Callable[[], Any], steps: int = 6) -> tuple[list[float], tf.Session]:
    (loss, train, start), feeds = make()
    sess = tf.Session(config)
    sess.run(start)
    sess.run(tf.initialize_all_variables()) if make is network else sess.run(
        tf.variables_initializer([v for v in tf.global_variables() if v.name not in "wv"])
    )
    return [sess.run([loss, train], feeds(step))[0] for step in range(steps)], sess


@pytest.mark.parametrize("config", ["gpu", "gpu fusion", "gpu recompute", "gpu:0 interpret"])
@pytest.mark.parametrize("make", [network, regression])
def test_training_goes_as_on_the_cpu(config: str, make: Callable[[], Any]) -> None:
    there, sess = losses(config, make)
    here, other = losses("cpu", make)
    tolerance = 1e-4 if sess.kernels.device.type == "cpu" else 5e-3  # convolutions in TF32
    np.testing.assert_allclose(there, here, rtol=tolerance)
    for name in ("c1_bias", "fc_weight") if make is network else ("w", "v"):
        np.testing.assert_allclose(
            sess.variable(name), other.variable(name), rtol=tolerance, atol=1e-3
        )


@pytest.fixture(autouse=True)
def capture(gpu: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no graph can be recorded, a function that runs again in its place."""
    if gpu.type == "cuda":
        return

    def again(table: GpuTable, run: Callable[[], list[Any]]) -> Any:
        results: list[Any] = []

        def replay() -> None:
            table.recording = True
            results[:] = run()
            table.recording = False

        return replay, results

    monkeypatch.setattr(GpuTable, "_capture", again)


def test_a_steady_program_is_recorded_in_its_second_run() -> None:
    _, sess = losses("gpu fusion", regression, steps=1)
    launch = sess._last.executable.launch  # type: ignore[union-attr]
    assert isinstance(launch, Replay) and launch.replay is None
    _, sess = losses("gpu fusion", regression, steps=2)
    launch = sess._last.executable.launch  # type: ignore[union-attr]
    assert isinstance(launch, Replay) and launch.replay is not None and len(launch.feeds) == 2


def test_fetches_of_replays_are_copies() -> None:
    x = tf.placeholder(tf.float32, [3])
    sess = tf.Session("gpu fusion")
    y, done = tf.exp(x), tf.group(x)
    runs = [sess.run([x, y, done], {x: np.full(3, i)}) for i in range(5)]
    for i, (fed, result, nothing) in enumerate(runs):
        np.testing.assert_array_equal(fed, np.full(3, i))
        np.testing.assert_allclose(result, np.exp(np.full(3, i)), rtol=1e-6)
        assert nothing is None


@pytest.mark.parametrize("make", [lambda x: tf.normal([3]) + x, lambda x: tf.gather(x, [0, 1, 2])])
def test_what_draws_or_may_fail_is_never_recorded(make: Any) -> None:
    x = tf.placeholder(tf.float32, [3])
    y, sess = make(x), tf.Session("gpu fusion")
    sess.run(y, {x: np.ones(3)})
    assert not isinstance(sess._last.executable.launch, Replay)  # type: ignore[union-attr]


def test_without_fusion_nothing_is_recorded() -> None:
    _, sess = losses("gpu", regression, steps=2)
    assert not isinstance(sess._last.executable.launch, Replay)  # type: ignore[union-attr]


def test_what_cannot_be_recorded_runs_step_by_step_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(table: GpuTable, run: Any) -> Any:
        raise RuntimeError("not permitted when stream is capturing")

    monkeypatch.setattr(GpuTable, "_capture", refuse)
    with pytest.warns(UserWarning, match="step by step, not as a CUDA graph: not permitted"):
        there, _ = losses("gpu fusion", regression)
    np.testing.assert_allclose(there, losses("cpu", regression)[0], rtol=1e-4)


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16])
def test_half_precision_computes_on_the_device(dtype: Any) -> None:
    x = tf.placeholder(tf.float32, [8, 16])
    w = tf.Variable(tf.cast(tf.ones([16, 4]) * 0.25, dtype), name="w")
    y = tf.cast(tf.nn.relu(tf.matmul(tf.cast(x, dtype), w)), tf.float32)
    sess = tf.Session("gpu")
    sess.run(tf.initialize_all_variables())
    given = np.random.default_rng(0).normal(size=(8, 16)).astype("float32")
    expected = np.maximum(given.sum(1, keepdims=True) * 0.25, 0)
    np.testing.assert_allclose(sess.run(y, {x: given}), expected.repeat(4, 1), atol=0.05)


def test_checkpoints_move_between_devices() -> None:
    w = tf.Variable(tf.normal([4]), name="w")
    here, there = tf.Session("cpu", seed=1), tf.Session("gpu", seed=9)
    here.run(tf.initialize_all_variables())
    there.resume(here.checkpoint())
    np.testing.assert_array_equal(there.run(w), here.run(w))
    here.resume(there.checkpoint())
    drawn = tf.normal([3])
    np.testing.assert_array_equal(here.run(drawn), there.run(drawn))


def test_an_op_added_to_the_cpu_is_found_on_the_device(gpu: torch.device) -> None:
    table = cuda.gpu_table(tf.Session("gpu").device)
    assert set(table) == set(core.tf.Session("cpu").kernels)
    assert table.device.type == gpu.type


def test_bfloat16_is_not_fed_and_the_error_says_what_to_do(sess: tf.Session) -> None:
    x = tf.placeholder(tf.bfloat16, [2], name="x")
    with pytest.raises(FeedError, match=r"placeholder 'x'.*no bfloat16 to feed.*tf\.cast it"):
        sess.run(tf.cast(x, tf.float32), {x: np.ones(2, "float32")})
