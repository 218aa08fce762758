"""The oracles agree with calculus, and notice when they do not agree with each other."""

from __future__ import annotations

import numpy as np
import pytest

from autograder.judge.oracle import OracleError, derivatives, differences, slope
from autograder.suites.hw2_autodiff.sketch import Sketch, random_sketch


def test_derivatives_of_a_product_with_upstream_gradient():
    rng = np.random.default_rng(0)
    x, y, dy = rng.normal(size=(3, 2, 3))
    by_x, by_y = derivatives(lambda xp, x, y: x * y, [x, y], dy)
    np.testing.assert_allclose(by_x, dy * y)
    np.testing.assert_allclose(by_y, dy * x)


def test_differences_leave_their_inputs_alone():
    x = np.array([1.0, 2.0])
    (found,) = differences(lambda xp, x: x**3, [x])
    np.testing.assert_allclose(found, [3, 12], rtol=1e-6)
    np.testing.assert_array_equal(x, [1, 2])


def test_an_input_that_is_not_used_has_derivative_zero():
    assert derivatives(lambda xp, x, y: x * 2, [np.ones(2), np.ones(3)])[1].tolist() == [0, 0, 0]


def test_disagreeing_oracles_are_an_error_of_the_grader():
    with pytest.raises(OracleError, match="torch says"):
        derivatives(lambda xp, x: xp.abs(x), [np.array([0.0, 1e-9])])


def test_a_kink_beside_the_point_is_no_disagreement():
    (found,) = derivatives(lambda xp, x: xp.abs(x), [np.array([1e-6, -2.0])])
    assert found.tolist() == [1, -1]


def test_slope_gives_second_derivatives():
    x = np.array([0.5, -1.5])
    (second,) = derivatives(slope(lambda xp, x: x**4, 0), [x])
    np.testing.assert_allclose(second, 12 * x**2)


def test_a_sketch_is_the_same_computation_as_graph_and_as_oracle():
    from tinyflow.runtime.interpreter import interpret

    rng = np.random.default_rng(1)
    for steps in (3, 9, 20):
        sketch = random_sketch(rng, 3, steps)
        arrays = [rng.uniform(0.3, 1.2, (2, 2)) for _ in range(3)]
        drawing = sketch.draw(arrays)
        (got,) = interpret(drawing.graph(), drawing.feeds)
        np.testing.assert_allclose(got, sketch.forward()(np, *arrays)[0])


def test_every_step_of_a_random_sketch_reaches_its_end():
    drawing = random_sketch(np.random.default_rng(2), 4, 15).draw([np.ones(1)] * 4)
    assert set(drawing.nodes()) <= set(drawing.graph().nodes)


def test_a_sketch_counts_inputs_before_steps():
    drawing = Sketch(2, (("sub", 1, 0), ("neg", 2))).draw([np.ones(1), np.ones(1)])
    (node,) = drawing.nodes(2)
    assert [value.node for value in node.inputs] == [drawing.xs[1].node, drawing.xs[0].node]
