"""Generated batch normalisation: what torch computes in float64, also far from 0."""

from __future__ import annotations

import ctypes
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tinyflow as tf
from tinyflow.backends.native import _load_object, norm_kernel
from tinyflow.codegen.norm import BatchNorm, norm_sizes, norm_source

LANES = (16, 8, 4)
NHWC = {"memory_format": torch.channels_last}
RESULTS = {False: ("y", "mean", "variance"), True: ("dx", "dgamma", "dbeta")}


@st.composite
def norms(draw: st.DrawFn) -> BatchNorm:
    """Two pixels or more: the variance of one is 0, and its square root says nothing."""
    height = draw(st.integers(2, 9))
    return BatchNorm(
        draw(st.integers(1, 5)), draw(st.integers(1, 90)), (height, draw(st.integers(1, 9))),
        draw(st.sampled_from([1e-5, 1e-3, 0.5])),
    )  # fmt: skip


def given_to(norm: BatchNorm, mean: float) -> dict[str, torch.Tensor]:
    """Images around ``mean`` with a deviation of 1; results are full of nan."""
    made = torch.Generator().manual_seed(0)
    shape = (norm.images, norm.channels, *norm.size)
    x = torch.randn(shape, generator=made) + mean
    found = {"x": x, "dy": torch.randn(shape, generator=made), "y": x * torch.nan}
    found |= {"dx": x * torch.nan, "": torch.empty(0)}
    found |= {n: torch.randn(norm.channels, generator=made) for n in ("gamma", "beta")}
    for name in ("mean", "variance", "dgamma", "dbeta", "moving_mean", "moving_variance"):
        found[name] = torch.full((norm.channels,), torch.nan)
    return {n: a.contiguous(**NHWC) if a.ndim == 4 else a for n, a in found.items()}


def run(norm: BatchNorm, lanes: int, arrays: dict[str, torch.Tensor]) -> None:
    addresses = [arrays[name].data_ptr() for name in norm.arrays]
    sizes = norm_sizes(norm)
    table = (ctypes.c_int64 * (len(sizes) + len(addresses)))(*sizes, *addresses)
    _load_object(norm_source(norm, lanes), optimise=False)(ctypes.addressof(table))


def expected(norm: BatchNorm, arrays: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """All results in float64, the gradients by torch."""
    x, gamma, beta, dy = (arrays[n].double() for n in ("x", "gamma", "beta", "dy"))
    leaves = x.requires_grad_(), gamma.requires_grad_(), beta.requires_grad_()
    y = torch.nn.functional.batch_norm(x, None, None, gamma, beta, True, 0.0, norm.epsilon)
    grads = torch.autograd.grad(y, leaves, dy)
    mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
    found = {"y": y, "mean": mean, "variance": variance}
    return {n: a.detach() for n, a in (found | dict(zip(RESULTS[True], grads))).items()}


def compare(norm: BatchNorm, lanes: int, mean: float, tolerance: float) -> None:
    arrays = given_to(norm, mean)
    for backward in (False, True):
        run(replace(norm, backward=backward), lanes, arrays)
    for name, true in expected(norm, arrays).items():
        scale = max(float(true.abs().max()), 1.0)
        np.testing.assert_allclose(arrays[name], true, atol=tolerance * scale, err_msg=name)


@pytest.mark.parametrize("lanes", LANES)
@settings(max_examples=20, deadline=None, derandomize=True)
@given(norm=norms())
def test_results_are_those_of_torch_in_float64(lanes: int, norm: BatchNorm) -> None:
    compare(norm, lanes, 0.0, 2e-5)


def test_a_mean_far_from_0_costs_no_more_digits_than_the_numbers_have() -> None:
    norm = BatchNorm(20, 40, (16, 16), 1e-5)
    compare(norm, 16, 0.0, 1e-6)
    compare(norm, 16, 1000.0, 1e-3)  # x itself is known to 6e-5


def test_it_is_as_exact_as_torch() -> None:
    norm = BatchNorm(50, 32, (32, 32), 1e-5)
    arrays = given_to(norm, 3.0)
    run(norm, 16, arrays)
    true = expected(norm, arrays)["y"]
    x, gamma, beta = arrays["x"], arrays["gamma"], arrays["beta"]
    theirs = torch.native_batch_norm(x, gamma, beta, None, None, True, 0.0, norm.epsilon)[0]
    assert (arrays["y"] - true).abs().max() <= 2 * (theirs - true).abs().max()


@pytest.mark.parametrize("backward", [False, True])
def test_nothing_is_written_beside_the_results(backward: bool) -> None:
    norm = BatchNorm(3, 37, (5, 7), 1e-5, backward)
    arrays = given_to(norm, 0.0)
    arrays |= {name: arrays["gamma"].clone() for name in ("mean", "variance")}
    rooms = {}
    for name in RESULTS[backward]:
        shape = arrays[name].shape
        rooms[name] = torch.full((arrays[name].numel() + 64,), 7.0)
        inside = rooms[name][32:-32]
        if len(shape) == 4:
            inside = inside.view(3, 5, 7, 37).permute(0, 3, 1, 2)
        arrays[name] = inside
    run(norm, 16, arrays)
    for room in rooms.values():
        assert (room[:32] == 7).all() and (room[-32:] == 7).all() and room[32] != 7


def test_a_channel_with_nan_leaves_the_others_alone() -> None:
    norm = BatchNorm(2, 20, (4, 4), 1e-5)
    arrays = given_to(norm, 0.0)
    arrays["x"][1, 3, 2, 2] = torch.nan
    run(norm, 16, arrays)
    assert arrays["y"][:, 3].isnan().all() and arrays["mean"][3].isnan()
    arrays["y"][:, 3], arrays["mean"][3] = 0, 0
    assert arrays["y"].isfinite().all() and arrays["mean"].isfinite().all()


def test_a_norm_says_what_it_computes() -> None:
    assert str(BatchNorm(5, 7, (4, 3), 1e-5)) == (
        "y, mean, variance = batch normalisation  # epsilon 1e-05\nx(5, 7, 4, 3)"
    )


def test_norms_of_all_sizes_are_one_code() -> None:
    small, large = (
        norm_kernel(BatchNorm(1, 2, (3, 4), 1e-5)),
        norm_kernel(BatchNorm(9, 99, (9, 9), 1e-5)),
    )
    assert small is not None and large is not None and small.function is large.function


# --- in a session, with one thread of torch (tests/conftest.py) --------------------------------


def test_a_session_with_fusion_generates_it_in_training() -> None:
    rng, found, texts = np.random.default_rng(0), [], []
    start = rng.normal(size=(20, 3, 3, 3)).astype("float32")
    feed = rng.normal(size=(4, 3, 8, 8)).astype("float32")
    for config in ("cpu fusion", "cpu"):
        with tf.Graph().as_default():
            x = tf.placeholder(tf.float32, [4, 3, 8, 8], name="x")
            weight = tf.Variable(start)
            y = tf.nn.conv2d(x, num_filter=20, ksize=[1, 3, 3, 1], no_bias=True, weight=weight)
            gamma, beta = (tf.Variable(np.full(20, k, "float32")) for k in (1.5, 0.5))
            z = tf.nn.relu(tf.nn.batch_norm(y, gamma, beta, name="norm"))
            wanted = [z, *tf.gradients(tf.reduce_sum(z * z * z), [weight, gamma, beta])]
            session = tf.Session(config)
            session.run(tf.initialize_all_variables())
            found.append(session.run(wanted, {x: feed}))
            texts.append(session.source())
    assert "y, mean, variance = batch normalisation" in texts[0]
    assert "adjoint of batch normalisation" in texts[0]
    assert "normalisation" not in texts[1]
    for a, b in zip(*found):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * np.abs(b).max())


def test_a_constant_image_that_does_not_lie_nhwc_is_left_to_torch() -> None:
    def normalised(config: str) -> np.ndarray:
        numbers = np.random.default_rng(0).normal(size=(4, 2, 8, 8)).astype("float32")
        with tf.Graph().as_default():
            image = tf.nn.conv2d(
                tf.constant(numbers), num_filter=2, ksize=1, weight=tf.ones([2, 2, 1, 1])
            )
            gamma, beta = (tf.Variable(np.ones(2, "float32")) for _ in range(2))
            y = tf.nn.batch_norm(image, gamma, beta)
            session = tf.Session(config)
            session.run(tf.initialize_all_variables())
            return session.run(y)

    np.testing.assert_allclose(normalised("cpu fusion"), normalised("cpu"), atol=1e-5)
