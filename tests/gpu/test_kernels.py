"""Kernels on a GPU compute what they compute on the CPU, in place and fused too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings

from tinyflow.backends.cuda import GpuTable
from tinyflow.backends.table import WITHOUT_KERNEL
from tinyflow.backends.torch_ import TORCH
from tinyflow.errors import RunError
from tinyflow.ir import Op
from tinyflow.ops import OPS
from tinyflow.types import as_dtype

from ..ops.conftest import Case, _cases

COMPUTED = [op for op in OPS.values() if op not in WITHOUT_KERNEL]
each_op = pytest.mark.parametrize("op", COMPUTED, ids=lambda op: op.name)
quick = settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
TOLERANCE = {"float16": 1e-2, "float32": 1e-3, "float64": 1e-10}  # convolutions in TF32


def results(table: Any, case: Case, given_out: bool = False) -> list[np.ndarray]:
    arrays = [table.from_numpy(array, as_dtype(array.dtype)) for array in case.inputs]
    out = None
    if given_out:
        out = table.empty(case.out_shapes[0], case.out_dtypes[0])
    extra = {} if out is None else {"out": out}
    made = table[case.op].run(*arrays, **case.kwargs, **extra)
    assert out is None or made is out
    made = made if isinstance(made, tuple) else (made,)
    assert all(array.device.type == table.device.type for array in made)
    return [table.to_numpy(array) for array in made]


@each_op
def test_a_kernel_computes_what_it_computes_on_the_cpu(op: Op, gpu: torch.device) -> None:
    table = GpuTable(gpu)

    @quick
    @given(_cases(op))
    def check(case: Case) -> None:
        for given_out in (False, case.outputs == 1 and TORCH[op].writes_out):
            pairs = zip(results(table, case, given_out), results(TORCH, case), strict=True)
            for got, expected in pairs:
                tolerance = TOLERANCE.get(str(expected.dtype), 0)
                assert got.dtype == expected.dtype
                np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)

    with np.errstate(all="ignore"):
        check()


@pytest.mark.parametrize("dtype", ["int64", "int32", "float32"])
def test_wrong_labels_and_ids_are_named_and_the_device_lives_on(
    dtype: str, gpu: torch.device
) -> None:
    table = GpuTable(gpu)
    wrong = table.from_numpy(np.array([0, 3]), as_dtype(dtype))
    x = table.from_numpy(np.ones((2, 3)), as_dtype("float32"))
    loss = OPS["mean_sparse_softmax_cross_entropy_with_logits"]
    slope = OPS["sparse_softmax_cross_entropy_grad"]
    one = table.from_numpy(np.ones(()), as_dtype("float32"))
    for op, inputs in ((loss, (x, wrong)), (slope, (one, x, wrong))):
        with pytest.raises(RunError, match="label 3.* at position 1; expected an integer from 0"):
            table[op].run(*inputs, **op.check_attrs({}))
    gather = OPS["gather"]
    with pytest.raises(RunError, match="id 3.* at position 1; expected an integer from 0 to 1"):
        table[gather].run(x, wrong, **gather.check_attrs({}))
    np.testing.assert_array_equal(table.to_numpy(x), np.ones((2, 3)))
