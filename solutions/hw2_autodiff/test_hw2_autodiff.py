"""Public tests of homework 2. ``pytest`` here tests the saved notebook; check() the running one.

The grader has more tests: the same ideas, other numbers. Reading these is allowed and useful.
"""

import numpy as np
import pytest

from tinyflow import ops
from tinyflow.adjoints import ADJOINTS
from tinyflow.errors import TinyflowError
from tinyflow.ir import Graph, Value
from tinyflow.runtime.interpreter import interpret

RNG = np.random.default_rng(2)


def leaf(array, name="x"):
    return ops.placeholder(dtype=np.asarray(array).dtype.name, name=name)


def run(outputs, feeds):
    return interpret(Graph(tuple(outputs)), {v: np.asarray(a) for v, a in feeds.items()})


def slopes(outputs, x, feeds, dys, h=1e-5):
    """d(sum of dy * y)/dx by central differences."""
    at = np.array(feeds[x], dtype=float)
    found = np.zeros_like(at)
    for index in np.ndindex(at.shape):
        moved = []
        for sign in (1, -1):
            shifted = at.copy()
            shifted[index] += sign * h
            ys = run(outputs, {**feeds, x: shifted})
            moved.append(sum(np.sum(dy * y) for dy, y in zip(dys, ys)))
        found[index] = (moved[0] - moved[1]) / (2 * h)
    return found


def check_adjoints(rule, op, arrays, dy=None, expected=None, **attrs):
    """Compare what ``rule`` builds for one node with ``expected``, or with differences."""
    feeds = {leaf(a, name): np.asarray(a) for name, a in zip("xyz", arrays)}
    z = op(*feeds, **attrs)
    [result] = run([z], feeds)
    dy = RNG.normal(size=result.shape) if dy is None else np.asarray(dy, dtype=float)
    upstream = leaf(dy, "dy")
    adjoints = rule(z.node, upstream)
    assert isinstance(adjoints, tuple) and len(adjoints) == len(feeds), (
        f"return a tuple with one adjoint per input ({len(feeds)}), not {adjoints!r}"
    )
    for position, (x, adjoint) in enumerate(zip(feeds, adjoints)):
        if not np.issubdtype(feeds[x].dtype, np.floating):
            assert adjoint is None, f"no gradient flows to {x.node.name}: its adjoint is None"
            continue
        assert isinstance(adjoint, Value), (
            f"the adjoint of {x.node.name} is {adjoint!r}; build it from ops, never from numbers"
        )
        [ours] = run([adjoint], {**feeds, upstream: dy})
        assert np.shape(ours) == feeds[x].shape, (
            f"the adjoint of {x.node.name} has shape {np.shape(ours)}, "
            f"but {x.node.name} has {feeds[x].shape}; an adjoint has the shape of its value"
        )
        right = slopes([z], x, feeds, [dy]) if expected is None else np.asarray(expected[position])
        assert np.allclose(ours, right, rtol=1e-5, atol=1e-7), (
            f"the adjoint of {x.node.name} is\n{np.round(ours, 5)}\nexpected\n{np.round(right, 5)}"
            f"\nfor dy =\n{np.round(dy, 5)}"
        )


@pytest.mark.mul_adjoint
def test_product_example(student):
    """The example of the specification."""
    check_adjoints(
        student.mul_adjoint,
        ops.mul,
        [np.array([2.0, 3.0]), np.array([[5.0], [7.0]])],
        dy=[[1, 1], [1, 1]],
        expected=[[12, 12], [[5], [5]]],
    )


@pytest.mark.mul_adjoint
def test_product_of_equal_shapes(student):
    """Each factor gets dy times the other factor."""
    check_adjoints(student.mul_adjoint, ops.mul, RNG.normal(size=(2, 2, 3)))


@pytest.mark.mul_adjoint
def test_square(student):
    """x * x: one adjoint for each of the two inputs, although they are one value."""
    x, dy = leaf(1.0), leaf(1.0, "dy")
    adjoints = student.mul_adjoint(ops.mul(x, x).node, dy)
    assert len(adjoints) == 2
    assert run(adjoints, {x: 3.0, dy: 10.0}) == [30, 30], "each is dy * x; the caller adds them"


@pytest.mark.div_adjoint
def test_quotient_example(student):
    """The example of the specification."""
    check_adjoints(
        student.div_adjoint,
        ops.div,
        [np.array([1.0, 6.0]), np.array(2.0)],
        dy=[1, 10],
        expected=[[0.5, 5], -15.25],
    )


@pytest.mark.div_adjoint
def test_quotient_by_differences(student):
    """Against finite differences, numerator and denominator of the same shape."""
    check_adjoints(student.div_adjoint, ops.div, [RNG.normal(size=(2, 3)), np.full((2, 3), -1.5)])


@pytest.mark.pow_adjoint
def test_power_example(student):
    """The example of the specification: no NaN at 0 and below."""
    check_adjoints(
        student.pow_adjoint,
        ops.pow,
        [np.array([3.0, 0.0, -2.0]), np.array(2.0)],
        dy=[1, 1, 1],
        expected=[[6, 0, -4], 9 * np.log(3)],
    )


@pytest.mark.pow_adjoint
def test_power_by_differences(student):
    """Against finite differences at positive bases."""
    check_adjoints(student.pow_adjoint, ops.pow, RNG.uniform(0.5, 2, size=(2, 4)))


@pytest.mark.relu_adjoint
def test_rectifier_example(student):
    """The example of the specification, with 0 at the kink."""
    check_adjoints(
        student.relu_adjoint,
        ops.relu,
        [np.array([-1.0, 0.0, 2.0])],
        dy=[5, 6, 7],
        expected=[[0, 0, 7]],
    )


@pytest.mark.tanh_adjoint
def test_tanh_example(student):
    """The example of the specification."""
    z = np.tanh(1.0)
    check_adjoints(
        student.tanh_adjoint,
        ops.tanh,
        [np.array([0.0, 1.0])],
        dy=[3, 10],
        expected=[[3, 10 * (1 - z * z)]],
    )


@pytest.mark.matmul_adjoint
def test_matrix_product_example(student):
    """The example of the specification."""
    check_adjoints(
        student.matmul_adjoint,
        ops.matmul,
        [np.array([[1.0, 2.0, 3.0]]), np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]])],
        dy=[[10, 1]],
        expected=[[[10, 1, 22]], [[10, 1], [20, 2], [30, 3]]],
    )


@pytest.mark.matmul_adjoint
def test_matrix_product_with_the_second_transposed(student):
    """z = x y^T, against finite differences."""
    arrays = [RNG.normal(size=(2, 3)), RNG.normal(size=(4, 3))]
    check_adjoints(student.matmul_adjoint, ops.matmul, arrays, transpose_b=True)


@pytest.mark.reduce_sum_adjoint
def test_sum_example(student):
    """The example of the specification."""
    check_adjoints(
        student.reduce_sum_adjoint,
        ops.reduce_sum,
        [np.zeros((2, 3))],
        dy=[10, 20],
        expected=[[[10, 10, 10], [20, 20, 20]]],
        reduction_indices=(1,),
    )


@pytest.mark.reduce_sum_adjoint
def test_sum_over_rows_and_over_everything(student):
    """The other axis of a square matrix, and all axes at once."""
    x = RNG.normal(size=(3, 3))
    check_adjoints(student.reduce_sum_adjoint, ops.reduce_sum, [x], reduction_indices=(0,))
    check_adjoints(student.reduce_sum_adjoint, ops.reduce_sum, [x])


@pytest.mark.broadcast_to_adjoint
def test_repetition_example(student):
    """The example of the specification."""
    check_adjoints(
        student.broadcast_to_adjoint,
        ops.broadcast_to,
        [np.array([[1.0], [2.0], [3.0]])],
        dy=np.ones((2, 3, 4)),
        expected=[[[8], [8], [8]]],
        shape=(2, 3, 4),
    )


@pytest.mark.cross_entropy_adjoint
def test_cross_entropy_example(student):
    """The example of the specification: dy is not 1, and labels have no gradient."""
    check_adjoints(
        student.mean_sparse_softmax_cross_entropy_with_logits_adjoint,
        ops.mean_sparse_softmax_cross_entropy_with_logits,
        [np.zeros((2, 2)), np.array([0, 1])],
        dy=4.0,
        expected=[[[-1, 1], [1, -1]], None],
    )


@pytest.mark.cross_entropy_adjoint
def test_cross_entropy_by_differences(student):
    """Against finite differences."""
    check_adjoints(
        student.mean_sparse_softmax_cross_entropy_with_logits_adjoint,
        ops.mean_sparse_softmax_cross_entropy_with_logits,
        [RNG.normal(size=(4, 3)), np.array([2, 0, 1, 2])],
    )


@pytest.mark.accumulate
def test_a_single_contribution_is_the_adjoint(student):
    """One contribution: return it as it is, without a new node."""
    a = leaf(1.0)
    assert student.accumulate([a]) == a


@pytest.mark.accumulate
def test_three_contributions(student):
    """Three contributions: their sum."""
    parts = [leaf(1.0, name) for name in "abc"]
    total = student.accumulate(parts)
    assert run([total], dict(zip(parts, (1.0, 20.0, 300.0)))) == [321.0]


@pytest.mark.accumulate
def test_nothing_to_add_up(student):
    """No contribution at all is an error, not a zero of unknown shape."""
    with pytest.raises(TinyflowError):
        student.accumulate([])


def check_gradient(student, ys, xs, feeds, grad_ys=None):
    """Run the student's pass with given rules and compare with differences."""
    graph = Graph(tuple(ys))
    upstream = None if grad_ys is None else [ops.constant(np.asarray(g)) for g in grad_ys]
    result = student.gradient(graph, xs, upstream, ADJOINTS, student.accumulate)
    assert isinstance(result, Graph), f"gradient returns a Graph, not {type(result).__name__}"
    assert len(result.outputs) == len(xs), "one gradient per x, in the order of xs"
    weights = [1.0] * len(ys) if grad_ys is None else grad_ys
    for x, ours in zip(xs, run(result.outputs, feeds)):
        right = slopes(ys, x, feeds, weights)
        assert np.allclose(ours, right, rtol=1e-5, atol=1e-7), (
            f"d/d{x.node.name} is {np.round(ours, 5)}, expected {np.round(right, 5)}"
        )


@pytest.mark.gradient
def test_chain_of_two_steps(student):
    """A chain: y = sigmoid(exp(x)). The slopes along it are multiplied."""
    x = leaf(1.0)
    check_gradient(student, [ops.sigmoid(ops.exp(x))], [x], {x: [0.3, -0.2]})


@pytest.mark.gradient
def test_two_inputs_in_the_order_asked_for(student):
    """Two inputs: gradients come in the order of xs, one of which may be an inner value."""
    x, y = leaf(1.0, "x"), leaf(1.0, "y")
    z = ops.sub(ops.exp(x), ops.log(y))
    check_gradient(student, [z], [y, x], {x: 0.5, y: 2.0})


@pytest.mark.gradient
def test_short_and_long_way(student):
    """The diamond of section 8: h = log x, y = h + exp(h), by way of h before and after."""
    x = leaf(1.0)
    h = ops.log(x)
    for y in (ops.add(h, ops.exp(h)), ops.add(ops.exp(h), h)):
        check_gradient(student, [y], [x], {x: 2.0})


@pytest.mark.gradient
def test_outputs_have_weights(student):
    """grad_ys weighs the outputs; without it each counts once."""
    x = leaf(1.0)
    ys = [ops.exp(x), ops.sigmoid(x)]
    check_gradient(student, ys, [x], {x: 0.7}, [2.0, -3.0])
    check_gradient(student, ys, [x], {x: 0.7})


@pytest.mark.gradient
def test_no_way_from_x_to_y(student):
    """An x that no y depends on is an error."""
    x, y = leaf(1.0, "x"), leaf(1.0, "y")
    with pytest.raises(TinyflowError):
        student.gradient(Graph((ops.exp(y),)), [x], None, ADJOINTS, student.accumulate)


def table(student):
    """Your rules for nine ops, ours for the others."""
    return {
        **ADJOINTS,
        ops.mul: student.mul_adjoint,
        ops.div: student.div_adjoint,
        ops.pow: student.pow_adjoint,
        ops.relu: student.relu_adjoint,
        ops.tanh: student.tanh_adjoint,
        ops.matmul: student.matmul_adjoint,
        ops.reduce_sum: student.reduce_sum_adjoint,
        ops.broadcast_to: student.broadcast_to_adjoint,
        ops.mean_sparse_softmax_cross_entropy_with_logits: (
            student.mean_sparse_softmax_cross_entropy_with_logits_adjoint
        ),
    }


@pytest.mark.integration
def test_layer_with_a_loss(student):
    """A layer, tanh and the loss, all gradients against finite differences."""
    x, w, b = leaf(1.0, "x"), leaf(1.0, "w"), leaf(1.0, "b")
    labels = ops.placeholder(dtype="int64", name="labels")
    hidden = ops.tanh(ops.add(ops.matmul(x, w), b))
    loss = ops.mean_sparse_softmax_cross_entropy_with_logits(hidden, labels)
    feeds = {x: RNG.normal(size=(3, 4)), w: RNG.normal(size=(4, 2)), b: RNG.normal(size=2)}
    feeds[labels] = np.array([0, 1, 1])
    made = student.gradient(Graph((loss,)), [w, b, x], None, table(student), student.accumulate)
    for value, ours in zip((w, b, x), run(made.outputs, feeds)):
        assert np.allclose(ours, slopes([loss], value, feeds, [1.0]), atol=1e-7), value.node.name


@pytest.mark.integration
def test_gradient_of_a_gradient(student):
    """The second derivative of x^4 is 12 x^2."""
    x = leaf(1.0)
    graph = Graph((ops.pow(x, 4.0),))
    for _ in range(2):
        graph = student.gradient(graph, [x], None, table(student), student.accumulate)
    [second] = run(graph.outputs, {x: [2.0, -1.0, 0.5]})
    assert np.allclose(second, [48.0, 12.0, 3.0])
