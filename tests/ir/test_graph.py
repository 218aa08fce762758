"""Nodes, values and graphs: identity, order, depth, and errors at the cause."""

from __future__ import annotations

import pytest

from tinyflow import ops
from tinyflow.errors import GraphError
from tinyflow.ir import Fact, Graph, Node, Value, rewrite, users, verify


def x() -> Value:
    return ops.placeholder(dtype="float32", name="x")


def test_nodes_compare_by_identity_and_print_short() -> None:
    a = x()
    b = ops.add(a, a)
    assert b != ops.add(a, a)
    assert repr(b) == "<add>"
    assert len(repr(Graph((b,)))) < 60


def test_versions_of_a_variable_are_one_entry() -> None:
    w = ops.variable(dtype="float32", name="W")
    assert Value(w.node, 0, 3) == w
    assert len({Value(w.node, 0, 3), w}) == 1


def test_a_chain_of_fifty_thousand_nodes_works() -> None:
    value = x()
    for _ in range(50_000):
        value = ops.exp(value)
    assert len(Graph((value,)).nodes) == 50_001


def test_every_node_comes_after_its_inputs_and_control_dependencies() -> None:
    a = x()
    late = ops.exp(a)
    first = ops.log(a, after=[late.node])
    nodes = Graph((ops.add(first, a),)).nodes
    place = {node: index for index, node in enumerate(nodes)}
    for node in nodes:
        for need in [*(v.node for v in node.inputs), *node.after]:
            assert place[need] < place[node]


def test_a_cycle_is_an_error_that_names_a_node() -> None:
    a = x()
    loop = ops.exp(a, name="loop").node
    object.__setattr__(loop, "inputs", (Value(ops.log(Value(loop)).node),))
    with pytest.raises(GraphError, match="has a cycle"):
        Graph((Value(loop),))


def test_wrong_arity_fails_where_the_node_is_made_and_names_the_line() -> None:
    with pytest.raises(GraphError, match=r"mul \(test_graph.py:\d+\).*got 1; expected 2 \(x, y\)"):
        ops.mul(x())


def test_unknown_attribute_fails_where_the_node_is_made() -> None:
    with pytest.raises(GraphError, match="unknown attribute; got 'axes'"):
        ops.reduce_sum(x(), axes=1)


def test_wrong_attribute_value_tells_got_and_expected() -> None:
    with pytest.raises(GraphError, match="'transpose_a'.*got 'yes'; expected a value of kind bool"):
        ops.matmul(x(), x(), transpose_a="yes")


def test_something_else_than_a_value_is_refused() -> None:
    with pytest.raises(GraphError, match="got dict"):
        ops.exp({})


def test_users_lists_every_read_with_its_position() -> None:
    a = x()
    b = ops.sub(a, a)
    assert users(Graph((b,)))[a] == [(b.node, 0), (b.node, 1)]


def test_rewrite_keeps_leaves_and_versions() -> None:
    w = ops.variable(dtype="float32", name="W")
    y = ops.exp(ops.neg(Value(w.node, 0, 2)))
    graph, moved = rewrite(
        Graph((y,)), lambda node, ins: (ops.log(ins[0]),) if node.op is ops.neg else None
    )
    log = graph.outputs[0].node.inputs[0].node
    assert log.op is ops.log
    assert log.inputs[0].node is w.node
    assert log.inputs[0].version == 2
    assert moved[y] == graph.outputs[0]


def test_rewrite_hands_control_dependencies_on() -> None:
    a = x()
    first = ops.exp(a)
    second = ops.neg(a, after=[first.node])

    def to_log(node: Node, ins: tuple[Value, ...]) -> tuple[Value, ...] | None:
        return (ops.log(ins[0]),) if node.op in (ops.neg, ops.exp) else None

    graph, moved = rewrite(Graph((second,)), to_log)
    assert [node.op.name for node in graph.nodes] == ["placeholder", "log", "log"]
    assert graph.outputs[0].node.after == (moved[first].node,)


def test_rewrite_keeps_a_node_that_others_wait_through() -> None:
    a = x()
    second = ops.neg(a, after=[ops.exp(a).node])
    graph, _ = rewrite(Graph((second,)), lambda node, ins: ins if node.op is ops.neg else None)
    assert [node.op.name for node in graph.nodes] == ["placeholder", "exp", "neg"]


def test_a_missing_fact_names_itself() -> None:
    with pytest.raises(GraphError, match="no fact 'colours'"):
        Graph((x(),)).fact(Fact("colours"))


class TestVerify:
    def test_two_variables_of_one_name_are_refused(self) -> None:
        a, b = (ops.variable(dtype="float32", name="W") for _ in range(2))
        with pytest.raises(GraphError, match="two variables share one name"):
            verify(Graph((ops.add(a, b),)))

    def test_reading_an_output_that_does_not_exist_is_refused(self) -> None:
        with pytest.raises(GraphError, match="reads an output that does not exist"):
            verify(Graph((ops.exp(Value(x().node, 3)),)))

    def test_writing_to_something_else_than_a_variable_is_refused(self) -> None:
        with pytest.raises(GraphError, match="expected a variable"):
            verify(Graph((ops.assign(ops.exp(x()), 1.0),)))

    def test_a_version_on_a_computed_value_is_refused(self) -> None:
        with pytest.raises(GraphError, match="only variables have versions"):
            verify(Graph((ops.exp(Value(ops.exp(x()).node, 0, 1)),)))

    def test_a_fact_about_a_node_of_another_graph_is_stale(self) -> None:
        other = ops.exp(x())
        graph = Graph((x(),)).with_fact(Fact("colours"), {other: "red"})
        with pytest.raises(GraphError, match="stale fact 'colours'"):
            verify(graph)

    def test_attributes_forged_after_the_node_was_made_are_refused(self) -> None:
        node = Node(ops.matmul, (x(), x()), {"transpose_a": 3, "transpose_b": False})
        with pytest.raises(GraphError, match="transpose_a"):
            verify(Graph((Value(node),)))


def test_what_a_rule_makes_stands_at_the_users_line_of_the_node() -> None:
    made = ops.exp(x())

    def rule(node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...] | None:
        return (ops.log(ops.neg(*inputs)),) if node.op is ops.exp else None

    graph, _ = rewrite(Graph((made,)), rule)
    assert [node.source for node in graph.nodes[1:]] == [made.node.source] * 2
    assert ops.exp(x()).node.source != made.node.source


def test_the_users_line_is_found_in_code_that_has_no_file() -> None:
    given = {"__name__": "mine", "ops": ops, "x": x()}
    exec(compile("\ny = ops.exp(x)", "<string>", "exec"), given)
    assert given["y"].node.source == "<string>:2"
