"""Kernel tables: entries, and how arrays enter and leave a backend."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tinyflow import ops
from tinyflow.backends.numpy_ import NUMPY
from tinyflow.backends.table import WITHOUT_KERNEL, Kernel, KernelTable
from tinyflow.backends.torch_ import TORCH
from tinyflow.errors import DTypeError, RunError
from tinyflow.ir import Op
from tinyflow.types import DType

BACKENDS = [NUMPY, TORCH]
each_backend = pytest.mark.parametrize("table", BACKENDS, ids=lambda table: table.name)
STRANGE = Op("strange", ("x",), ops.exp.shape, ops.exp.dtype)


def test_both_backends_have_the_same_ops() -> None:
    assert set(NUMPY) == set(TORCH)


@each_backend
def test_a_missing_kernel_names_op_backend_and_what_to_do(table: KernelTable) -> None:
    with pytest.raises(RunError, match=f"'strange' has no kernel for {table.name}.*table.add"):
        table[STRANGE]
    assert STRANGE not in table


@each_backend
@pytest.mark.parametrize("op", WITHOUT_KERNEL, ids=lambda op: op.name)
def test_an_op_without_kernel_says_why(table: KernelTable, op: Op) -> None:
    with pytest.raises(RunError) as caught:
        table[op]
    assert WITHOUT_KERNEL[op] in str(caught.value)


@each_backend
def test_an_op_has_one_kernel(table: KernelTable) -> None:
    with pytest.raises(RunError, match="'add' has a kernel"):
        table.add(ops.add, Kernel(lambda x, y, out=None: x))


@each_backend
@pytest.mark.parametrize("dtype", [d for d in DType if d is not DType.bfloat16])
def test_arrays_go_in_and_out_as_copies(table: KernelTable, dtype: DType) -> None:
    given = np.array([[0, 1], [2, 3]])
    given.flags.writeable = False
    array = table.from_numpy(given, dtype)
    back = table.to_numpy(array)
    assert table.dtype_of(array) is dtype
    assert back.dtype == dtype.numpy
    np.testing.assert_array_equal(back, given.astype(dtype.numpy))
    back[...] = 1
    np.testing.assert_array_equal(table.to_numpy(array), given.astype(dtype.numpy))
    assert table.to_numpy(table.from_numpy(np.array(2.5), DType.float64)).shape == ()


@each_backend
@pytest.mark.filterwarnings("error")
def test_a_feed_may_be_read_only_reversed_strided_or_empty(table: KernelTable) -> None:
    plain = np.arange(6.0).reshape(2, 3)
    fixed = plain.copy()
    fixed.flags.writeable = False
    for feed in (plain, fixed, plain[::-1], plain.T, plain[:, ::2], plain[:0], np.array(1.0)):
        np.testing.assert_array_equal(table.to_numpy(table.from_feed(feed)), feed)


@each_backend
def test_new_arrays_have_the_shape_and_dtype_asked_for(table: KernelTable) -> None:
    array = table.empty((2, 0), DType.int32)
    assert tuple(array.shape) == (2, 0) and table.dtype_of(array) is DType.int32


@each_backend
def test_views_share_storage_and_copies_do_not(table: KernelTable) -> None:
    x = table.from_numpy(np.arange(6).reshape(2, 3), DType.float32)
    assert table.shares_storage(x, table.transpose(x))
    assert table.shares_storage(x, table[ops.reshape].run(x, shape=(3, None)))
    assert not table.shares_storage(x, table[ops.identity].run(x))


@each_backend
def test_source_expressions_do_what_the_methods_do(table: KernelTable) -> None:
    x = table.from_numpy(np.arange(6).reshape(2, 3), DType.float32)
    target = table.empty((3, 2), DType.float32)
    names = {"x": x, "target": target}
    exec(table.copy_source("target", table.transpose_source("x")), dict(table.namespace), names)
    np.testing.assert_array_equal(table.to_numpy(target), table.to_numpy(x).T)


@each_backend
def test_the_result_of_an_assignment_goes_into_the_variable_it_is_given(table: KernelTable) -> None:
    variable = table.from_numpy(np.zeros(3), DType.float32)
    value = table.from_numpy(np.arange(3), DType.float32)
    new = table[ops.assign].run(variable, value)
    assert not table.shares_storage(new, value) and not table.shares_storage(new, variable)
    assert table[ops.assign].run(variable, value, out=variable) is variable
    np.testing.assert_array_equal(table.to_numpy(variable), [0, 1, 2])
    assert table[ops.assign].run(None, value).dtype == value.dtype  # not initialised yet


def test_bfloat16_computes_in_torch_and_never_reaches_numpy() -> None:
    x = TORCH.from_numpy(np.array([1.0, 2.0]), DType.bfloat16)
    assert TORCH.dtype_of(TORCH[ops.exp].run(x)) is DType.bfloat16
    with pytest.raises(DTypeError, match="numpy has no bfloat16.*Cast to float32"):
        TORCH.to_numpy(x)
    with pytest.raises(DTypeError, match="numpy has no bfloat16"):
        NUMPY.empty((2,), DType.bfloat16)
    with pytest.raises(DTypeError, match="numpy has no bfloat16"):
        NUMPY[ops.cast].run(np.ones(2), dtype=DType.bfloat16)


def test_inference_records_no_gradients() -> None:
    with TORCH.inference():
        assert torch.is_inference_mode_enabled()
    with NUMPY.inference():
        assert np.geterr()["divide"] == "ignore"
