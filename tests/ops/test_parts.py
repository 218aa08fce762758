"""Rules of the ops on parts of arrays: knowledge flows both ways, what does not fit is named."""

from __future__ import annotations

from typing import Any

import pytest

from tinyflow import ops
from tinyflow.errors import DTypeError, GraphError, ShapeError
from tinyflow.ir import Op
from tinyflow.ops.rules import END, kernel_dtypes
from tinyflow.types import DType

HALVES = {"num": 2, "axis": 0}
TAIL = {"begin": (1,), "end": (END,), "axes": (-1,)}
EXACT = {"begin": (1, 0), "end": (3, END), "exact": True}


def shapes_of(op: Op, ins: list[Any], outs: list[Any], **attrs: Any) -> tuple[Any, Any]:
    found, results = op.shape(op.check_attrs(attrs), ins, outs)
    return list(found), list(results)


@pytest.mark.parametrize(
    ("op", "attrs", "ins", "outs", "ins_after", "outs_after"),
    [
        (ops.where, {}, [(2, 1), (3,), ()], [None], [(2, 1), (3,), ()], [(2, 3)]),
        (ops.less, {}, [(2, 1), (3,)], [None], [(2, 1), (3,)], [(2, 3)]),
        (ops.concat, {}, [(2, None), (3, 4)], [None], [(2, 4), (3, 4)], [(5, 4)]),
        (ops.concat, {"axis": -1}, [None, (3, 4)], [(None, 9)], [(3, 5), (3, 4)], [(3, 9)]),
        (ops.concat, {}, [None, None], [None], [None, None], [None]),
        (ops.concat, {}, [None, None], [(5,)], [(None,), (None,)], [(5,)]),
        (ops.split, HALVES, [(6, None)], [None, (None, 4)], [(6, 4)], [(3, 4), (3, 4)]),
        (ops.split, HALVES, [None], [None, (3,)], [(6,)], [(3,), (3,)]),
        (ops.split, {"sizes": (1, 2)}, [(None, 5)], [None] * 2, [(3, 5)], [(1, 5), (2, 5)]),
        (
            ops.split_like,
            HALVES,
            [(5, 4), None, (3, None)],
            [None, None],
            [(5, 4), (2, 4), (3, 4)],
            [(2, 4), (3, 4)],
        ),
        (ops.slice, TAIL, [(None, 5)], [(2, None)], [(2, 5)], [(2, 4)]),
        (ops.slice, TAIL, [None], [(2, 4)], [(2, None)], [(2, 4)]),
        (ops.slice, EXACT, [(None, 5)], [None], [(None, 5)], [(2, 5)]),
        (ops.slice_grad, TAIL, [None, (2, 5)], [None], [(2, 4), (2, 5)], [(2, 5)]),
        (ops.slice_grad, {**TAIL, "shape": (2, 5)}, [None], [None], [(2, 4)], [(2, 5)]),
        (ops.gather, {}, [(7, None), (2, None)], [(None, 3, 4)], [(7, 4), (2, 3)], [(2, 3, 4)]),
        (ops.gather, {"axis": 1}, [None, (3,)], [(2, None, 4)], [(2, None, 4), (3,)], [(2, 3, 4)]),
        (ops.gather, {}, [(7, 4), None], [(2, 4)], [(7, 4), (2,)], [(2, 4)]),
        (ops.gather_grad, {}, [None, (2,), (7, 4)], [None], [(2, 4), (2,), (7, 4)], [(7, 4)]),
        (ops.cumsum, {"axis": 1}, [None], [(2, 3)], [(2, 3)], [(2, 3)]),
        (ops.expand_dims, {"axis": -1}, [(2, None)], [(None, 3, 1)], [(2, 3)], [(2, 3, 1)]),
        (ops.expand_dims, {}, [None], [(None, 3)], [(3,)], [(1, 3)]),
        (ops.squeeze, {}, [(2, 1, 3)], [None], [(2, 1, 3)], [(2, 3)]),
        (ops.squeeze, {"axes": (-2,)}, [(2, None, None)], [(None, 3)], [(2, 1, 3)], [(2, 3)]),
        (ops.squeeze, {}, [(2, None)], [None], [(2, None)], [None]),
        (
            ops.batch_matmul,
            {"transpose_b": True},
            [(5, None, 4), None],
            [(None, 2, 3)],
            [(5, 2, 4), (5, 3, 4)],
            [(5, 2, 3)],
        ),
        (ops.layer_norm, {}, [(2, 3), None, None], [None], [(2, 3), (3,), (3,)], [(2, 3)]),
        (ops.layer_norm, {}, [(2, None), (3,), None], [None], [(2, 3), (3,), (3,)], [(2, 3)]),
        (
            ops.layer_norm_grad,
            {},
            [(2, 3), None, None],
            [None] * 3,
            [(2, 3), (2, 3), (3,)],
            [(2, 3), (3,), (3,)],
        ),
        (ops.uniform_like, {}, [(2, None)], [(None, 3)], [(2, 3)], [(2, 3)]),
    ],
)
def test_knowledge_flows_both_ways(
    op: Op, attrs: Any, ins: Any, outs: Any, ins_after: Any, outs_after: Any
) -> None:
    assert shapes_of(op, ins, outs, **attrs) == (ins_after, outs_after)


@pytest.mark.parametrize(
    ("op", "attrs", "ins", "outs", "words"),
    [
        (ops.where, {}, [(2,), (3,), ()], [None], ["[2] and [3]", "equal or 1"]),
        (ops.concat, {}, [(2, 3), (2, 4)], [None], ["[?, 3] and [?, 4]"]),
        (ops.concat, {"axis": 2}, [(2, 3), (2, 3)], [None], ["(2,)", "-2 to 1"]),
        (ops.concat, {}, [(), ()], [None], ["scalar"]),
        (ops.concat, {}, [(2, 3), (3,)], [None], ["a part", "[3]", "expected 2"]),
        (ops.concat, {}, [(2,), (3,)], [(6,)], ["do not add up", "2 + 3", "6"]),
        (ops.concat, {}, [(7,), None], [(6,)], ["do not add up", "7 + ?", "6"]),
        (ops.split, {"num": 4}, [(6,)], [None] * 4, ["equal parts", "6", "a multiple of 4"]),
        (ops.split, {"num": 0}, [(6,)], [], ["equal parts", "one part or more"]),
        (ops.split, {"sizes": (2, 3)}, [(6,)], [None] * 2, ["do not add up", "2 + 3", "6"]),
        (ops.split, {"sizes": (8, -2)}, [(6,)], [None] * 2, ["negative", "(8, -2)"]),
        (ops.split, {"axis": 1}, [(6,)], [None], ["(1,)", "-1 to 0"]),
        (ops.slice, {"begin": (0,), "end": (1, 2)}, [(6, 6)], [None], ["not a slice", "(1, 2)"]),
        (
            ops.slice,
            {"begin": (0,), "end": (1,), "strides": (0,)},
            [(6,)],
            [None],
            ["not a slice", "no stride 0"],
        ),
        (ops.slice, {"begin": (0, 0), "end": (1, 1)}, [(6,)], [None], ["(0, 1)", "-1 to 0"]),
        (ops.slice, EXACT, [(2, 5)], [None], ["out of range", "1 to 3", "0 to 2"]),
        (ops.slice, {"begin": (-3,), "end": (2,), "exact": True}, [(2,)], [None], ["-3 to 2"]),
        (ops.slice, TAIL, [(2, 5)], [(2, 5)], ["[2, 5] and [2, 4]"]),
        (ops.slice_grad, TAIL, [(2, 5), (2, 5)], [None], ["[2, 5] and [2, 4]"]),
        (ops.slice_grad, TAIL, [(2, 4)], [None], ["shape of the result is not given"]),
        (ops.gather, {"axis": 2}, [(7, 4), (3,)], [None], ["(2,)", "-2 to 1"]),
        (ops.gather, {}, [(), (3,)], [None], ["scalar"]),
        (ops.gather, {}, [(7, 4), (3,)], [(2, 4)], ["[3, 4] and [2, 4]"]),
        (ops.gather_grad, {}, [(3, 5), (3,), (7, 4)], [None], ["[3, 4] and [3, 5]"]),
        (ops.cumsum, {"axis": 2}, [(2, 3)], [None], ["(2,)", "-2 to 1"]),
        (ops.expand_dims, {"axis": 3}, [(2, 3)], [None], ["(3,)", "-3 to 2"]),
        (ops.squeeze, {"axes": (0,)}, [(2, 1)], [None], ["not 1", "[2, 1]", "(0,)"]),
        (ops.batch_matmul, {}, [(2, 3, 4), (3, 4, 5)], [None], ["[2] and [3]"]),
        (ops.batch_matmul, {}, [(2, 3, 4), (2, 5, 6)], [None], ["do not fit", "not 4 and 5"]),
        (ops.batch_matmul, {}, [(2, 3, 4), (4, 5)], [None], ["a factor", "[4, 5]", "expected 3"]),
        (ops.batch_matmul, {}, [(3,), (3,)], [None], ["no matrices", "rank 1"]),
        (ops.layer_norm, {}, [(2, 3), (4,), None], [None], ["4 and 3"]),
        (ops.layer_norm, {}, [(2, 3), (3, 1), None], [None], ["gamma", "[3, 1]"]),
        (ops.layer_norm, {}, [(), None, None], [None], ["no axis to normalise"]),
        (ops.reduce_min, {}, [(0, 2)], [None], ["no minimum", "[0, 2]"]),
    ],
)
def test_shapes_that_do_not_fit_are_named(
    op: Op, attrs: Any, ins: Any, outs: Any, words: list[str]
) -> None:
    with pytest.raises(ShapeError) as caught:
        shapes_of(op, ins, outs, **attrs)
    for word in words:
        assert word in str(caught.value)


B, I32, I64, F16, BF16, F32, F64 = DType


@pytest.mark.parametrize(
    ("op", "ins", "out", "needed"),
    [
        (ops.where, [B, I32, F32], F32, (B, F32, F32)),
        (ops.maximum, [I32, F64], F64, (F64, F64)),
        (ops.less, [I32, F32], B, (F32, F32)),
        (ops.abs, [B], F32, (F32,)),
        (ops.concat, [I32, F32, I64], F32, (F32, F32, F32)),
        (ops.gather, [F16, I32], F16, (F16, I32)),
        (ops.gather_grad, [F64, F32, F32], F64, (F64, F32, F32)),
        (ops.cumsum, [B], F32, (F32,)),
        (ops.cumsum, [I32], I32, (I32,)),
        (ops.batch_matmul, [F32, F64], F64, (F64, F64)),
        (ops.layer_norm, [F16, F32, F32], F32, (F32, F32, F32)),
        (ops.gelu, [I32], F32, (F32,)),
    ],
)
def test_result_dtype_and_the_casts_that_the_kernel_needs(
    op: Op, ins: Any, out: DType, needed: Any
) -> None:
    attrs: dict[str, Any] = {}
    assert op.dtype(attrs, ins, [None])[1][0] is out
    assert kernel_dtypes(op, attrs, ins, [out]) == needed


def test_a_condition_must_be_bool_and_an_unknown_one_is() -> None:
    with pytest.raises(DTypeError, match="condition is not bool; got float32.*Compare"):
        ops.where.dtype({}, [F32, F32, F32], [None])
    assert list(ops.where.dtype({}, [None, F32, None], [None])[0]) == [B, F32, F32]


@pytest.mark.parametrize("op", [ops.gather, ops.gather_grad], ids=lambda op: op.name)
def test_truth_values_are_no_ids(op: Op) -> None:
    with pytest.raises(DTypeError, match="ids are not integers; got bool"):
        op.dtype({}, [F32, B], [None])


def test_nothing_cannot_be_joined() -> None:
    with pytest.raises(
        GraphError, match=r"test_parts.py:.*wrong number of inputs; got 0; expected 1 to"
    ):
        ops.concat()


@pytest.mark.parametrize("count", [-1, 2**70])
def test_split_refuses_a_number_of_parts_that_cannot_be(count: int) -> None:
    with pytest.raises(GraphError, match=f"wrong number of parts; got {count}; expected 0 to"):
        ops.split(ops.placeholder(dtype="float32", name="x"), num=count)
