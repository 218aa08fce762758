"""The pipeline holds every pass to its word and names the one at fault."""

from __future__ import annotations

import pytest

from tinyflow import ops
from tinyflow.errors import PassError, ShapeError
from tinyflow.ir import Fact, Graph, Node, Value, rewrite
from tinyflow.passes import SCHEDULE, SHAPES, STANDARD, Pass, Pipeline, order

COLOURS: Fact[dict[Value, str]] = Fact("colours")


def graph() -> Graph:
    x = ops.placeholder(dtype="float32", shape=(3,), name="x")
    return Graph((ops.exp(ops.neg(x)),))


def paint(g: Graph) -> Graph:
    return g.with_fact(COLOURS, {v: "red" for n in g.nodes for v in n.outputs})


def negs_away(g: Graph) -> Graph:
    return rewrite(g, lambda node, ins: ins if node.op is ops.neg else None)[0]


PAINT = Pass("paint", paint, provides=frozenset({COLOURS}))


def test_the_standard_pipeline_provides_types_and_schedule() -> None:
    done = STANDARD(graph())
    assert done.fact(SHAPES)[done.outputs[0]] == (3,)
    assert set(done.fact(SCHEDULE)) == set(done.nodes)


def test_a_pass_that_returns_no_graph_is_named() -> None:
    with pytest.raises(PassError, match="pass 'broken' returned no graph; got NoneType"):
        Pipeline((Pass("broken", lambda g: None),))(graph())  # type: ignore[arg-type, return-value]


def test_a_pass_that_fails_is_named_and_its_error_is_the_cause() -> None:
    with pytest.raises(
        PassError, match="'simplify' failed; got ZeroDivisionError: .* by"
    ) as raised:
        STANDARD.replace("simplify", lambda g: Graph(g.outputs[: 1 // 0]))(graph())
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


def test_what_a_pass_says_of_a_node_and_what_is_still_to_be_written_pass_unchanged() -> None:
    def unwritten(g: Graph) -> Graph:
        raise NotImplementedError("simplify")

    a, b = (ops.placeholder(dtype="float32", shape=(n,), name=f"x{n}") for n in (2, 3))
    with pytest.raises(ShapeError, match="add 'sum'"):
        STANDARD(Graph((ops.add(a, b, name="sum"),)))
    with pytest.raises(NotImplementedError):
        STANDARD.replace("simplify", unwritten)(graph())


def test_a_pass_that_loses_an_output_is_named() -> None:
    with pytest.raises(PassError, match="pass 'broken' changed the number of outputs; got 0"):
        Pipeline((Pass("broken", lambda g: Graph(())),))(graph())


def test_a_pass_that_forgets_its_fact_is_named() -> None:
    broken = Pass("broken", lambda g: g, provides=frozenset({COLOURS}))
    with pytest.raises(PassError, match="'broken' did not provide 'colours'"):
        Pipeline((broken,))(graph())


def test_a_pass_that_breaks_an_invariant_is_named_with_the_node() -> None:
    def break_it(g: Graph) -> Graph:
        return Graph(
            (
                Value(
                    Node(ops.add, (g.outputs[0],), name="half"),
                ),
            )
        )

    with pytest.raises(PassError, match="pass 'broken' broke an invariant.*wrong number of inputs"):
        Pipeline((Pass("broken", break_it),))(graph())


def test_a_broken_input_is_not_blamed_on_a_pass() -> None:
    bad = Graph((Value(Node(ops.add, ())),))
    with pytest.raises(PassError, match="the input broke an invariant"):
        STANDARD(bad)


def test_a_stale_fact_is_refused() -> None:
    def stale(g: Graph) -> Graph:
        old = paint(g).facts
        return negs_away(g).with_facts(old)

    with pytest.raises(PassError, match="stale fact 'colours'"):
        Pipeline((Pass("broken", stale, provides=frozenset({COLOURS})),))(graph())


def test_a_changed_graph_keeps_only_preserved_facts() -> None:
    result = Pipeline((PAINT, Pass("negs", negs_away)))(graph())
    assert COLOURS not in result.facts


def test_an_unchanged_graph_keeps_its_facts() -> None:
    result = Pipeline((PAINT, Pass("idle", lambda g: Graph(g.outputs))))(graph())
    assert COLOURS in result.facts


def test_a_lost_fact_is_provided_again_for_the_pass_that_needs_it() -> None:
    seen = []
    reader = Pass("reader", lambda g: seen.append(len(g.fact(COLOURS))) or g, frozenset({COLOURS}))
    Pipeline((PAINT, Pass("negs", negs_away), reader))(graph())
    assert seen == [2]


def test_a_fact_that_no_pass_provides_is_an_error() -> None:
    reader = Pass("reader", lambda g: g, frozenset({COLOURS}))
    with pytest.raises(PassError, match="'reader' needs the fact 'colours'"):
        Pipeline((reader,))(graph())


def test_pipelines_are_edited_by_name_without_change_to_the_original() -> None:
    edited = STANDARD.replace("order", order).insert(PAINT, before="order")
    assert edited.names()[edited.names().index("paint") + 1] == "order"
    assert "paint" not in STANDARD.names()
    assert "peephole" not in STANDARD.without("peephole").names()
    with pytest.raises(PassError, match="no such pass; got 'sort'"):
        STANDARD.replace("sort", paint)
