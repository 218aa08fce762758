"""Triton text: it says what it should, and run it computes what numpy computes."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from tinyflow import ops
from tinyflow.codegen.expression import Unsupported
from tinyflow.codegen.scalar import nest, supported
from tinyflow.codegen.space import iteration_space
from tinyflow.codegen.triton import TritonKernel, triton_kernel
from tinyflow.ir import Graph
from tinyflow.ops.fused import body_inputs
from tinyflow.passes import DTYPES, SHAPES

from .bodies import Recipe, gelu, placeholder, recipes, softmax, typed, unfused
from .tile import run_with_numpy, run_with_triton

TRITON = find_spec("triton") is not None

NORMALISE = """\
import triton
import triton.language as tl


@triton.jit
def kernel(x0, x1, y0, rows, columns, BLOCK: tl.constexpr):
    r = tl.cast(tl.program_id(0), tl.int64)
    c = tl.arange(0, BLOCK)
    i = r * columns + c
    inside = c < columns
    t0 = tl.load(x0 + i, mask=inside, other=0)
    t1 = tl.sum(tl.where(inside, t0, 0.0), 0)
    t2 = tl.cast(columns, tl.float32)
    t3 = t1 / t2
    t4 = t0 - t3
    t5 = tl.load(x1 + c, mask=inside, other=0)
    t6 = t4 * t5
    tl.store(y0 + i, t6, mask=inside)
"""


def lowered(body: Graph) -> tuple[TritonKernel, tuple[int, int]]:
    space = iteration_space(body)
    return triton_kernel(nest(body), space.rows, space.columns), (space.rows, space.columns)


def run(body: Graph, arrays: list[np.ndarray], monkeypatch: Any, tmp_path: Any) -> list[np.ndarray]:
    """By Triton's interpreter where it is installed, else by numpy."""
    kernel, sizes = lowered(body)
    results = [np.zeros(body.fact(SHAPES)[v], body.fact(DTYPES)[v].numpy) for v in body.outputs]
    read = [arrays[int(value.node.name[1:])] for value in body_inputs(body)]
    if TRITON:
        run_with_triton(kernel, [*read, *results], sizes, tmp_path)
    else:
        run_with_numpy(kernel, [*read, *results], sizes, monkeypatch)
    return results


def test_a_row_is_one_program() -> None:
    x, scale = placeholder(0, (4, 10)), placeholder(1, (10,))
    mean = ops.reduce_mean(x, reduction_indices=(-1,), keepdims=True)
    kernel, _ = lowered(typed(ops.mul(ops.sub(x, mean), scale)))
    assert kernel.source == NORMALISE
    assert (kernel.grid, kernel.block) == (4, 16)


def test_elements_are_cut_into_blocks() -> None:
    kernel, sizes = lowered(gelu(5000))
    assert (kernel.grid, kernel.block, sizes) == (5, 1024, (1, 5000))


@pytest.mark.parametrize("body", [gelu(1), gelu(2500), softmax(3, 40), softmax(1, 1000)])
def test_known_bodies(body: Graph, monkeypatch: Any, tmp_path: Any) -> None:
    shape = body.fact(SHAPES)[body_inputs(body)[0]]
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    (got,) = run(body, [x], monkeypatch, tmp_path)
    np.testing.assert_allclose(got, unfused(body, [x])[0], rtol=1e-5, atol=1e-6)


def test_random_bodies(monkeypatch: Any, tmp_path: Any) -> None:
    ran = []

    @settings(
        max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(recipes())
    def check(recipe: Recipe) -> None:
        body = recipe.body("float32")
        rng = np.random.default_rng(0)
        arrays = [rng.normal(size=shape).astype("float32") for shape in recipe.inputs]
        if supported(body):
            return
        try:
            got = run(body, arrays, monkeypatch, tmp_path)
        except Unsupported:
            return  # sums over rows
        expected = unfused(body, arrays)
        for array, true in zip(got, expected):
            if np.isfinite(true).all() and np.abs(true).max() < 1e6:
                scale = max(1.0, float(np.abs(true).max()))
                np.testing.assert_allclose(array, true, rtol=5e-4, atol=2e-5 * scale)
        ran.append(recipe)

    check()
    assert len(ran) > 20


def test_special_numbers(monkeypatch: Any, tmp_path: Any) -> None:
    x = np.array([[0, -0.0, np.inf, -np.inf], [np.nan, 1, 2, 3], [1e-40, -1, 90, -105]], "float32")
    value = placeholder(0, x.shape)
    body = typed(
        ops.exp(value), ops.log(value), ops.tanh(value), ops.relu(value), ops.pow(value, 1.5),
        ops.reduce_max(value, reduction_indices=(1,)),
    )  # fmt: skip
    for got, true in zip(run(body, [x], monkeypatch, tmp_path), unfused(body, [x])):
        np.testing.assert_allclose(got, true, rtol=1e-6, atol=1e-44)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (typed(ops.reduce_sum(placeholder(0, (3, 4)), reduction_indices=(0,))), "sum over rows"),
        (softmax(1, 70_000), "rows too long"),
        (typed(ops.tanh(placeholder(0, (3,), "float64"))), "tanh in float64"),
    ],
)
def test_what_triton_text_cannot_say_has_a_reason(body: Graph, reason: str) -> None:
    with pytest.raises(Unsupported, match=reason):
        lowered(body)
