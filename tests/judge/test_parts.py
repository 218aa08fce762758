"""Parts for a student's gradient: right, counted, and not to be fooled."""

from __future__ import annotations

import pytest

from autograder.authoring.manifest import Homework, Task
from autograder.judge.check import Wrong
from autograder.judge.parts import Parts, whole
from autograder.sandbox import NoRule, Own, TimedOut
from tinyflow import ops
from tinyflow.errors import GradientError
from tinyflow.ir import Graph, Value


def leaf() -> Value:
    return Value(ops.placeholder(dtype="float64").node)


@pytest.fixture
def square():
    x = leaf()
    y = ops.mul(x, x)
    return x, y, Graph((y,))


def test_calls_are_counted_by_node(square):
    _, y, graph = square
    parts = Parts(graph)
    dx = parts.adjoints["mul"](y.node, leaf())
    assert len(dx) == 2
    parts.called_once([y.node])
    parts.adjoints["mul"](y.node, leaf())
    with pytest.raises(Wrong, match="calls of adjoint rules"):
        parts.called_once([y.node])


def test_only_rules_of_the_graph_are_given_and_leaves_have_a_reason(square):
    parts = Parts(square[2])
    assert set(parts.adjoints) == {"mul", "placeholder"}
    assert isinstance(parts.adjoints["placeholder"], NoRule)


def test_a_rule_refuses_another_node_or_the_wrong_number_of_adjoints(square):
    x, y, graph = square
    rule = Parts(graph).adjoints["mul"]
    for args in ((), (x.node, leaf()), (y.node,), (y.node, leaf(), leaf()), (y, leaf())):
        with pytest.raises(GradientError, match="other arguments"):
            rule(*args)


def test_accumulate_adds_up_and_refuses_what_is_no_list_of_values(square):
    accumulate = Parts(square[2]).accumulate
    a, b = leaf(), leaf()
    assert accumulate([a]) is a
    assert accumulate((a, b)).node.op is ops.add
    for wrong in ([], None, a):
        with pytest.raises(GradientError, match="nothing to accumulate"):
            accumulate(wrong)
    with pytest.raises(Wrong, match="a contribution"):
        accumulate([a, None])


def test_the_budget_ends_an_exponential_walk(square):
    _, y, graph = square
    rule = Parts(graph, budget=3).adjoints["mul"]
    for _ in range(3):
        rule(y.node, leaf())
    with pytest.raises(TimedOut, match="more than 3 times"):
        rule(y.node, leaf())


def test_nodes_of_the_parts_are_told_from_nodes_of_the_student(square):
    _, y, graph = square
    parts = Parts(graph)
    mine = ops.ones_like(y)
    total = parts.accumulate(list(parts.adjoints["mul"](y.node, mine)))
    parts.little_else(Graph((total,)), 1)  # ones_like
    with pytest.raises(Wrong, match="nodes beside the parts'"):
        parts.little_else(Graph((ops.neg(ops.neg(total)),)), 2)


def test_the_whole_takes_tasks_from_the_student_and_the_rest_from_the_engine():
    task = Task("mul_adjoint", "", "tinyflow.adjoints.elementwise:mul_adjoint", {"a": 1})
    adjoints, accumulate = whole(Homework("h", "", 1, (task,)))
    assert adjoints["mul"] == Own("mul_adjoint")
    assert adjoints["add"] == Own("tinyflow.adjoints.elementwise:add_adjoint")
    assert isinstance(adjoints["placeholder"], NoRule)
    assert accumulate == Own("accumulate")
