"""Every kernel of both backends: right numbers, and the promises that the executor relies on."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from tinyflow.backends.numpy_ import NUMPY
from tinyflow.backends.table import WITHOUT_KERNEL, KernelTable
from tinyflow.backends.torch_ import TORCH
from tinyflow.ops import OPS
from tinyflow.types import DType, as_dtype

from .images import ORACLES as IMAGES
from .parts import ORACLES as PARTS
from .parts import erf

COMPUTED = [op for op in OPS.values() if op not in WITHOUT_KERNEL]
BACKENDS = [NUMPY, TORCH]
TOLERANCE = {"float16": 2e-2, "float32": 2e-5, "float64": 1e-12}
quick = settings(max_examples=12, deadline=None, derandomize=True)
thorough = settings(quick, max_examples=25)
each_op = pytest.mark.parametrize("op", COMPUTED, ids=lambda op: op.name)
each_backend = pytest.mark.parametrize("table", BACKENDS, ids=lambda table: table.name)

torch.set_num_threads(1)


# --- oracles: the definitions, in float64 or element by element, by other functions than a kernel's


def rowwise(compute: Callable[..., Any]) -> Callable[..., np.ndarray]:
    """Apply ``compute`` to each line of its arrays along ``axis``."""

    def oracle(*arrays: np.ndarray, axis: int) -> np.ndarray:
        result = np.empty(arrays[0].shape)
        moved = [np.moveaxis(array, axis, -1) for array in arrays]
        for index in np.ndindex(moved[0].shape[:-1]):
            np.moveaxis(result, axis, -1)[index] = compute(*(m[index] for m in moved))
        return result

    return oracle


def probabilities(row: np.ndarray) -> np.ndarray:
    powers = [math.exp(value) for value in row]
    return np.array([power / math.fsum(powers) for power in powers])


def jacobian_product(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    return dy @ (np.diag(y) - np.outer(y, y))  # of the softmax with result y; it is symmetric


def reduction(collect: Callable[[list[float]], float]) -> Callable[..., np.ndarray]:
    def oracle(x: np.ndarray, reduction_indices: tuple | None, keepdims: bool) -> np.ndarray:
        axes = (
            range(x.ndim) if reduction_indices is None else {a % x.ndim for a in reduction_indices}
        )
        shape = [1 if i in axes else dim for i, dim in enumerate(x.shape)]
        groups: dict[tuple, list] = {index: [] for index in np.ndindex(*shape)}
        for index in np.ndindex(*x.shape):
            groups[tuple(0 if i in axes else at for i, at in enumerate(index))].append(x[index])
        result = np.empty(shape)
        for index, members in groups.items():
            result[index] = collect(members)
        return (
            result
            if keepdims
            else result.reshape([d for i, d in enumerate(shape) if i not in axes])
        )

    return oracle


def size(x: np.ndarray, reduction_indices: tuple | None) -> int:
    axes = range(x.ndim) if reduction_indices is None else reduction_indices
    return math.prod(x.shape[axis] for axis in axes)


def mean(values: list[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def product(a: np.ndarray, b: np.ndarray, transpose_a: bool, transpose_b: bool) -> np.ndarray:
    return np.einsum(f"{'ki' if transpose_a else 'ik'},{'jk' if transpose_b else 'kj'}->ij", a, b)


def gemm(c: Any, a: Any, b: Any, alpha: float, beta: float, **transposes: bool) -> np.ndarray:
    return alpha * product(a, b, **transposes) + beta * c


def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    flat = np.array([row.ravel() for row in x]).reshape(len(x), weight.shape[1])
    return np.einsum("nk,mk->nm", flat, weight) + (0 if bias is None else bias)


def refill(x: np.ndarray, shape: tuple) -> np.ndarray:
    """Count through the elements."""
    known = math.prod(dim for dim in shape if dim is not None)
    result = np.empty([x.size // known if dim is None else dim for dim in shape])
    for place, value in zip(np.ndindex(result.shape), x.ravel().tolist(), strict=True):
        result[place] = value
    return result


def sum_like(x: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Add every element of x to the element of the result that broadcasting would read there."""
    result = np.zeros(like.shape)
    place = np.broadcast_to(np.arange(result.size).reshape(like.shape), x.shape)
    np.add.at(result.reshape(-1), place.ravel(), x.ravel())
    return result


def broadcast_like(
    x: Any, like: Any, reduction_indices: tuple | None, keepdims: bool
) -> np.ndarray:
    if not keepdims:
        axes = (
            range(like.ndim)
            if reduction_indices is None
            else {a % like.ndim for a in reduction_indices}
        )
        x = x.reshape([1 if i in axes else dim for i, dim in enumerate(like.shape)])
    return x * np.ones(like.shape)


def sparse_loss(logits: np.ndarray, labels: np.ndarray, normalised: bool) -> float:
    return mean([-math.log(probabilities(row)[int(l)]) for row, l in zip(logits, labels)])


def sparse_grad(dy: Any, logits: Any, labels: Any, normalised: bool) -> np.ndarray:
    chosen = np.eye(logits.shape[1])[labels.astype(int)]
    rows = [probabilities(row) for row in logits]
    return float(dy) * (np.array(rows).reshape(logits.shape) - chosen) / max(len(rows), 1)


def dense_loss(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    logs = rowwise(lambda row: np.log(probabilities(row)))(logits, axis=-1)
    return -np.einsum("...c,...c", logs, labels)


def fused(x0: np.ndarray, x1: np.ndarray, body: Any) -> np.ndarray:
    y = 1 - 2 / (np.exp(2 * x0 * x1) + 1) - x0
    return y if body.outputs[0].node.op.name == "sub" else y @ np.ones(y.shape[-1])


ORACLES: dict[str, Callable[..., Any]] = {
    **IMAGES,
    **PARTS,
    "identity": lambda x: x,
    "copy_to": lambda x, device: x,
    "stop_gradient": lambda x: x,
    "with_gradient": lambda y, *xs, backward: y,
    "assign": lambda variable, value: value,
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x * (1 / y),
    "pow": lambda x, y: np.where(y == 0, 1, np.exp(y * np.log(x))),
    "equal": lambda x, y: ~((x < y) | (x > y)),
    "greater": lambda x, y: ~(x <= y),
    "neg": lambda x: 0 - x,
    "exp": lambda x: math.e**x,
    "log": lambda x: np.log2(x) / np.log2(math.e),
    "sqrt": lambda x: np.where(x < 0, np.nan, abs(x)) ** 0.5,
    "tanh": lambda x: 1 - 2 / (np.exp(2 * x) + 1),
    "sigmoid": lambda x: 0.5 + 0.5 * np.tanh(x / 2),
    "relu": lambda x: x * (x > 0),
    "relu_grad": lambda dy, y: dy * (y > 0),
    "tanh_grad": lambda dy, y: dy - dy * y**2,
    "sigmoid_grad": lambda dy, y: dy * (y - y**2),
    "zeros_like": lambda x: x * 0,
    "ones_like": lambda x: x * 0 + 1,
    "reduce_sum": reduction(math.fsum),
    "reduce_mean": reduction(mean),
    "reduce_prod": reduction(math.prod),
    "reduce_max": reduction(max),
    "reduce_min": reduction(min),
    "argmax": lambda x, axis: np.argsort(-x, axis=axis, kind="stable").take(0, axis=axis),
    "size": size,
    "fused": fused,
    "matmul": product,
    "gemm": gemm,
    "linear": linear,
    "reshape": lambda x, shape: refill(x, shape),
    "reshape_like": lambda x, like: refill(x, like.shape),
    "transpose": lambda x, perm: np.moveaxis(x, perm or range(x.ndim)[::-1], range(x.ndim)),
    "broadcast_to": lambda x, shape: x * np.ones(shape),
    "broadcast_like": broadcast_like,
    "sum_like": sum_like,
    "zeros": lambda shape, dtype: np.array(0).repeat(math.prod(shape)).reshape(shape),
    "ones": lambda shape, dtype: np.array(1).repeat(math.prod(shape)).reshape(shape),
    "softmax": rowwise(probabilities),
    "log_softmax": rowwise(lambda row: np.log(probabilities(row))),
    "softmax_grad": rowwise(jacobian_product),
    "log_softmax_grad": rowwise(lambda dy, y: dy @ (np.eye(len(y)) - np.exp(y))),
    "mean_sparse_softmax_cross_entropy_with_logits": sparse_loss,
    "sparse_softmax_cross_entropy_grad": sparse_grad,
    "checked_labels": lambda x, hits, labels, classes: x,
    "softmax_cross_entropy_with_logits": dense_loss,
    "mean_softmax_cross_entropy_with_logits": lambda x, t: mean(dense_loss(x, t).ravel().tolist()),
}  # fmt: skip


SCALAR = {
    **{name: getattr(np, name) for name in ("exp", "log", "sqrt", "tanh", "where")},
    **{name: getattr(np, name) for name in ("abs", "maximum", "minimum")},
    "erf": erf,
    "rsqrt": lambda x: 1 / np.sqrt(x),
}


def computed(table: KernelTable, case: Any, out: Any = None) -> Any:
    return table[case.op].run(*prepared(table, case), out=out, **case.kwargs)


def each_result(case: Any, result: Any) -> list[Any]:
    """The results of an op one by one, of which most ops have one."""
    results = list(result) if case.outputs > 1 else [result]
    assert len(results) == case.outputs
    return results


def prepared(table: KernelTable, case: Any) -> list[Any]:
    return [table.from_numpy(array, as_dtype(array.dtype)) for array in case.inputs]


def output(table: KernelTable, case: Any) -> Any:
    """An array for the result, full of other numbers."""
    out = table.empty(case.out_shapes[0], case.out_dtypes[0])
    out[...] = 7
    return out


def assert_close(got: np.ndarray, expected: Any, dtype: DType) -> None:
    tolerance = TOLERANCE.get(str(dtype), 0)
    assert got.shape == np.shape(expected)
    np.testing.assert_allclose(
        got.astype("float64"), np.asarray(expected, "float64"), rtol=tolerance, atol=tolerance
    )


def assert_same(got: Any, expected: Any, table: KernelTable) -> None:
    np.testing.assert_array_equal(table.to_numpy(got), table.to_numpy(expected))


@each_op
def test_every_op_has_a_kernel_on_every_backend_or_a_reason(op: Any) -> None:
    assert all(op in table for table in BACKENDS)
    assert all(WITHOUT_KERNEL.values())


@each_backend
@each_op
def test_a_kernel_computes_the_definition(op: Any, table: KernelTable, cases: Any) -> None:
    if op.random or "cast" in op.name:  # these have tests of their own
        return

    @thorough
    @given(cases(op))
    def check(case: Any) -> None:
        with np.errstate(all="ignore"):
            wide = [array.astype("float64") for array in case.inputs]
            expected = each_result(case, ORACLES[op.name](*wide, **case.attrs))
        found = each_result(case, computed(table, case))
        for got, wanted, dtype in zip(found, expected, case.out_dtypes):
            assert_close(table.to_numpy(got), wanted, dtype)

    check()


@each_backend
@each_op
def test_the_result_has_the_shape_and_dtype_that_the_rules_say(
    op: Any, table: KernelTable, cases: Any
) -> None:
    @quick
    @given(cases(op))
    def check(case: Any) -> None:
        results = each_result(case, computed(table, case))
        assert [tuple(result.shape) for result in results] == case.out_shapes
        assert [table.dtype_of(result) for result in results] == case.out_dtypes

    check()


@each_backend
@each_op
def test_a_kernel_keeps_its_inputs_and_returns_new_memory(
    op: Any, table: KernelTable, cases: Any
) -> None:
    @quick
    @given(cases(op))
    def check(case: Any) -> None:
        arrays = prepared(table, case)
        before = [table.to_numpy(array) for array in arrays]
        results = each_result(case, table[op].run(*arrays, **case.kwargs))
        views = {position for position, _ in op.aliases if position not in op.mutates}
        for position, (array, old) in enumerate(zip(arrays, before)):
            np.testing.assert_array_equal(table.to_numpy(array), old)
            if position not in views and old.size:
                assert not any(table.shares_storage(result, array) for result in results)

    check()


@each_backend
@each_op
def test_a_kernel_fills_and_returns_the_array_it_is_given(
    op: Any, table: KernelTable, cases: Any
) -> None:
    @quick
    @given(cases(op))
    def check(case: Any) -> None:
        if case.outputs > 1:  # these are never given one
            return
        out = output(table, case)
        assert computed(table, case, out) is out
        assert_same(out, computed(table, case), table)

    check()


@each_backend
@each_op
def test_a_result_may_replace_an_input_where_the_op_says_so(
    op: Any, table: KernelTable, cases: Any
) -> None:
    @quick
    @given(cases(op))
    def check(case: Any) -> None:
        expected = computed(table, case)
        for position, _ in op.inplace_pairs(case.kwargs):
            arrays = prepared(table, case)
            target = arrays[position]
            fits = tuple(target.shape) == case.out_shapes[0]
            if fits and table.dtype_of(target) is case.out_dtypes[0]:
                assert_same(table[op].run(*arrays, out=target, **case.kwargs), expected, table)

    check()


@each_op
def test_the_template_computes_what_the_kernel_computes(op: Any, cases: Any) -> None:
    kernel = TORCH[op]
    if kernel.template is None:
        return

    @quick
    @given(cases(op))
    def check(case: Any) -> None:
        arrays = prepared(TORCH, case)
        template = kernel.template(case.attrs, [tuple(array.shape) for array in arrays])
        if template is None:  # not for these attributes or shapes
            return
        assert ("{out}" in template) == kernel.writes_out
        names = {f"x{i}": array for i, array in enumerate(arrays)}
        names |= {f"x{i}t": array.t() for i, array in enumerate(arrays) if array.dim() == 2}
        names |= {f"a_{key}": value for key, value in case.attrs.items()} | {
            "out": output(TORCH, case)
        }
        source = re.sub(r"\{(\d+t?)\}", r"x\1", template).replace("{@", "a_").replace("}", "")
        result = eval(source.replace("{", ""), dict(TORCH.namespace), names)
        if kernel.writes_out:
            assert TORCH.shares_storage(result, names["out"])
        for got, expected in zip(
            each_result(case, result), each_result(case, computed(TORCH, case))
        ):
            assert_same(got, expected, TORCH)

    check()


@each_op
def test_the_scalar_expression_is_what_the_kernel_computes(op: Any, cases: Any) -> None:
    if op.expr is None or op.name == "cast":  # a fused kernel converts to the dtype of the result
        return

    @quick
    @given(cases(op))
    def check(case: Any) -> None:
        shaped = np.broadcast_arrays(*case.inputs)
        expected = NUMPY.to_numpy(computed(NUMPY, case))
        for index in np.ndindex(expected.shape):
            values = dict(zip(op.inputs, (array[index] for array in shaped), strict=True))
            with np.errstate(all="ignore"):
                got = eval(
                    op.expr,
                    SCALAR,
                    values,
                )
            assert_close(np.asarray(got), expected[index], case.out_dtypes[0])

    check()
