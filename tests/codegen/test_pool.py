"""Generated max pools: bit for bit what torch gives, with ties, nan and infinities."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tinyflow as tf
from tinyflow.backends.native import _load_object, pool_kernel
from tinyflow.codegen.pool import MaxPool, pool_sizes, pool_source

LANES = (16, 8, 4)
SPECIAL = torch.tensor([0.0, -0.0, 1.0, 1.0, -1.0, torch.nan, torch.inf, -torch.inf])
NHWC = {"memory_format": torch.channels_last}


@st.composite
def pools(draw: st.DrawFn) -> MaxPool:
    sizes = [draw(st.integers(1, 4)) for _ in range(5)]
    return MaxPool((sizes[0], sizes[1]), sizes[2], draw(st.integers(1, 40)), (sizes[3], sizes[4]))


def image(pool: MaxPool, seed: int) -> torch.Tensor:
    """Of few different numbers, so that many are equal."""
    made = torch.Generator().manual_seed(seed)
    size = [count * side for count, side in zip(pool.size, pool.window)]
    chosen = torch.randint(len(SPECIAL), (pool.images, pool.channels, *size), generator=made)
    return SPECIAL[chosen].contiguous(**NHWC)


def run(pool: MaxPool, lanes: int, *arrays: torch.Tensor | None) -> None:
    addresses = [0 if array is None else array.data_ptr() for array in arrays]
    sizes = pool_sizes(pool)
    table = (ctypes.c_int64 * (len(sizes) + len(addresses)))(*sizes, *addresses)
    _load_object(pool_source(pool, lanes), optimise=False)(ctypes.addressof(table))


def both_ways(pool: MaxPool, lanes: int, x: torch.Tensor) -> list[torch.Tensor]:
    """y, index, dy and dx."""
    shape = (pool.images, pool.channels, *pool.size)
    y = torch.full(shape, 7.0).contiguous(**NHWC)
    index = torch.full(shape, 7).contiguous(**NHWC)
    run(pool, lanes, x, y, index)
    dy = torch.arange(y.numel(), dtype=torch.float32).view(shape).contiguous(**NHWC)
    dx = torch.full_like(x, 7.0)
    turned = MaxPool(pool.window, pool.images, pool.channels, pool.size, backward=True)
    run(turned, lanes, dy, index, None, dx)
    return [y, index, dy, dx]


@pytest.mark.parametrize("lanes", LANES)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(pool=pools(), seed=st.integers(0, 999))
def test_a_pool_and_its_adjoint_are_those_of_torch(lanes: int, pool: MaxPool, seed: int) -> None:
    x = image(pool, seed)
    y, index, dy, dx = both_ways(pool, lanes, x)
    theirs, places = torch.nn.functional.max_pool2d(x, pool.window, return_indices=True)
    np.testing.assert_array_equal(y, theirs)
    found = x.flatten(2).gather(2, index.flatten(2)).view_as(y)
    np.testing.assert_array_equal(found, y)
    plain = ~theirs.isnan()  # of several nan, any is the largest
    np.testing.assert_array_equal(index[plain], places[plain])
    true = torch.zeros(x.shape).flatten(2)
    true.scatter_(2, index.flatten(2), dy.flatten(2))
    np.testing.assert_array_equal(dx, true.view(x.shape))


def test_nothing_is_written_beside_the_results() -> None:
    pool = MaxPool((2, 2), 3, 19, (2, 3))
    x, shape = image(pool, 0), (3, 2, 3, 19)
    rooms = torch.full((3 * 6 * 19 + 64,), 7.0), torch.full((3 * 6 * 19 + 64,), 7)
    y, index = (room[32:-32].view(shape).permute(0, 3, 1, 2) for room in rooms)
    run(pool, 16, x, y, index)
    for room in rooms:
        assert (room[:32] == 7).all() and (room[-32:] == 7).all()


def test_a_pool_says_what_it_computes() -> None:
    pool = MaxPool((2, 3), 5, 7, (4, 4))
    assert str(pool) == "y, index = largest of each 2 x 3\nx(5, 7, 8, 12)"


def test_pools_of_all_sizes_are_one_code_and_other_windows_another() -> None:
    sizes = ((2, 2), 5, 7, (4, 4)), ((2, 2), 1, 64, (9, 1)), ((3, 2), 1, 64, (9, 1))
    first, second, third = (pool_kernel(MaxPool(*size)) for size in sizes)
    assert first is not None and second is not None and third is not None
    assert first.function is second.function and first.source != third.source


# --- in a session, with one thread of torch (tests/conftest.py) --------------------------------


def step(config: str, size: int, stride: int = 2) -> tuple[list[np.ndarray], str]:
    """A pool of a convolution, and the gradient of the filters."""
    rng = np.random.default_rng(0)
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [4, 3, size, size], name="x")
        weight = tf.Variable(rng.normal(size=(20, 3, 3, 3)).astype("float32"))
        y = tf.nn.conv2d(
            x, num_filter=20, ksize=[1, 3, 3, 1], padding="SAME", no_bias=True, weight=weight
        )
        z = tf.nn.max_pool(y, [1, 2, 2, 1], [1, stride, stride, 1], "VALID")
        session = tf.Session(config)
        session.run(tf.initialize_all_variables())
        feed = {x: rng.normal(size=(4, 3, size, size)).astype("float32")}
        found = session.run([z, *tf.gradients(tf.reduce_sum(z * z), [weight])], feed)
    return found, session.source()


@pytest.mark.parametrize(("size", "stride", "ours"), [(8, 2, True), (9, 2, False), (8, 1, False)])
def test_a_session_generates_pools_whose_windows_cover_the_image(
    size: int, stride: int, ours: bool
) -> None:
    found, text = step("cpu fusion", size, stride)
    theirs, plain = step("cpu", size, stride)
    assert ("y, index = largest of each 2 x 2" in text) is ours
    assert ("dx = dy where it came from 2 x 2" in text) is ours
    assert "largest" not in plain
    for a, b in zip(found, theirs):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
