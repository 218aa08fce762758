"""Shape and dtype rules: sound under every partial knowledge, and as strong as they should be."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyflow import ops
from tinyflow.backends.table import WITHOUT_KERNEL
from tinyflow.errors import DTypeError, GraphError, ShapeError
from tinyflow.ir import Op, Value
from tinyflow.ops import OPS
from tinyflow.ops.rules import broadcast_shapes, fill_size, kernel_dtypes, normal_axes
from tinyflow.types import DType, Shape, unify_shape

quick = settings(max_examples=30, deadline=None, derandomize=True)
each_op = pytest.mark.parametrize(
    "op", [op for op in OPS.values() if op not in WITHOUT_KERNEL], ids=lambda op: op.name
)


@st.composite
def forgotten(draw: Any, shape: tuple[int, ...]) -> Shape:
    """A shape of which something is not known."""
    if draw(st.integers(0, 3)) == 0:
        return None
    return tuple(None if draw(st.booleans()) else dim for dim in shape)


@each_op
def test_a_shape_rule_only_adds_true_knowledge(op: Op, cases: Any) -> None:
    """Forget parts of the true shapes: the rule must keep the rest, add truth, and then rest."""

    @quick
    @given(cases(op), st.data())
    def check(case: Any, data: Any) -> None:
        truth = [*(array.shape for array in case.arrays), *case.out_shapes]
        count = len(case.arrays)
        known = [data.draw(forgotten(shape)) for shape in truth]
        ins, outs = op.shape(case.attrs, known[:count], known[count:])
        found = [*ins, *outs]
        for true, before, after in zip(truth, known, found, strict=True):
            assert unify_shape(before, after) == after  # nothing is lost
            assert unify_shape(true, after) == true  # nothing is wrong
        again = op.shape(case.attrs, found[:count], found[count:])
        assert [*again[0], *again[1]] == found

    check()


@each_op
def test_a_dtype_rule_only_adds_true_knowledge(op: Op, cases: Any) -> None:
    @quick
    @given(cases(op), st.data())
    def check(case: Any, data: Any) -> None:
        truth, count = [*case.dtypes, *case.out_dtypes], len(case.arrays)
        ins, outs = op.dtype(case.attrs, truth[:count], truth[count:])
        assert [*ins, *outs] == truth
        known = [None if data.draw(st.booleans()) else dtype for dtype in case.dtypes]
        try:
            ins, outs = op.dtype(case.attrs, known, [None] * case.outputs)
        except DTypeError:
            raise AssertionError("partial knowledge cannot contradict") from None
        found = [*ins, *outs]
        assert all(old in (None, new) for old, new in zip(known, found))
        again = op.dtype(case.attrs, found[:count], found[count:])
        assert [*again[0], *again[1]] == found

    check()


def shape_of(op: Op, ins: list[Shape], out: Shape = None, **attrs: Any) -> tuple[Any, Any]:
    found, (result,) = op.shape(op.check_attrs(attrs), ins, [out])
    return list(found), result


UNKNOWN = None


@pytest.mark.parametrize(
    ("op", "attrs", "ins", "out", "ins_after", "out_after"),
    [
        (ops.exp, {}, [UNKNOWN], (2, 3), [(2, 3)], (2, 3)),
        (ops.exp, {}, [(2, None)], (None, 0), [(2, 0)], (2, 0)),
        (ops.add, {}, [(4, 1), (3,)], None, [(4, 1), (3,)], (4, 3)),
        (ops.add, {}, [(None, 1), (5, None)], None, [(None, 1), (5, None)], (5, None)),
        (ops.add, {}, [(None,), (1,)], None, [(None,), (1,)], (None,)),
        (ops.add, {}, [None, (3,)], (3,), [None, (3,)], (3,)),
        (ops.add, {}, [(0,), (1,)], None, [(0,), (1,)], (0,)),
        (ops.matmul, {}, [(None, 4), None], (2, 3), [(2, 4), (4, 3)], (2, 3)),
        (ops.matmul, {"transpose_a": True}, [(4, 2), (None, 3)], None, [(4, 2), (4, 3)], (2, 3)),
        (ops.matmul, {"transpose_b": True}, [None, (3, 4)], None, [(None, 4), (3, 4)], (None, 3)),
        (ops.gemm, {}, [(2, 3), (2, 4), None], None, [(2, 3), (2, 4), (4, 3)], (2, 3)),
        (
            ops.linear,
            {},
            [(8, 2, 3), (None, None), None],
            (None, 5),
            [(8, 2, 3), (5, 6), (5,)],
            (8, 5),
        ),
        (ops.linear, {}, [(None, None), (5, 6)], None, [(None, 6), (5, 6)], (None, 5)),
        (ops.reduce_sum, {}, [None], None, [None], ()),
        (ops.reduce_sum, {"reduction_indices": (1,)}, [None], (4,), [(4, None)], (4,)),
        (ops.reduce_sum, {"reduction_indices": (0, -1)}, [None], (4,), [None], (4,)),
        (
            ops.reduce_sum,
            {"reduction_indices": (-1,), "keepdims": True},
            [(2, 3)],
            None,
            [(2, 3)],
            (2, 1),
        ),
        (ops.reduce_sum, {"keepdims": True}, [None], (1, 1), [(None, None)], (1, 1)),
        (ops.argmax, {"axis": 1}, [(2, 3)], None, [(2, 3)], (2,)),
        (ops.reshape, {"shape": (-1, 4)}, [(2, 6)], None, [(2, 6)], (3, 4)),
        (ops.reshape, {"shape": (3, 4)}, [(None, 6)], None, [(2, 6)], (3, 4)),
        (ops.reshape, {"shape": (None, 4)}, [None], (3, None), [None], (3, 4)),
        (ops.transpose, {}, [(2, 3, 4)], None, [(2, 3, 4)], (4, 3, 2)),
        (ops.transpose, {"perm": (2, 0, 1)}, [None], (2, 3, 4), [(3, 4, 2)], (2, 3, 4)),
        (ops.broadcast_to, {"shape": (4, 3)}, [(None,)], None, [(None,)], (4, 3)),
        (ops.sum_like, {}, [(4, 3), None], (3,), [(4, 3), (3,)], (3,)),
        (ops.broadcast_like, {}, [(1,), (4, 3)], None, [(1,), (4, 3)], (4, 3)),
        (ops.reshape_like, {}, [(None, 6), (3, 4)], None, [(2, 6), (3, 4)], (3, 4)),
        (ops.softmax_cross_entropy_with_logits, {}, [None, None], (5,), [(5, None)] * 2, (5,)),
        (
            ops.mean_sparse_softmax_cross_entropy_with_logits,
            {},
            [(None, 10), (7,)],
            None,
            [(7, 10), (7,)],
            (),
        ),
        (ops.assign, {}, [(None, 3), (2, None)], None, [(2, 3), (2, 3)], (2, 3)),
        (ops.placeholder, {"dtype": "float32", "shape": (None, 3)}, [], (2, None), [], (2, 3)),
    ],
)
def test_knowledge_flows_both_ways(
    op: Op, attrs: Any, ins: Any, out: Any, ins_after: Any, out_after: Any
) -> None:
    assert shape_of(op, ins, out, **attrs) == (ins_after, out_after)


@pytest.mark.parametrize(
    ("op", "attrs", "ins", "out", "words"),
    [
        (ops.add, {}, [(2, 3), (2,)], None, ["[2, 3] and [2]", "equal or 1"]),
        (ops.exp, {}, [(2, 3)], (3, 2), ["[2, 3] and [3, 2]", "equal shapes"]),
        (ops.matmul, {}, [(2, 3), (2, 3)], None, ["[2, 3] and [2, 3]", "not 3 and 2", "transpose"]),
        (ops.matmul, {}, [(2, 3, 4), (4, 2)], None, ["first factor", "[2, 3, 4]", "expected 2"]),
        (ops.gemm, {}, [(2, 2), (2, 3), (3, 4)], None, ["factors do not fit"]),
        (ops.linear, {}, [(5,), (2, 5)], None, ["no rows", "[5]"]),
        (ops.linear, {}, [(2, 3), (4, 5)], None, ["elements do not fit", "5"]),
        (ops.linear, {}, [(2, 3), (4, 3), (5,)], None, ["4 and 5"]),
        (ops.reduce_sum, {"reduction_indices": (2,)}, [(2, 3)], None, ["(2,)", "-2 to 1"]),
        (ops.reduce_sum, {"reduction_indices": (1, -1)}, [(2, 3)], None, ["twice", "(1, -1)"]),
        (ops.reduce_sum, {"reduction_indices": (0,)}, [()], None, ["scalar"]),
        (ops.reduce_max, {"reduction_indices": (0,)}, [(0, 3)], None, ["no maximum", "[0, 3]"]),
        (ops.argmax, {"axis": 3}, [(2, 3)], None, ["(3,)", "-2 to 1"]),
        (ops.size, {"reduction_indices": (5,)}, [(2,)], None, ["(5,)"]),
        (ops.reshape, {"shape": (4, 4)}, [(2, 6)], None, ["got 12", "[4, 4]"]),
        (ops.reshape, {"shape": (-1, 5)}, [(2, 6)], None, ["got 12", "[?, 5]"]),
        (ops.reshape, {"shape": (-1, 0)}, [(2, 0)], None, ["any size would do"]),
        (ops.transpose, {"perm": (0, 0)}, [(2, 3)], None, ["(0, 0)", "0 to 1 once"]),
        (ops.transpose, {"perm": (0, 1)}, [(2, 3, 4)], None, ["[2, 3, 4]", "expected 2"]),
        (ops.broadcast_to, {"shape": (4, 3)}, [(2,)], None, ["[2]", "[4, 3]"]),
        (ops.broadcast_to, {"shape": (3,)}, [(4, 3)], None, ["[4, 3]", "[3]"]),
        (ops.broadcast_to, {"shape": (1,)}, [(3,)], None, ["[3]", "[1]"]),
        (ops.broadcast_like, {"keepdims": False}, [(2,), (2, 3)], None, ["rank", "[2]"]),
        (ops.sum_like, {}, [(4, 3), (2,)], None, ["[2]", "[4, 3]"]),
        (ops.reshape_like, {}, [(4, 3), (5,)], None, ["got 5", "[4, 3]"]),
        (ops.softmax, {"axis": 2}, [(2, 3)], None, ["(2,)", "-2 to 1"]),
        (ops.softmax, {}, [()], None, ["scalar"]),
        (ops.softmax_cross_entropy_with_logits, {}, [(), ()], None, ["no classes"]),
        (ops.mean_sparse_softmax_cross_entropy_with_logits, {}, [(4, 3), (5,)], None, ["4 and 5"]),
        (ops.mean_sparse_softmax_cross_entropy_with_logits, {}, [(4, 3), (4, 1)], None, ["labels"]),
        (ops.assign, {}, [(2,), (3,)], None, ["[2] and [3]"]),
        (ops.zeros, {"shape": (2,)}, [], (3,), ["[2] and [3]"]),
    ],
)  # fmt: skip
def test_shapes_that_do_not_fit_are_named(
    op: Op, attrs: Any, ins: Any, out: Any, words: list[str]
) -> None:
    with pytest.raises(ShapeError) as caught:
        shape_of(op, ins, out, **attrs)
    for word in words:
        assert word in str(caught.value)


B, I32, I64, F16, BF16, F32, F64 = DType


@pytest.mark.parametrize(
    ("op", "attrs", "ins", "out", "needed"),
    [
        (ops.add, {}, [I32, F32], F32, (F32, F32)),
        (ops.add, {}, [F16, BF16], F32, (F32, F32)),
        (ops.add, {}, [I32, I64], I64, (I64, I64)),
        (ops.sub, {}, [B, B], F32, (F32, F32)),
        (ops.div, {}, [I32, I64], F32, (F32, F32)),
        (ops.pow, {}, [I32, F64], F64, (F64, F64)),
        (ops.equal, {}, [I32, F32], B, (F32, F32)),
        (ops.greater, {}, [B, B], B, (B, B)),
        (ops.exp, {}, [I64], F32, (F32,)),
        (ops.relu, {}, [I32], I32, (I32,)),
        (ops.reduce_sum, {}, [B], F32, (F32,)),
        (ops.reduce_sum, {}, [I32], I32, (I32,)),
        (ops.reduce_mean, {}, [I32], F32, (F32,)),
        (ops.reduce_max, {}, [B], B, (B,)),
        (ops.argmax, {}, [B], I64, (F32,)),
        (ops.size, {}, [I32], F32, (I32,)),
        (ops.size, {}, [F64], F64, (F64,)),
        (ops.matmul, {}, [F32, F64], F64, (F64, F64)),
        (ops.linear, {}, [I32, F16, F16], F16, (F16, F16, F16)),
        (ops.cast, {"dtype": "int32"}, [F64], I32, (F64,)),
        (ops.cast_like, {}, [B, F16], F16, (B, F16)),
        (ops.sum_like, {}, [F32, I32], F32, (F32, I32)),
        (ops.broadcast_like, {}, [I32, F32], I32, (I32, F32)),
        (ops.mean_sparse_softmax_cross_entropy_with_logits, {}, [I32, I64], F32, (F32, I64)),
        (ops.sparse_softmax_cross_entropy_grad, {}, [F32, F64, F32], F64, (F64, F64, F32)),
        (ops.assign, {}, [F32, I32], F32, (F32, F32)),
        (ops.assign, {}, [F32, F64], F32, (F32, F32)),
    ],
)
def test_result_dtype_and_the_casts_that_the_kernel_needs(
    op: Op, attrs: Any, ins: Any, out: DType, needed: Any
) -> None:
    checked = op.check_attrs(attrs)
    assert op.dtype(checked, ins, [None])[1][0] is out
    assert kernel_dtypes(op, checked, ins, [out]) == needed


def test_an_unknown_dtype_is_taken_from_where_it_is_known() -> None:
    assert list(ops.mul.dtype({}, [F16, None], [None])[0]) == [F16, F16]  # x * 2
    assert list(ops.exp.dtype({}, [None], [F64])[0]) == [F64]  # exp(2) * x
    assert list(ops.assign.dtype({}, [F64, None], [None])[0]) == [F64, F64]
    assert list(ops.add.dtype({}, [None, None], [None])[0]) == [None, None]
    loss = ops.mean_sparse_softmax_cross_entropy_with_logits
    assert list(loss.dtype({}, [F32, None], [None])[0]) == [F32, None]


@pytest.mark.parametrize(
    ("op", "attrs", "ins", "out", "words"),
    [
        (ops.exp, {}, [None], I32, ["int32", "float32", "cast"]),
        (ops.add, {}, [F32, F64], F32, ["float32", "float64"]),
        (ops.assign, {}, [I32, F32], None, ["cannot assign", "float32", "int32"]),
        (ops.normal, {"shape": (2,), "dtype": "int32"}, [], None, ["real", "int32"]),
        (ops.mean_sparse_softmax_cross_entropy_with_logits, {}, [F32, B], None, ["labels", "bool"]),
    ],
)
def test_dtypes_that_do_not_fit_are_named(
    op: Op, attrs: Any, ins: Any, out: Any, words: list[str]
) -> None:
    with pytest.raises(DTypeError) as caught:
        op.dtype(op.check_attrs(attrs), ins, [out])
    for word in words:
        assert word in str(caught.value)


def test_an_op_with_a_plain_dtype_rule_takes_inputs_as_they_come() -> None:
    op = Op("mine", ("x",), ops.exp.shape, lambda attrs, ins, outs: (ins, ins))
    assert kernel_dtypes(op, {}, [I32], [I32]) == (I32,)


def test_helpers_say_what_they_find() -> None:
    assert broadcast_shapes((None, 1, 3), (4, None)) == (None, 4, 3)
    assert normal_axes((-1, 0), 3) == (0, 2)
    assert fill_size((None, 3), 12) == (4, 3)
    assert fill_size((None, None), 12) == (None, None)
    assert fill_size((None, 0), 0) == (None, 0)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda x: ops.zeros(shape=(None, 2)), ["zeros", "'shape'", "[?, 2]", "every size known"]),
        (lambda x: ops.normal(shape=None), ["normal", "[...]"]),
        (lambda x: ops.reshape(x, shape=(-1, None)), ["reshape", "[?, ?]", "at most one"]),
        (lambda x: ops.reshape(x, shape=(-2,)), ["reshape", "(-2,)"]),
        (lambda x: ops.reduce_sum(x, reduction_indices=0.5), ["reduce_sum", "0.5", "ints"]),
        (lambda x: ops.matmul(x), ["matmul", "got 1", "2 (x, y)"]),
        (lambda x: ops.linear(x), ["linear", "got 1", "2 to 3 (x, weight, bias)"]),
        (lambda x: ops.softmax(x, axis=None), ["softmax", "'axis'", "None", "int"]),
    ],
)
def test_a_wrong_node_is_refused_when_it_is_made(make: Any, words: list[str]) -> None:
    x: Value = ops.placeholder(dtype="float32")
    with pytest.raises(GraphError) as caught:
        make(x)
    for word in ["test_rules.py:", *words]:
        assert word in str(caught.value)
