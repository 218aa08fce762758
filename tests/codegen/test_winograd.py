"""Generated 3 x 3 convolutions: what torch computes in float64, however the images are cut."""

from __future__ import annotations

import ctypes
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tinyflow as tf
from tinyflow.backends.native import _load_object, winograd_kernel
from tinyflow.codegen.winograd import Winograd, winograd_sizes, winograd_source

RESULTS = ("y", "dx", "dweight")
LANES = (16, 8, 4)


@st.composite
def convolutions(draw: st.DrawFn, result: str, lanes: int) -> Winograd:
    """Images of any size with any padding, also more than a filter reaches."""
    size = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    top, left, bottom, right = (draw(st.integers(0, 3)) for _ in range(4))
    y = size[0] + top + bottom - 2, size[1] + left + right - 2
    if min(y) < 1:
        top, left, y = 2, 2, (size[0] + bottom, size[1] + right)
    vectors = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    channels = [count * lanes for count in vectors]
    biased = result != "dx" and draw(st.booleans())
    return Winograd(result, draw(st.integers(1, 7)), size, y, (top, left), *channels, biased)


def arrays(kind: Winograd) -> dict[str, torch.Tensor]:
    """x, dy, weight and bias at random; y, dx and dweight full of nan."""
    made = torch.Generator().manual_seed(0)
    x = (kind.images, kind.channels, *kind.x)
    y, weight = (kind.images, kind.filters, *kind.y), (kind.filters, kind.channels, 3, 3)
    shapes = {"x": x, "dy": y, "weight": weight, "bias": (kind.filters,)}
    results = {"y": y, "dx": x, "dweight": weight}
    found = {name: torch.randn(shape, generator=made) for name, shape in shapes.items()}
    found |= {name: torch.full(shape, torch.nan) for name, shape in results.items()}
    nhwc = {"memory_format": torch.channels_last}
    return {n: a.contiguous(**nhwc) if a.ndim == 4 else a for n, a in found.items()}


def expected(kind: Winograd, given: dict[str, torch.Tensor], dtype: torch.dtype) -> torch.Tensor:
    """The convolution of the padded image, its gradients by torch."""
    x, weight, bias, dy = (given[name].to(dtype) for name in ("x", "weight", "bias", "dy"))
    x, weight = x.requires_grad_(), weight.requires_grad_()
    (top, left), size = kind.padding, (kind.y[0] + 2, kind.y[1] + 2)
    wide = [left, size[1] - left - kind.x[1], top, size[0] - top - kind.x[0]]
    padded = torch.nn.functional.pad(x, wide)
    y = torch.nn.functional.conv2d(padded, weight, bias if kind.biased else None)
    if kind.result == "y":
        return y.detach()
    return torch.autograd.grad(y, x if kind.result == "dx" else weight, dy)[0]


def run(kind: Winograd, lanes: int, given: dict[str, torch.Tensor]) -> torch.Tensor:
    """By the module for vectors of so many lanes."""
    image = {"y": "x", "dx": "dy", "dweight": "x"}[kind.result]
    holds = {"image": image, "weight": "weight", "result": "y", "bias": "bias"}
    holds |= {"dx": {"result": "dx"}, "dweight": {"result": "dy", "weight": "dweight"}}.get(
        kind.result, {}
    )
    addresses = [given[holds[name]].data_ptr() if name else 0 for name in kind.arrays]
    sizes = winograd_sizes(kind)
    table = (ctypes.c_int64 * (len(sizes) + len(addresses)))(*sizes, *addresses)
    _load_object(winograd_source(kind, lanes), optimise=False)(ctypes.addressof(table))
    return given[kind.result]


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("result", RESULTS)
@settings(max_examples=15, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_convolution_is_that_of_torch_in_float64(
    result: str, lanes: int, data: st.DataObject
) -> None:
    kind = data.draw(convolutions(result, lanes))
    given = arrays(kind)
    true, dy = expected(kind, given, torch.float64), given["dy"].double()
    scale = max(float(true.abs().max()), 1.0)
    found = run(kind, lanes, given)
    np.testing.assert_allclose(found, true, rtol=1e-5, atol=3e-6 * scale)
    if result == "dweight" and kind.biased:
        np.testing.assert_allclose(given["bias"], dy.sum((0, 2, 3)), rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("result", RESULTS)
def test_it_is_about_as_exact_as_torch(result: str) -> None:
    kind = Winograd(result, 10, (32, 32), (32, 32), (1, 1), 64, 64)
    given = arrays(kind)
    true = expected(kind, given, torch.float64)
    theirs = float((expected(kind, given, torch.float32) - true).abs().max())
    assert float((run(kind, 16, given) - true).abs().max()) < 4 * theirs


@pytest.mark.parametrize("result", RESULTS)
def test_nothing_is_written_beside_the_result(result: str) -> None:
    kind = Winograd(result, 3, (5, 7), (5, 7), (1, 1), 16, 32)
    given = arrays(kind)
    shape = given[result].shape
    room = torch.full((given[result].numel() + 256,), 7.0)
    inside = room[128:-128].view(shape[0], shape[2], shape[3], shape[1]).permute(0, 3, 1, 2)
    given[result] = inside
    run(kind, 16, given)
    assert (room[:128] == 7).all() and (room[-128:] == 7).all() and not (inside == 7).any()


def test_nan_stays_in_the_pieces_that_it_belongs_to() -> None:
    kind = Winograd("y", 2, (8, 8), (8, 8), (1, 1), 16, 16)
    given = arrays(kind)
    given["x"][0, 3, 4, 4] = torch.nan
    y = run(kind, 16, given)
    assert y[0, :, 3:6, 3:6].isnan().all() and y[1].isfinite().all()
    y[0, :, 2:6, 2:6] = 0  # the results of the pieces that the pixel is part of
    assert y.isfinite().all()


def test_a_convolution_says_what_it_computes() -> None:
    kind = Winograd("y", 2, (8, 9), (8, 9), (1, 1), 16, 32, biased=True)
    assert str(kind) == (
        "y = convolution(x, weight) + bias  # Winograd, 2 x 2 results at once\n"
        "x(2, 16, 8, 9)\nweight(32, 16, 3, 3)"
    )


def test_convolutions_of_all_sizes_are_one_code() -> None:
    sizes = ((2, (8, 8), (8, 8), (1, 1), 16, 16), (9, (5, 7), (3, 5), (0, 0), 64, 32))
    small, large = (winograd_kernel(Winograd("dx", *size)) for size in sizes)
    assert small is not None and large is not None
    assert small.source == large.source and small.function is large.function


@pytest.mark.parametrize("result", RESULTS)
def test_a_thread_with_a_small_stack_runs_it(result: str) -> None:
    kind = Winograd(result, 1, (4, 4), (4, 4), (1, 1), 256, 64)
    whole = run(kind, 16, arrays(kind))  # compiled here: that takes more
    given, before = arrays(kind), threading.stack_size(256 << 10)
    try:
        thread = threading.Thread(target=run, args=(kind, 16, given))
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    np.testing.assert_array_equal(given[result], whole)


def test_channels_that_leave_part_of_a_vector_are_not_ours() -> None:
    assert winograd_kernel(Winograd("y", 2, (8, 8), (8, 8), (1, 1), 15, 16)) is None


# --- in a session, with one thread of torch (tests/conftest.py) --------------------------------


def step(config: str, bias: bool = True, size: int = 12) -> tuple[list[np.ndarray], str]:
    """Loss and gradients of a net of three convolutions, and the source that ran."""
    rng = np.random.default_rng(0)
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [4, 3, size, size], name="x")
        y, made = x, []
        for channels in (16, 32, 48):
            shape = (channels, y.shape[1], 3, 3)
            weight = tf.Variable(rng.normal(size=shape).astype("float32") / 9)
            shift = tf.Variable(rng.normal(size=channels).astype("float32")) if bias else None
            made += [weight, *([shift] if bias else [])]
            y = tf.nn.conv2d(
                y, num_filter=channels, ksize=[1, 3, 3, 1], padding="SAME", no_bias=not bias,
                weight=weight, bias=shift,
            )  # fmt: skip
            y = tf.nn.relu(y)
        loss = tf.reduce_mean(y * y)
        session = tf.Session(config)
        session.run(tf.initialize_all_variables())
        feed = {x: rng.normal(size=(4, 3, size, size)).astype("float32")}
        found = session.run([loss, y, *tf.gradients(loss, made)], feed)
    return found, session.source()


@pytest.mark.parametrize("size", [12, 9])
@pytest.mark.parametrize("bias", [True, False])
def test_a_session_with_fusion_generates_its_convolutions(bias: bool, size: int) -> None:
    ours, text = step("cpu fusion", bias, size)
    theirs, plain = step("cpu", bias, size)
    assert text.count("conv2d_") > 6 and "Winograd" in text
    assert "Winograd" not in plain
    for a, b in zip(ours, theirs):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_recomputed_convolutions_give_the_same_numbers() -> None:
    plain, again = step("cpu fusion")[0], step("cpu fusion recompute")[0]
    for a, b in zip(plain, again):
        np.testing.assert_array_equal(a, b)


def test_where_torch_has_several_threads_its_convolutions_stay() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert "Winograd" not in step("cpu fusion")[1]
    finally:
        torch.set_num_threads(before)


def test_an_image_that_does_not_lie_nhwc_is_not_copied_for_ours() -> None:
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [8, 32, 8, 8], name="x")
        weight = tf.constant(np.ones((32, 32, 3, 3), "float32"))
        y = tf.nn.conv2d(
            x, num_filter=32, ksize=[1, 3, 3, 1], padding="SAME", no_bias=True, weight=weight
        )
        session = tf.Session("cpu fusion")
        found = session.run(y, {x: np.ones((8, 32, 8, 8), "float32")})
    assert "laid_out" not in session.source() and found.max() == 9 * 32
