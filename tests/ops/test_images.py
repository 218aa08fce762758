"""Ops on images: what their shape rules know, what they refuse, kernels at the edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from tinyflow import ops
from tinyflow.backends.numpy_ import NUMPY
from tinyflow.backends.table import KernelTable
from tinyflow.backends.torch_ import TORCH
from tinyflow.errors import GraphError, ShapeError, TinyflowError
from tinyflow.ir import Op
from tinyflow.ops.window import resolve_padding
from tinyflow.types import DType

each_backend = pytest.mark.parametrize("table", [NUMPY, TORCH], ids=lambda table: table.name)
RNG = np.random.default_rng(5)
SAME = {"padding": None}
EVEN = {"padding": (1, 1, 2, 2)}
SIX = (2, 3, 6, 6)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype("float32")


def shapes(op: Op, ins: list[Any], outs: list[Any], **attrs: Any) -> tuple[Any, Any]:
    after = op.shape(op.check_attrs(attrs), ins, outs)
    return list(after[0]), list(after[1])


@pytest.mark.parametrize(
    ("op", "attrs", "ins", "outs", "ins_after", "outs_after"),
    [
        (ops.conv2d, {}, [(8, 3, 9, 9), (4, None, 5, 3), None], [None],
         [(8, 3, 9, 9), (4, 3, 5, 3), (4,)], [(8, 4, 5, 7)]),
        (ops.conv2d, {}, [None, (4, 3, 5, 3)], [(8, None, 5, 7)],
         [(8, 3, 9, 9), (4, 3, 5, 3)], [(8, 4, 5, 7)]),
        (ops.conv2d, {"strides": (2, 1)}, [None, (4, 3, 5, 3)], [(8, None, 5, 7)],
         [(8, 3, None, 9), (4, 3, 5, 3)], [(8, 4, 5, 7)]),
        (ops.conv2d, EVEN, [(None, 3, 8, 8), (4, None, 5, 3)], [None],
         [(None, 3, 8, 8), (4, 3, 5, 3)], [(None, 4, 6, 10)]),
        (ops.conv2d, {"strides": (2, 3), **SAME}, [(1, 3, 7, 8), (4, None, None, None)], [None],
         [(1, 3, 7, 8), (4, 3, None, None)], [(1, 4, 4, 3)]),
        (ops.conv2d, SAME, [None, None], [(1, 4, 6, 5)],
         [(1, None, 6, 5), (4, None, None, None)], [(1, 4, 6, 5)]),
        (ops.conv2d, {"groups": 2, "dilations": (2, 3)}, [(2, 6, 9, 9), (4, None, 3, 3)], [None],
         [(2, 6, 9, 9), (4, 3, 3, 3)], [(2, 4, 5, 3)]),
        (ops.conv2d, {"groups": 2, "dilations": (2, 3)}, [None, (4, 3, 3, 3)], [(2, None, 5, 3)],
         [(2, 6, 9, 9), (4, 3, 3, 3)], [(2, 4, 5, 3)]),
        (ops.conv2d_weight_grad, {"groups": 3}, [None, SIX, (6, None, 3, 3)], [None],
         [(2, 6, 4, 4), SIX, (6, 1, 3, 3)], [(6, 1, 3, 3)]),
        (ops.conv2d_input_grad, {"strides": (2, 2)}, [(2, 4, 3, 3), (4, 3, 2, 2), SIX], [None],
         [(2, 4, 3, 3), (4, 3, 2, 2), SIX], [SIX]),
        (ops.conv2d_weight_grad, {"bias": True}, [None, SIX, (4, None, 3, 3)], [None, None],
         [(2, 4, 4, 4), SIX, (4, 3, 3, 3)], [(4, 3, 3, 3), (4,)]),
        (ops.max_pool2d, {"ksize": (2, 3), "strides": (2, 2)}, [SIX], [None, None],
         [SIX], [(2, 3, 3, 2)] * 2),
        (ops.max_pool2d_grad, {"ksize": (2, 2)}, [None, None, SIX], [None],
         [(2, 3, 5, 5), (2, 3, 5, 5), SIX], [SIX]),
        (ops.avg_pool2d, {"ksize": (3, 3), "strides": (2, 2), **SAME}, [(2, 3, 5, 6)], [None],
         [(2, 3, 5, 6)], [(2, 3, 3, 3)]),
        (ops.batch_norm, {}, [(2, None, 4, 4), (3,), None, None, None], [None] * 3,
         [(2, 3, 4, 4), *[(3,)] * 4], [(2, 3, 4, 4), (3,), (3,)]),
        (ops.batch_norm, {"training": False}, [None, None, None, (3,), None], [(2, None, 4, 4)],
         [(2, 3, 4, 4), *[(3,)] * 4], [(2, 3, 4, 4)]),
        (ops.pad, {"dim": -1, "pad": -2}, [(2, 3)], [None], [(2, 3)], [(2, 5)]),
        (ops.pad, {"dim": 0, "pad": 2}, [None], [(5, 3)], [(3, 3)], [(5, 3)]),
        (ops.crop, {"dim": 1, "pad": 2}, [(2, 5)], [None], [(2, 5)], [(2, 3)]),
        (ops.flatten_layer, {}, [(2, 3, 4)], [None], [(2, 3, 4)], [(2, 12)]),
        (ops.flatten_layer, {}, [(None, 3, None)], [(2, 12)], [(2, 3, 4)], [(2, 12)]),
        (ops.flatten_layer, {}, [(5,)], [None], [(5,)], [(5, 1)]),
    ],
)  # fmt: skip
def test_knowledge_flows_both_ways(
    op: Op, attrs: Any, ins: Any, outs: Any, ins_after: Any, outs_after: Any
) -> None:
    assert shapes(op, ins, outs, **attrs) == (ins_after, outs_after)


@pytest.mark.parametrize(
    ("op", "attrs", "ins", "outs", "words"),
    [
        (ops.conv2d, {}, [SIX, (4, 2, 3, 3)], [None], ["channels do not fit", "3 and 2", "NCHW"]),
        (ops.conv2d, {}, [SIX, (4, 3, 7, 3)], [None], ["size 6 + padding 0, window 7"]),
        (ops.conv2d, {"dilations": (1, 3)}, [SIX, (4, 3, 3, 3)], [None], ["window 7"]),
        (ops.conv2d, {"groups": 3}, [SIX, (3, 3, 3, 3)], [None], ["not 3 and 3 * 3"]),
        (ops.conv2d, {"groups": 2}, [SIX, None], [None], ["cannot cut into groups", "2 groups"]),
        (ops.conv2d, {"groups": 3}, [SIX, (4, 1, 3, 3)], [None], ["[4, 1, 3, 3], 3 groups"]),
        (ops.conv2d, {"groups": 0}, [SIX, (4, 3, 3, 3)], [None], ["cannot cut", "1 or more"]),
        (ops.conv2d, {}, [(2, 3, 6), (4, 3, 3, 3)], [None], ["x has the wrong rank", "[2, 3, 6]"]),
        (ops.conv2d, {}, [SIX, (4, 3, 3)], [None], ["the weight has the wrong rank"]),
        (ops.conv2d, {}, [SIX, (4, 3, 3, 3), (5,)], [None], ["5 and 4"]),
        (ops.conv2d, {}, [SIX, (4, 3, 3, 3)], [(2, 4, 5, 4)], ["sizes contradict"]),
        (ops.conv2d, EVEN, [(2, 3, 0, 6), (4, 3, 2, 3)], [None], ["size 0 + padding 2"]),
        (ops.conv2d_input_grad, {}, [(2, 4, 4, 4), (4, 3, 3, 3), (2, 3, 7, 7)], [None], ["sizes"]),
        (ops.max_pool2d, {"ksize": (7, 1)}, [SIX], [None, None], ["window 7"]),
        (ops.max_pool2d, {"ksize": (2, 2), "padding": (0, 0, 0, 2)}, [SIX], [None, None],
         ["nothing but padding", "(0, 0, 0, 2)", "less than (2, 2)"]),
        (ops.batch_norm, {}, [SIX, (2,), None, None, None], [None] * 3, ["sizes contradict"]),
        (ops.batch_norm, {}, [(2, 3), None, None, None, None], [None] * 3, ["x has the wrong"]),
        (ops.pad, {"dim": 2, "pad": 1}, [(2, 3)], [None], ["axis is out of range", "-2 to 1"]),
        (ops.crop, {"dim": 1, "pad": 4}, [(2, 3)], [None], ["more than there", "4 along axis 1"]),
        (ops.flatten_layer, {}, [()], [None], ["no rows"]),
    ],
)  # fmt: skip
def test_shapes_that_do_not_fit_are_named(
    op: Op, attrs: Any, ins: Any, outs: Any, words: list[str]
) -> None:
    with pytest.raises(ShapeError) as caught:
        shapes(op, ins, outs, **attrs)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda x: ops.conv2d(x, x, strides=(0, 1)), ["'strides'", "(0, 1)", "2 integers"]),
        (lambda x: ops.conv2d(x, x, strides=1), ["'strides'", "(1,)"]),
        (lambda x: ops.conv2d(x, x, padding=(1, 1)), ["'padding'", "(1, 1)", "4 integers >= 0"]),
        (lambda x: ops.conv2d(x, x, padding=(-1, 0, 0, 0)), ["'padding'", ">= 0"]),
        (lambda x: ops.conv2d(x, x, dilations=(0, 1)), ["'dilations'", "(0, 1)", "2 integers"]),
        (lambda x: ops.max_pool2d(x, ksize=(2, 2.5)), ["max_pool2d", "'ksize'", "ints"]),
        (lambda x: ops.batch_norm(x, x, x), ["batch_norm", "got 3", "moving_mean"]),
        (lambda x: ops.pad(x, dim="c"), ["'dim'", "'c'", "int"]),
    ],
)  # fmt: skip
def test_a_wrong_node_is_refused_when_it_is_made(make: Any, words: list[str]) -> None:
    with pytest.raises(GraphError) as caught:
        make(ops.placeholder(dtype="float32"))
    for word in ["test_images.py:", *words]:
        assert word in str(caught.value)


def test_same_puts_the_odd_row_at_the_end() -> None:
    assert resolve_padding(None, (2, 2), (8, 7), (3, 3)) == (0, 1, 1, 1)
    assert resolve_padding(None, (1, 3), (5, 9), (4, 2)) == (1, 2, 0, 0)
    assert resolve_padding((1, 2, 3, 4), (2, 2), (8, 7), (3, 3)) == (1, 2, 3, 4)


def run(table: KernelTable, op: Op, *arrays: np.ndarray, **attrs: Any) -> Any:
    given = [table.from_numpy(a, DType(str(a.dtype))) for a in arrays]
    result = table[op].run(*given, **op.check_attrs(attrs))
    several = isinstance(result, tuple)
    return [table.to_numpy(r) for r in result] if several else table.to_numpy(result)


@each_backend
def test_a_maximum_over_nan_is_nan_and_over_minus_infinity_is_somewhere(table: KernelTable) -> None:
    x = np.full((1, 1, 4, 4), -np.inf, "float32")
    x[0, 0, 0, 1] = np.nan
    window = {"ksize": (2, 2), "strides": (2, 2)}
    y, index = run(table, ops.max_pool2d, x, **window)
    np.testing.assert_array_equal(y[0, 0], [[np.nan, -np.inf], [-np.inf, -np.inf]])
    np.testing.assert_array_equal(index[0, 0], [[1, 2], [8, 10]])


@each_backend
@pytest.mark.parametrize("padding", [(1, 1, 1, 1), (1, 0, 0, 1), (0, 1, 1, 0)])
def test_padding_never_wins(table: KernelTable, padding: Any) -> None:
    lowest = np.full((1, 1, 3, 3), -np.inf, "float32")
    negative = -np.arange(1, 10, dtype="float32").reshape(1, 1, 3, 3)
    for x in (lowest, negative):
        y, index = run(table, ops.max_pool2d, x, ksize=(2, 2), padding=padding)
        assert index.min() >= 0 and index.max() <= 8
        np.testing.assert_array_equal(x.ravel()[index], y)


@each_backend
def test_the_first_of_equals_gets_the_gradient(table: KernelTable) -> None:
    x, dy = np.ones((1, 1, 2, 4), "float32"), np.float32([[[[3, 5]]]])
    window = {"ksize": (2, 2), "strides": (2, 2)}
    _, index = run(table, ops.max_pool2d, x, **window)
    dx = run(table, ops.max_pool2d_grad, dy, index, x, **window)
    np.testing.assert_array_equal(dx[0, 0], [[3, 0, 5, 0], [0, 0, 0, 0]])


@each_backend
def test_an_empty_batch_is_no_error(table: KernelTable) -> None:
    x, w = np.zeros((0, 3, 6, 6), "float32"), normal(4, 3, 3, 3)
    y = run(table, ops.conv2d, x, w)
    assert y.shape == (0, 4, 4, 4)
    dw, db = run(table, ops.conv2d_weight_grad, y, x, w, bias=True)
    assert not dw.any() and not db.any() and dw.shape == w.shape
    assert run(table, ops.conv2d_input_grad, y, w, x).shape == x.shape
    assert run(table, ops.max_pool2d, x, ksize=(2, 2))[1].shape == (0, 3, 5, 5)
    ones = [np.ones(3, "float32")] * 4
    assert run(table, ops.batch_norm, x, *ones, training=False).shape == x.shape
    assert np.isnan(run(table, ops.batch_norm, x, *ones)[1]).all()
    dx, dgamma, _ = run(table, ops.batch_norm_grad, x, x, *ones[1:])
    assert dx.shape == x.shape and not dgamma.any()


@each_backend
def test_a_variance_far_from_zero_is_exact(table: KernelTable) -> None:
    x = normal(4, 2, 5, 5) * 0.1 + 100
    gamma, beta = np.float32([1, 2]), np.float32([0, -1])
    y, mean, variance = run(table, ops.batch_norm, x, gamma, beta, beta, gamma, epsilon=1e-12)
    wide = x.astype("float64")
    np.testing.assert_allclose(mean, wide.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(variance, wide.var((0, 2, 3)), rtol=1e-3)
    np.testing.assert_allclose(y.mean((0, 2, 3)), beta, atol=2e-3)
    np.testing.assert_allclose(y.std((0, 2, 3)), gamma, rtol=1e-3)


@each_backend
def test_a_constant_channel_has_no_variance_and_normalises_to_beta(table: KernelTable) -> None:
    x, one = np.full((2, 1, 3, 3), 7, "float32"), np.ones(1, "float32")
    y, mean, variance = run(table, ops.batch_norm, x, one, one * 5, one, one)
    np.testing.assert_allclose(y, np.full(x.shape, 5), rtol=1e-4)
    assert mean == 7 and 0 <= variance <= 1e-9


@each_backend
def test_the_adjoints_of_a_convolution_keep_the_inner_product(
    table: KernelTable, cases: Any
) -> None:
    """<conv(x, w), dy> = <x, input_grad(dy, w)> = <w, weight_grad(dy, x)>."""

    @settings(max_examples=30, deadline=None, derandomize=True)
    @given(cases(ops.conv2d_input_grad))
    def check(case: Any) -> None:
        dy, w, x = (array.astype("float64") for array in case.arrays)
        y = run(table, ops.conv2d, x, w, **case.attrs)
        dx = run(table, ops.conv2d_input_grad, dy, w, x, **case.attrs)
        dw = run(table, ops.conv2d_weight_grad, dy, x, w, **case.attrs)
        products = [np.vdot(y, dy), np.vdot(x, dx), np.vdot(w, dw)]
        np.testing.assert_allclose(products, products[0], rtol=1e-9, atol=1e-9)

    check()


@each_backend
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 3)])
def test_groups_and_dilations_agree_with_torch(
    table: KernelTable, groups: int, dilation: Any
) -> None:
    x, w, b = normal(2, 4, 9, 10), normal(8, 4 // groups, 3, 2), normal(8)
    at = [torch.tensor(a, requires_grad=True) for a in (x, w, b)]
    expected = torch.nn.functional.conv2d(*at, 2, (1, 2), dilation, groups)
    dy = normal(*expected.shape)
    expected.backward(torch.tensor(dy))  # type: ignore[no-untyped-call]
    window = {"strides": (2, 2), "padding": (1, 1, 2, 2), "dilations": dilation, "groups": groups}
    y = run(table, ops.conv2d, x, w, b, **window)
    dx = run(table, ops.conv2d_input_grad, dy, w, x, **window)
    dw, db = run(table, ops.conv2d_weight_grad, dy, x, w, bias=True, **window)
    slopes = [a.grad for a in at]
    for got, want in zip((y, dx, dw, db), (expected.detach(), *slopes), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


@each_backend
@pytest.mark.parametrize(
    ("op", "back"), [(ops.avg_pool2d, ops.avg_pool2d_grad), (ops.pad, ops.crop)]
)
def test_a_linear_op_and_its_adjoint_keep_the_inner_product(
    table: KernelTable, op: Op, back: Op, cases: Any
) -> None:
    @settings(max_examples=30, deadline=None, derandomize=True)
    @given(cases(op))
    def check(case: Any) -> None:
        x = case.arrays[0].astype("float64")
        y = run(table, op, x, **case.attrs)
        dy = RNG.normal(size=y.shape)
        inputs = [dy, x] if len(back.inputs) == 2 else [dy]
        dx = run(table, back, *inputs, **case.attrs)
        np.testing.assert_allclose(np.vdot(y, dy), np.vdot(x, dx), rtol=1e-9, atol=1e-9)

    check()


CHAINS = [
    (ops.conv2d, [(2, 3, 7, 6), (4, 3, 3, 3), (4,)], {"padding": (1, 1, 1, 1)}),
    (ops.conv2d, [(2, 3, 7, 6), (4, 3, 3, 3)], {"padding": None, "strides": (2, 2)}),
    (ops.conv2d_input_grad, [(2, 4, 7, 6), (4, 3, 3, 3), (2, 3, 7, 6)], {"padding": (1, 1, 1, 1)}),
    (ops.conv2d_weight_grad, [(2, 4, 7, 6), (2, 3, 7, 6), (4, 3, 3, 3)], {"padding": (1, 1, 1, 1)}),
    (ops.conv2d, [(2, 4, 7, 6), (4, 2, 3, 2)], {"groups": 2, "dilations": (2, 3)}),
    (ops.max_pool2d, [(2, 3, 7, 6)], {"ksize": (2, 2), "strides": (2, 2)}),
    (ops.avg_pool2d, [(2, 3, 7, 6)], {"ksize": (3, 2), "padding": (1, 0, 0, 1)}),
    (ops.avg_pool2d_grad, [(2, 3, 3, 3), (2, 3, 7, 6)], {"ksize": (2, 2), "strides": (2, 2)}),
    (ops.batch_norm, [(2, 3, 7, 6), (3,), (3,), (3,), (3,)], {}),
    (ops.batch_norm_grad, [(2, 3, 7, 6), (2, 3, 7, 6), (3,), (3,), (3,)], {}),
    (ops.pad, [(2, 3, 7, 6)], {"dim": 1, "pad": -2}),
    (ops.crop, [(2, 3, 7, 6)], {"dim": 2, "pad": 2}),
    (ops.flatten_layer, [(2, 3, 7, 6)], {}),
]


@pytest.mark.parametrize(("op", "given", "attrs"), CHAINS, ids=lambda x: getattr(x, "name", None))
@pytest.mark.parametrize("strides", ["channels last", "reversed", "every second"])
def test_torch_kernels_take_images_with_any_strides(
    op: Op, given: Any, attrs: Any, strides: str
) -> None:
    arrays = [torch.from_numpy(np.abs(normal(*shape))) for shape in given]
    checked = op.check_attrs(attrs)
    expected = TORCH[op].run(*arrays, **checked)
    got = TORCH[op].run(*(_strided(array, strides) for array in arrays), **checked)
    for a, b in zip(*(r if isinstance(r, tuple) else (r,) for r in (got, expected))):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-5)


def _strided(array: torch.Tensor, how: str) -> torch.Tensor:
    """The same numbers, elsewhere in memory."""
    if array.dim() != 4:
        return array
    if how == "channels last":
        return array.contiguous(memory_format=torch.channels_last)
    if how == "reversed":
        return array.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0)
    return array.repeat_interleave(2, 3)[:, :, :, ::2]


@pytest.mark.parametrize("op", [ops.avg_pool2d, ops.avg_pool2d_grad, ops.max_pool2d_grad])
@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 1, 0)])
def test_pools_fill_an_array_of_any_strides(op: Op, padding: Any) -> None:
    x, window = torch.from_numpy(normal(2, 3, 8, 8)), {"ksize": (2, 2), "strides": (2, 2)}
    attrs = {"padding": padding, **window}
    dy, index = TORCH[ops.max_pool2d].run(x, **ops.max_pool2d.check_attrs(attrs))
    inputs = {ops.avg_pool2d: [x], ops.avg_pool2d_grad: [dy, x]}.get(op, [dy, index, x])
    checked = op.check_attrs(attrs)
    expected = TORCH[op].run(*inputs, **checked)
    for there in ("channels last", "reversed"):
        out = _strided(torch.full_like(expected, 7), there)
        before = out.stride()
        last = [_strided(array, "channels last") for array in inputs]
        assert TORCH[op].run(*last, out=out, **checked) is out and out.stride() == before
        np.testing.assert_allclose(out.numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("op", [ops.conv2d, ops.max_pool2d, ops.avg_pool2d, ops.batch_norm])
def test_channels_last_stays_channels_last(op: Op) -> None:
    given = {op: (given, attrs) for op, given, attrs in reversed(CHAINS)}
    arrays = [torch.from_numpy(np.abs(normal(*shape))) for shape in given[op][0]]
    arrays[0] = arrays[0].contiguous(memory_format=torch.channels_last)
    attrs = op.check_attrs(given[op][1])
    if op is ops.avg_pool2d:
        attrs = op.check_attrs({"ksize": (2, 2)})
    result = TORCH[op].run(*arrays, **attrs)
    y = result[0] if isinstance(result, tuple) else result
    assert y.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("op", [ops.conv2d, ops.max_pool2d, ops.avg_pool2d, ops.batch_norm])
def test_bfloat16_is_close_to_float32(op: Op) -> None:
    given = {op: (given, attrs) for op, given, attrs in reversed(CHAINS)}[op]
    arrays = [torch.from_numpy(np.abs(normal(*shape))) for shape in given[0]]
    attrs = op.check_attrs(given[1])
    wide, low = (TORCH[op].run(*a, **attrs) for a in (arrays, [x.bfloat16() for x in arrays]))
    y, x = (r[0] if isinstance(r, tuple) else r for r in (low, wide))
    assert y.dtype is torch.bfloat16
    torch.testing.assert_close(y.float(), x, rtol=5e-2, atol=5e-2)


def test_an_error_of_inference_names_the_node() -> None:
    from tinyflow.ir import Graph
    from tinyflow.passes import infer

    x = ops.placeholder(dtype="float32", shape=SIX)
    w = ops.placeholder(dtype="float32", shape=(4, 3, 9, 9))
    with pytest.raises(TinyflowError, match=r"conv2d 'first' \(test_images.*window 9"):
        infer(Graph((ops.conv2d(x, w, name="first"),)))
