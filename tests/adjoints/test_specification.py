"""The worked examples and conventions that the docstrings of the graded rules promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinyflow import ops
from tinyflow.adjoints import ADJOINTS, elementwise, layout, linalg, nn, reduction
from tinyflow.ir import Graph
from tinyflow.runtime.interpreter import interpret

GRADED = (
    elementwise.mul_adjoint,
    elementwise.div_adjoint,
    elementwise.pow_adjoint,
    elementwise.relu_adjoint,
    elementwise.tanh_adjoint,
    linalg.matmul_adjoint,
    reduction.reduce_sum_adjoint,
    layout.broadcast_to_adjoint,
    nn.mean_sparse_softmax_cross_entropy_with_logits_adjoint,
)


def adjoints(op, *inputs, dy, **attrs):
    """Arrays that the rule of ``op`` gives at ``inputs``, all float64 placeholders."""
    arrays = [np.asarray(a, np.float64) for a in (*inputs, dy)]
    leaves = [ops.placeholder(dtype="float64") for _ in arrays]
    node = op(*leaves[:-1], **attrs).node
    found = [dx for dx in ADJOINTS[op](node, leaves[-1]) if dx is not None]
    return interpret(Graph(found), dict(zip(leaves, arrays)))


@pytest.mark.parametrize("rule", GRADED, ids=lambda rule: rule.__name__)
def test_a_graded_rule_states_maths_inputs_example_and_source(rule):
    for part in ("∂L/∂", "``node.inputs`` is (", "Example: ", "Source: "):
        assert part in rule.__doc__, part


def test_mul_example():
    dx, dy = adjoints(ops.mul, [2, 3], [[5], [7]], dy=np.ones((2, 2)))
    np.testing.assert_array_equal(dx, [12, 12])
    np.testing.assert_array_equal(dy, [[5], [5]])


def test_div_example():
    dx, dy = adjoints(ops.div, [1, 6], 2, dy=[1, 10])
    np.testing.assert_array_equal(dx, [0.5, 5])
    np.testing.assert_array_equal(dy, -15.25)


def test_pow_example_and_its_convention_at_zero_and_below():
    dx, dy = adjoints(ops.pow, [3, 0, -2], 2, dy=[1, 1, 1])
    np.testing.assert_array_equal(dx, [6, 0, -4])
    np.testing.assert_allclose(dy, 9 * np.log(3))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_pow_at_the_edges():
    dx, dy = adjoints(ops.pow, [0, 0, np.inf, -3], [0, 1, 2, 2], dy=[1, 1, 1, 1])
    assert dx[1] == 1 and dx[2] == np.inf and dx[3] == -6
    assert np.isnan(dx[0])  # 0 * 0^-1, as documented
    np.testing.assert_array_equal(dy, [0, 0, np.inf, 0])


def test_tanh_example():
    (dx,) = adjoints(ops.tanh, [0, 1], dy=[3, 10])
    np.testing.assert_allclose(dx, [3, 4.19974], rtol=1e-5)


def test_relu_example():
    (dx,) = adjoints(ops.relu, [-1, 0, 2], dy=[5, 6, 7])
    np.testing.assert_array_equal(dx, [0, 0, 7])


def test_matmul_example():
    dx, dy = adjoints(ops.matmul, [[1, 2, 3]], [[1, 0], [0, 1], [2, 2]], dy=[[10, 1]])
    np.testing.assert_array_equal(dx, [[10, 1, 22]])
    np.testing.assert_array_equal(dy, [[10, 1], [20, 2], [30, 3]])


def test_reduce_sum_example():
    (dx,) = adjoints(ops.reduce_sum, np.ones((2, 3)), dy=[10, 20], reduction_indices=(1,))
    np.testing.assert_array_equal(dx, [[10, 10, 10], [20, 20, 20]])


def test_broadcast_to_example():
    (dx,) = adjoints(ops.broadcast_to, np.ones((3, 1)), dy=np.ones((2, 3, 4)), shape=(2, 3, 4))
    np.testing.assert_array_equal(dx, [[8], [8], [8]])


def test_cross_entropy_example():
    op = ops.mean_sparse_softmax_cross_entropy_with_logits
    (dx,) = adjoints(op, np.zeros((2, 2)), [0, 1], dy=4)
    np.testing.assert_array_equal(dx, [[-1, 1], [1, -1]])


def test_ties_of_a_maximum_share_the_adjoint():
    (dx,) = adjoints(ops.reduce_max, [[1, 3, 3], [2, 2, 2]], dy=[6, 9], reduction_indices=(1,))
    np.testing.assert_array_equal(dx, [[0, 3, 3], [3, 3, 3]])


@pytest.mark.parametrize("ta", [False, True])
@pytest.mark.parametrize("tb", [False, True])
def test_matmul_needs_one_product_per_adjoint(ta, tb):
    x, y, dy = (ops.placeholder(dtype="float32") for _ in range(3))
    node = ops.matmul(x, y, transpose_a=ta, transpose_b=tb).node
    for dx in ADJOINTS[ops.matmul](node, dy):
        assert dx.node.op is ops.matmul and len(Graph((dx,)).nodes) == 3


def test_rules_reuse_results_instead_of_computing_them_again():
    x, dy = ops.placeholder(dtype="float32"), ops.placeholder(dtype="float32")
    for op in (ops.exp, ops.sqrt, ops.tanh, ops.sigmoid, ops.softmax, ops.log_softmax):
        node = op(x).node
        (dx,) = ADJOINTS[op](node, dy)
        graph = Graph((dx,))
        assert node in graph.nodes
        assert [n.op for n in graph.nodes].count(op) == 1


def test_gradients_keep_the_dtype_of_what_they_belong_to():
    x = ops.placeholder(dtype="float32", name="x")
    wide = ops.cast(x, dtype="float64")
    (dx,) = ADJOINTS[ops.cast](wide.node, ops.ones_like(wide))
    assert interpret(Graph((dx,)), {x: np.ones(3, np.float32)})[0].dtype == np.float32


SHAPES = hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, min_side=0, max_side=3)


@settings(max_examples=60, deadline=None)
@given(SHAPES, st.sampled_from([ops.add, ops.sub, ops.mul, ops.div, ops.pow]))
def test_adjoints_of_any_broadcast_have_the_shapes_of_the_inputs(shapes, op):
    inputs = [np.full(shape, 1.5) for shape in shapes.input_shapes]
    found = adjoints(op, *inputs, dy=np.full(shapes.result_shape, 2.0))
    assert [a.shape for a in found] == list(shapes.input_shapes)


@settings(max_examples=60, deadline=None)
@given(SHAPES, st.integers(0, 2**32 - 1))
def test_the_adjoint_of_a_broadcast_product_is_the_sum_over_all_copies(shapes, seed):
    rng = np.random.default_rng(seed)
    x, y = (rng.normal(size=shape) for shape in shapes.input_shapes)
    dy = rng.normal(size=shapes.result_shape)
    dx = adjoints(ops.mul, x, y, dy=dy)[0]
    wanted = np.zeros(x.shape)  # the definition, one element at a time
    copies = np.broadcast_to(np.arange(x.size).reshape(x.shape), dy.shape)
    np.add.at(wanted.reshape(-1), copies.ravel(), (dy * y).ravel())
    np.testing.assert_allclose(dx, wanted, rtol=1e-12, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(hnp.array_shapes(min_dims=1, max_dims=4, max_side=3), st.booleans(), st.data())
def test_a_sum_gives_its_adjoint_to_each_element_it_took(shape, keepdims, data):
    axes = data.draw(hnp.valid_tuple_axes(len(shape)))
    dy = np.random.default_rng(0).normal(size=np.ones(shape).sum(axes, keepdims=keepdims).shape)
    (dx,) = adjoints(
        ops.reduce_sum, np.ones(shape), dy=dy, reduction_indices=axes, keepdims=keepdims
    )
    kept = dy if keepdims else np.expand_dims(dy, tuple(a % len(shape) for a in axes))
    np.testing.assert_array_equal(dx, np.broadcast_to(kept, shape))
