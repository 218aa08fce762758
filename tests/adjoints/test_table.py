"""The table of rules: complete, closed, and clear about what it refuses."""

import pytest

from tinyflow import ops
from tinyflow.adjoints import ADJOINTS, AdjointTable, NoGradient
from tinyflow.errors import GradientError
from tinyflow.ir import Graph, Op

from .cases import CASES


def _op(name):
    return Op(name, ("x",), shape=lambda a, i, o: (i, o), dtype=lambda a, i, o: (i, o))


def test_every_op_has_a_rule_or_a_reason():
    assert not [op.name for op in ops.OPS.values() if op not in ADJOINTS]
    for rule in ADJOINTS.values():
        if isinstance(rule, NoGradient):
            assert len(rule.reason) > 10


def test_every_rule_returns_one_adjoint_per_input_made_of_ops_with_rules():
    for case in CASES:
        (y,) = case.graph.outputs
        dys = [ops.ones_like(y) if value == y else None for value in y.node.outputs]
        adjoints = ADJOINTS[y.node.op](y.node, *dys)
        assert len(adjoints) == len(y.node.inputs), case.name
        for node in Graph([dx for dx in adjoints if dx is not None]).nodes:
            assert node.op in ADJOINTS, case.name


def test_rules_are_documented():
    for op, rule in ADJOINTS.items():
        assert rule.__doc__, op.name


def test_no_gradient_answers_none_for_each_input():
    x = ops.placeholder(dtype="float32", name="x")
    node = ops.equal(x, x).node
    assert ADJOINTS[ops.equal](node, x) == (None, None)


def test_an_op_from_elsewhere_gets_its_rule_by_the_same_call():
    table, cube = AdjointTable(ADJOINTS), _op("cube")
    assert cube not in table
    table.add(cube, lambda node, dy: (dy,))
    assert cube in table and cube not in ADJOINTS and len(table) == len(ADJOINTS) + 1


def test_an_op_without_an_entry_is_named():
    with pytest.raises(GradientError, match=r"op 'cube' has no gradient rule.*ADJOINTS\.add"):
        ADJOINTS[_op("cube")]
    assert ADJOINTS.get(_op("cube")) is None
    with pytest.raises(GradientError, match="op 'cube' has no gradient rule"):
        ADJOINTS["cube"]


def test_a_second_rule_for_an_op_is_refused():
    with pytest.raises(GradientError, match="op 'mul' has a gradient rule"):
        AdjointTable(ADJOINTS).add(ops.mul, lambda node, dy: (None, None))


@pytest.mark.parametrize(("op", "rule"), [("mul", lambda node, dy: ()), (ops.mul, None)])
def test_what_is_no_op_or_no_rule_is_refused(op, rule):
    with pytest.raises(GradientError, match="not a rule for an op; got .* expected an Op"):
        AdjointTable().add(op, rule)
