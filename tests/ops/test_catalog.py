"""The catalog, what a row must say, constants, and ops that come from outside."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from tinyflow import ops
from tinyflow.adjoints import ADJOINTS, AdjointTable
from tinyflow.backends.numpy_ import NUMPY
from tinyflow.backends.table import Kernel
from tinyflow.errors import DTypeError, GraphError
from tinyflow.ir import CONSTANT, Graph, Op, from_json, parse, text, to_json
from tinyflow.ops import OPS, Catalog, catalog
from tinyflow.runtime.interpreter import interpret
from tinyflow.types import DType

each_op = pytest.mark.parametrize("op", OPS.values(), ids=lambda op: op.name)

EXPECTED = """
    placeholder variable constant assign group identity stop_gradient with_gradient normal
    truncated_normal uniform uniform_like less less_equal greater_equal not_equal maximum minimum
    abs where concat split split_like slice slice_grad gather gather_grad cumsum expand_dims squeeze
    batch_matmul layer_norm layer_norm_grad erf rsqrt gelu gelu_grad reduce_min add sub mul div pow
    equal greater neg exp log sqrt tanh sigmoid relu relu_grad tanh_grad sigmoid_grad cast cast_like
    zeros_like ones_like reduce_sum reduce_mean reduce_max argmax size matmul gemm linear reshape
    reshape_like transpose broadcast_to broadcast_like sum_like zeros ones softmax log_softmax
    softmax_grad log_softmax_grad mean_sparse_softmax_cross_entropy_with_logits
    sparse_softmax_cross_entropy_grad softmax_cross_entropy_with_logits
    mean_softmax_cross_entropy_with_logits fused conv2d conv2d_input_grad conv2d_weight_grad pad
    crop flatten_layer max_pool2d max_pool2d_grad max_pool2d_take avg_pool2d avg_pool2d_grad
    batch_norm batch_norm_grad checked_labels copy_to reduce_prod recurrence
"""


def test_the_catalog_holds_the_ops_of_the_course() -> None:
    assert set(OPS) == set(EXPECTED.split())


@each_op
def test_an_op_is_exported_under_its_name(op: Op) -> None:
    assert OPS[op.name] is op
    if op is not CONSTANT:  # its name is the function that makes one
        assert getattr(ops, op.name) is op


@each_op
def test_a_row_explains_itself(op: Op) -> None:
    assert op.doc.endswith(".")
    assert all(attribute.doc for attribute in op.attributes.values())
    pairs = () if callable(op.inplace) else op.inplace
    for position, output in (*pairs, *op.aliases):
        assert position < len(op.inputs) and output == 0
    assert all(position < len(op.inputs) for position in op.shape_only | op.mutates)


@each_op
def test_every_op_has_an_adjoint_or_a_reason(op: Op) -> None:
    assert op in ADJOINTS


@each_op
def test_every_op_survives_both_text_forms(op: Op, cases: Any) -> None:
    if op.leaf or op.name == "group":
        return

    @settings(max_examples=5, deadline=None, derandomize=True)
    @given(cases(op))
    def check(case: Any) -> None:
        leaves = [ops.variable(dtype=d, name=f"v{i}") for i, d in enumerate(case.dtypes)]
        graph = Graph(op.node(leaves, case.attrs).outputs)
        assert text(parse(text(graph), OPS)) == text(graph)
        assert text(from_json(to_json(graph), OPS)) == text(graph)

    check()


def test_a_name_is_given_once() -> None:
    mine = catalog(ops.elementwise)
    assert mine["add"] is ops.add and "matmul" not in mine
    assert mine.add(ops.add) is ops.add
    with pytest.raises(GraphError, match="'add' already; expected a new name"):
        mine.add(Op("add", ("x",), ops.exp.shape, ops.exp.dtype))
    with pytest.raises(KeyError):
        Catalog()["add"]


@pytest.mark.parametrize(
    ("value", "dtype", "stored", "numpy_dtype"),
    [
        (2, None, None, "int64"),
        (0.5, "float16", DType.float16, "float16"),
        ([1, 2], None, DType.int32, "int32"),
        ([1.0, 2.0], None, DType.float32, "float32"),
        ([True], None, DType.bool, "bool"),
        (np.ones(2), None, DType.float64, "float64"),
        (np.float16(2), None, DType.float16, "float16"),
        ([1, 2], "bfloat16", DType.bfloat16, "int64"),
    ],
)
def test_a_constant_has_the_dtype_of_its_content(
    value: Any, dtype: Any, stored: Any, numpy_dtype: str
) -> None:
    node = ops.constant(value, dtype=dtype).node
    assert node.attrs["dtype"] is stored
    assert node.attrs["value"].dtype == numpy_dtype
    assert not node.attrs["value"].flags.writeable


def test_a_constant_of_a_value_is_that_value() -> None:
    x = ops.placeholder(dtype="float32")
    assert ops.constant(x) is x


@pytest.mark.parametrize("value", ["text", [1, "a"], [1j], np.ones(2, "uint8")])
def test_a_constant_that_is_not_numbers_is_refused(value: Any) -> None:
    with pytest.raises((DTypeError, GraphError), match="unsupported dtype"):
        ops.constant(value)


def test_an_op_from_outside_needs_no_edit_inside() -> None:
    cube = Op("cube", ("x",), ops.exp.shape, ops.exp.dtype, doc="y = x ** 3.")
    rows = catalog(ops.elementwise, ops.state)
    rows.add(cube)
    kernels = type(NUMPY)("numpy and cube", NUMPY, NUMPY.namespace)
    kernels.add(cube, Kernel(lambda x, out=None: np.asarray(x**3)))
    adjoints = AdjointTable(ADJOINTS)
    adjoints.add(cube, lambda node, dy: (ops.mul(dy, ops.mul(node.inputs[0], 3.0)),))
    x = ops.variable(dtype="float32", name="x")
    graph = parse(text(Graph((cube(x),))), rows)
    (y,) = interpret(graph, variables={"x": np.array([2.0], "float32")}, kernels=kernels)
    assert y == [8.0] and cube in adjoints and cube not in ADJOINTS
