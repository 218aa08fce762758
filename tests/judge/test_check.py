"""Checkers: form before structure before numbers, and a bounded text for the instructor."""

from __future__ import annotations

import numpy as np
import pytest

from autograder.judge import check
from autograder.judge.check import Wrong
from tinyflow import ops
from tinyflow.ir import Graph, Value


def leaf() -> Value:
    return Value(ops.placeholder(dtype="float64").node)


def test_values_accepts_a_tuple_or_list_of_values_and_nones():
    x = leaf()
    assert check.values((x, None), 2) == (x, None)
    assert check.values([None, x], 2) == (None, x)


@pytest.mark.parametrize("answer", [None, 3, "ab", {1, 2}, {"a": 1}])
def test_values_refuses_what_is_no_sequence(answer):
    with pytest.raises(Wrong, match="expected 'a tuple of 2 values'"):
        check.values(answer, 2)


def test_values_refuses_a_wrong_count_and_wrong_members():
    with pytest.raises(Wrong, match="got 1, expected 2"):
        check.values((leaf(),), 2)
    with pytest.raises(Wrong, match="'float'"):
        check.values((leaf(), 1.0), 2)


def test_an_object_that_claims_to_equal_everything_is_no_value():
    class Yes(Value):
        def __eq__(self, other):
            return True

        __hash__ = None

    with pytest.raises(Wrong, match="'Yes'"):
        check.value(Yes(leaf().node))


def test_graph_refuses_other_types_and_other_output_counts():
    graph = Graph((leaf(),))
    assert check.graph(graph, 1) is graph
    with pytest.raises(Wrong, match="'a Graph'"):
        check.graph((leaf(),), 1)
    with pytest.raises(Wrong, match="number of outputs: got 1, expected 2"):
        check.graph(graph, 2)


def test_known_leaves_refuses_a_placeholder_that_was_not_given():
    x, y = leaf(), leaf()
    check.known_leaves(Graph((ops.mul(x, 2.0),)), [x.node])
    with pytest.raises(Wrong, match="a leaf the test did not make"):
        check.known_leaves(Graph((ops.mul(x, y),)), [x.node])


def test_new_nodes_counts_neither_given_nodes_nor_constants():
    x = leaf()
    built = Graph((ops.mul(ops.add(x, 1.0), 2.0),))
    assert [node.op.name for node in check.new_nodes(built, [x.node])] == ["add", "mul"]


def test_close_accepts_rounding_only():
    check.close(np.array([1.0, 0.0]), [1.0 + 1e-9, 1e-12])
    with pytest.raises(Wrong, match="numbers"):
        check.close(np.array([1.0, 0.0]), [1.01, 0.0])


@pytest.mark.parametrize(
    ("got", "reason"),
    [
        ([1.0, 2.0], "type"),
        (np.array(["a", "b"]), "dtype"),
        (np.array([1, 2]), "dtype"),
        (np.array([[1.0, 2.0]]), "shape"),
        (np.array(1.0), "shape"),
        (np.array([1.0, np.nan]), "not finite"),
        (np.array([np.inf, 2.0]), "not finite"),
    ],
)
def test_close_looks_at_form_before_numbers(got, reason):
    with pytest.raises(Wrong, match=reason):
        check.close(got, [1.0, 2.0])


def test_at_most_and_equal_say_what_they_count():
    check.at_most(3, 3, "nodes")
    check.equal([1], [1], "order")
    with pytest.raises(Wrong, match="nodes: got 4, expected 'at most 3'"):
        check.at_most(4, 3, "nodes")
    with pytest.raises(Wrong, match="order"):
        check.equal([1], [2], "order")


def test_the_text_of_a_failure_is_bounded():
    with pytest.raises(Wrong) as caught:
        check.equal("x" * 100_000, "y", "text")
    assert len(str(caught.value)) < 2_000
