"""The loop nest: what it looks like, what is shared and kept, and what no kernel is made for."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest

from tinyflow import ops
from tinyflow.backends.native import c_kernel, llvm_kernel
from tinyflow.codegen.c import c_source
from tinyflow.codegen.expression import Builder, Scalar, Unsupported, evaluate
from tinyflow.codegen.llvm import llvm_source
from tinyflow.codegen.nest import ColumnLoop, Nest
from tinyflow.codegen.scalar import nest, supported
from tinyflow.ir import Graph, Value
from tinyflow.ops import OPS
from tinyflow.ops.sweep import Level
from tinyflow.passes import infer
from tinyflow.types import DType

from .bodies import gelu, native, placeholder, softmax, typed

SOFTMAX = """\
def kernel(x0: float32 full, y0: float32 full):
    s0 = float32(columns)
    for r in rows:
        t1 = -inf
        for c in columns:
            t0 = x0[r, c]
            t1 = max(t1, t0)
        t4 = 0
        for c in columns:
            t0 = x0[r, c]
            t2 = t0 - t1
            t3 = exp(t2)
            s0[c] = t3
            t4 += t3
        for c in columns:
            t3 = s0[c]
            t5 = t3 / t4
            y0[r, c] = t5
"""

UPDATE = """\
def kernel(x0: float32 column, x1: float32 full, x2: float32 scalar, y0: float32 column):
    s0 = float64(columns)
    t1 = x2
    for r in rows:
        for c in columns:
            t2 = x1[r, c]
            s0[c] += t2
    for c in columns:
        t0 = x0[c]
        t3 = s0[c]
        t4 = t1 * t3
        t5 = t0 - t4
        y0[c] = t5
"""


def test_a_softmax_is_three_loops_and_keeps_its_powers() -> None:
    assert str(nest(softmax(4, 10))) == SOFTMAX


def test_the_update_of_a_bias_follows_the_loop_over_rows() -> None:
    bias, dy, rate = placeholder(0, (3,)), placeholder(1, (5, 3)), placeholder(2, ())
    grad = ops.reduce_sum(dy, reduction_indices=(0,))
    assert str(nest(typed(ops.sub(bias, ops.mul(rate, grad))))) == UPDATE


def loops(made: Nest) -> list[ColumnLoop]:
    return [item for item in made.row if isinstance(item, ColumnLoop)]


def test_equal_formulas_of_different_nodes_are_computed_once() -> None:
    x = placeholder(0, (5,))
    made = nest(typed(ops.exp(ops.mul(x, x)), ops.exp(ops.mul(x, x)), ops.neg(ops.mul(x, x))))
    assert [scalar.op for scalar in made.order] == ["load", "mul", "exp", "neg"]


def test_elementwise_bodies_of_any_rank_are_one_flat_loop() -> None:
    x = placeholder(0, (2, 3, 4, 5))
    body = typed(ops.add(ops.mul(x, 2.0), ops.reshape(placeholder(1, (120,)), shape=(2, 3, 4, 5))))
    assert len(loops(nest(body))) == 1
    assert "for r in rows" in str(nest(body)) and "row" not in str(nest(body)).splitlines()[0]


def test_cheap_elements_are_computed_again_and_costly_ones_kept() -> None:
    x = placeholder(0, (4, 9))
    square = ops.mul(x, x)
    cheap = ops.div(square, ops.reduce_sum(square, reduction_indices=(-1,), keepdims=True))
    assert nest(typed(cheap)).scratch == ()
    power = ops.tanh(square)
    costly = ops.div(power, ops.reduce_sum(power, reduction_indices=(-1,), keepdims=True))
    assert [array.name for array in nest(typed(costly)).scratch] == ["s0"]


def test_rows_too_long_to_keep_are_computed_again() -> None:
    assert nest(softmax(1, 8192)).scratch
    assert not nest(softmax(1, 8193)).scratch


def test_sums_stand_in_a_loop_of_their_own_while_costly_elements_can_be_kept() -> None:
    def tanhs(columns: int) -> int:
        y = ops.tanh(placeholder(0, (4, columns)))
        sums = [ops.reduce_sum(x, reduction_indices=(0,)) for x in (y, ops.mul(y, y))]
        made = nest(typed(*sums, ops.reduce_sum(y, reduction_indices=(1,))))
        assert len(loops(made)) == (2 if columns < 2731 else 1)
        return str(made).count("tanh(")

    assert tanhs(2730) == tanhs(2731) == 1


def test_the_source_of_a_kernel_does_not_know_its_sizes() -> None:
    for source in (str, c_source, llvm_source):
        assert source(nest(softmax(4, 10))) == source(nest(softmax(300, 1000)))


def test_long_rows_are_summed_in_float64() -> None:
    assert not nest(softmax(1, 4096)).wide and nest(softmax(1, 4097)).wide


X, ROW = placeholder(0, (4, 6)), placeholder(1, (4, 1))
MIDDLE = placeholder(0, (2, 3, 4))


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (ops.transpose(X), "the op has no scalar expression"),
        (ops.add(MIDDLE, placeholder(1, (2, 1, 4))), "a broadcast along an axis in the middle"),
        (ops.reduce_sum(MIDDLE, reduction_indices=(1,)), "neither first nor last"),
        (ops.reduce_sum(MIDDLE, reduction_indices=(0, 2)), "neither first nor last"),
        (ops.reduce_max(X, reduction_indices=(0,)), "a maximum over rows"),
        (ops.sub(X, ops.reduce_mean(X, reduction_indices=(0,), keepdims=True)), "in every row"),
        (ops.add(X, ops.constant(np.ones(6, "float32"))), "a constant array"),
        (ops.neg(placeholder(0, (0, 3))), "no elements"),
        (ops.neg(placeholder(0, (3,), "float16")), "a shape or dtype no kernel is made for"),
        (ops.add(*(placeholder(i, (3,), "int32") for i in range(2))), "arithmetic on integers"),
        (ops.cast(X, dtype="int32"), "arithmetic on integers"),
        (
            ops.add(
                ops.mul(X, ops.reduce_sum(X, reduction_indices=(1,), keepdims=True)),
                ops.reshape(
                    ops.reduce_sum(ops.reshape(X, shape=(8, 3)), reduction_indices=(1,)),
                    shape=(8, 1),
                ),
            ),
            "shapes do not broadcast",
        ),
    ][:-1],
)
def test_what_no_kernel_is_made_for_has_a_reason(output: Value, reason: str) -> None:
    body = infer(Graph((output,)))
    assert reason in (supported(body) or "")
    with pytest.raises(Unsupported, match=reason):
        nest(body)


def test_rows_of_two_lengths_are_refused() -> None:
    first = ops.reduce_sum(X, reduction_indices=(1,))
    second = ops.reduce_sum(ops.reshape(X, shape=(8, 3)), reduction_indices=(1,))
    assert "rows of different lengths" in (supported(infer(Graph((first, second)))) or "")


def test_what_no_compiler_would_finish_is_refused() -> None:
    y = placeholder(0, (8,))
    for _ in range(300):
        y = ops.tanh(y)
    assert "too long for one kernel" in (supported(typed(y)) or "")


def test_scratch_rows_share_what_there_is() -> None:
    x = placeholder(0, (4, 16))
    parts = [ops.tanh(ops.mul(x, float(i))) for i in range(2, 22)]
    total = ops.reduce_sum(reduce(ops.add, parts), reduction_indices=(1,), keepdims=True)
    made = nest(typed(*(ops.div(part, total) for part in parts)))
    assert len(made.scratch) == 20
    assert len(made.scratch) * made.scratch_elements * 8 <= 1 << 16


def test_a_result_per_row_never_overwrites_what_every_row_reads() -> None:
    """Both have n elements where rows and columns are as many: they could share storage."""
    x, column = placeholder(0, (5, 5)), placeholder(1, (5,))
    total = ops.reduce_sum(ops.mul(x, column), reduction_indices=(1,))
    assert "a result per row may lie on an input per column" in (supported(typed(total)) or "")


def test_what_has_a_kernel_has_no_reason() -> None:
    assert supported(gelu(10)) is None


def variable(name: str, dtype: DType = DType.float32) -> Scalar:
    return Builder().make("load", (), dtype, Level.FULL, name)


@pytest.mark.parametrize(
    "source",
    ["x.real", "open(x)", "[x]", "exp(x, x)", "x if x else y", "x @ x", "lambda: x", "'a'"],
)
def test_the_language_of_expressions_is_small(source: str) -> None:
    with pytest.raises(Unsupported, match="not in the language"):
        evaluate(source, {"x": variable("x")}, Builder(), DType.float32)


@pytest.mark.parametrize("op", [op for op in OPS.values() if op.expr], ids=lambda op: op.name)
def test_every_expression_of_the_catalog_is_in_the_language(op: object) -> None:
    names: dict[str, Scalar | float] = {name: variable(name) for name in op.inputs}
    if op.name == "where":
        names["condition"] = variable("condition", DType.bool)
    names |= dict.fromkeys(op.attributes, 0.5)
    assert evaluate(op.expr, names, Builder(), DType.float32).dtype in (DType.float32, DType.bool)


@pytest.mark.parametrize("top", [1, -1, 2, -2])
def test_what_a_mean_divides_by_is_told_when_the_kernel_runs(top: int) -> None:
    texts = set()
    for rows in (5, 64, 203):
        x, row = placeholder(0, (rows, 4)), placeholder(1, (rows, 1))
        body = typed(ops.add(ops.mul(x, float(np.float32(top) / np.float32(rows))), row))
        texts.add(str(nest(body)))
        arrays = [np.float32(np.arange(rows * 4)).reshape(rows, 4), np.zeros((rows, 1), "float32")]
        for run in (native(llvm_kernel), native(c_kernel)):
            expected = arrays[0] * (np.float32(top) / np.float32(rows))
            np.testing.assert_array_equal(run(body, arrays)[0], expected)
    (text,) = texts
    assert f"{float(top)} / " in text and "float32(rows)" in text
