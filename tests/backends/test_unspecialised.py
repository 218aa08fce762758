"""Kernels under the interpreter, on graphs that no pass has typed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinyflow import ops
from tinyflow.backends.numpy_ import NUMPY
from tinyflow.backends.table import KernelTable
from tinyflow.backends.torch_ import TORCH
from tinyflow.ir import Graph, Value
from tinyflow.runtime.interpreter import interpret

pytestmark = pytest.mark.parametrize("table", [NUMPY, TORCH], ids=lambda table: table.name)


def run(table: KernelTable, value: Value) -> Any:
    return table.to_numpy(interpret(Graph((value,)), kernels=table)[0])


def test_numbers_stay_weak_through_ops_among_themselves(table: KernelTable) -> None:
    x = ops.constant([2.0, 3.0])
    exponent = ops.sub(ops.constant(2), 1.5)
    y = run(table, ops.pow(x, ops.mul(exponent, 2.0)))
    assert y.dtype == "float32"
    np.testing.assert_array_equal(y, [2, 3])


def test_a_number_alone_gets_the_default_dtype(table: KernelTable) -> None:
    assert run(table, ops.constant(0.5)).dtype == "float32"
    assert run(table, ops.add(ops.constant(1), 2)).dtype == "int32"
    assert run(table, ops.equal(ops.constant(1), 1)).dtype == "bool"


def test_integers_and_truth_values_are_cast_as_specialise_would(table: KernelTable) -> None:
    whole, truth = ops.constant([1, 2]), ops.constant([True, False])
    assert run(table, ops.div(whole, whole)).dtype == "float32"
    assert run(table, ops.exp(whole)).dtype == "float32"
    np.testing.assert_array_equal(run(table, ops.add(truth, truth)), np.float32([2, 0]))
    assert run(table, ops.softmax(whole)).dtype == "float32"
    assert run(table, ops.reduce_mean(truth)) == 0.5


def test_like_inputs_may_be_numbers(table: KernelTable) -> None:
    x = ops.constant([2.0, 3.0])
    assert run(table, ops.sum_like(x, ops.constant(1.0))) == 5
    np.testing.assert_array_equal(run(table, ops.broadcast_like(ops.constant(7), x)), [7, 7])
