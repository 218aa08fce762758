"""What fits one kernel: how shapes lie in a space, and the level of each result."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyflow import ops
from tinyflow.ir import Graph, Value
from tinyflow.ops.sweep import MOST_INPUTS, MOST_NODES, Group, Level, stretch
from tinyflow.passes import DTYPES, SHAPES, infer
from tinyflow.types import DType

SPACE = (4, 3)
X = ops.placeholder(dtype="float32", shape=SPACE, name="x")
ROW = ops.placeholder(dtype="float32", shape=(4, 1), name="row")
COLUMN = ops.placeholder(dtype="float32", shape=(3,), name="column")
OTHER = ops.placeholder(dtype="float32", shape=(3, 4), name="other")
NUMBERS = ops.placeholder(dtype="int32", shape=SPACE, name="numbers")


def rows(x: Value, op: Any = ops.reduce_sum, keepdims: bool = False) -> Any:
    return op(x, reduction_indices=(1,), keepdims=keepdims)


def columns(x: Value) -> Any:
    return ops.reduce_sum(x, reduction_indices=(0,), keepdims=False)


def level(last: Value, *members: Value) -> Level | None:
    """The level of ``last`` in a group over SPACE that took in ``members``."""
    graph = infer(Graph((last, *members)))
    shapes, dtypes = graph.fact(SHAPES), graph.fact(DTYPES)
    group = Group(shapes, dtypes, SPACE, DType.float32)
    for member in members:
        found = group.level(member.node)
        assert found is not None
        group.add(member.node, found)
    return group.level(last.node)


@pytest.mark.parametrize(
    ("small", "large", "expected"),
    [
        ((4, 3), (4, 3), (Level.FULL, 0)),
        ((3,), (1, 3), (Level.FULL, 0)),
        ((1, 1), (4, 3), (Level.SCALAR, 0)),
        ((3,), (4, 3), (Level.COLUMN, 3)),
        ((4, 1), (4, 3), (Level.ROW, 3)),
        ((2, 1, 1), (2, 4, 3), (Level.ROW, 12)),
        ((4, 3), (2, 4, 3), (Level.COLUMN, 12)),
        ((2, 1, 3), (2, 4, 3), None),
    ],
)
def test_a_shape_lies_along_rows_or_columns_or_neither(
    small: tuple[int, ...], large: tuple[int, ...], expected: object
) -> None:
    assert stretch(small, large) == expected


@given(large=st.lists(st.integers(1, 3), max_size=4).map(tuple), data=st.data())
def test_a_level_and_a_row_length_say_which_element_numpy_repeats(
    large: tuple[int, ...], data: st.DataObject
) -> None:
    small = tuple(data.draw(st.sampled_from((1, n))) for n in large)
    found = stretch(small, large)
    if found is None:
        return
    elements = np.arange(np.prod(small, dtype=int)).reshape(small)
    place = np.arange(np.prod(large, dtype=int))
    where, length = found[0], max(found[1], 1)
    index = {Level.FULL: place, Level.ROW: place // length, Level.COLUMN: place % length}
    expected = index.get(where, np.zeros_like(place))
    np.testing.assert_array_equal(np.broadcast_to(elements, large).ravel(), expected)


@pytest.mark.parametrize(
    ("last", "members", "expected"),
    [
        (ops.add(X, COLUMN), (), Level.FULL),
        (ops.mul(X, ROW), (), Level.FULL),
        (ops.add(OTHER, OTHER), (), None),
        (rows(X), (), Level.ROW),
        (rows(X, ops.reduce_max), (), Level.ROW),
        (columns(X), (), Level.COLUMN_TOTAL),
        (ops.reduce_mean(X), (), Level.TOTAL),
        (ops.reduce_max(X), (), None),
        (ops.reshape(ops.reduce_max(X), shape=(1,)), (), None),
        (ops.cast(NUMBERS, dtype="float32"), (), Level.FULL),
        (ops.add(NUMBERS, NUMBERS), (), None),
        (ops.matmul(X, OTHER), (), None),
    ],
)
def test_levels_of_what_is_computed_from_inputs(
    last: Value, members: tuple[Value, ...], expected: Level | None
) -> None:
    assert level(last, *members, *([] if X in last.node.inputs else [ops.exp(X)])) is expected


def test_numbers_of_rows_can_be_read_in_all_columns() -> None:
    total = rows(X, keepdims=True)
    assert level(ops.exp(total), total) is Level.ROW
    assert level(ops.div(X, total), total) is Level.FULL
    flat = rows(X)
    assert level(ops.reshape(flat, shape=(4, 1)), flat) is Level.ROW
    assert level(ops.reduce_mean(flat), flat) is Level.TOTAL


def test_a_sum_over_rows_is_read_only_at_the_end() -> None:
    total = columns(X)
    assert level(ops.sub(COLUMN, total), total) is Level.COLUMN_TOTAL
    assert level(ops.mul(COLUMN, COLUMN), total) is Level.COLUMN_TOTAL
    assert level(ops.mul(COLUMN, COLUMN), ops.exp(X)) is None
    assert level(ops.sub(X, total), total) is None
    assert level(ops.reduce_sum(total), total) is None


def test_as_many_rows_as_columns_are_not_mixed_up() -> None:
    square = ops.placeholder(dtype="float32", shape=(3, 3), name="square")
    total = rows(square)
    graph = infer(Graph((ops.add(square, total),)))
    shapes, dtypes = graph.fact(SHAPES), graph.fact(DTYPES)
    group = Group.start(total.node, shapes, dtypes, dtypes[square])
    assert group is not None
    assert group.level(graph.outputs[0].node) is None


def test_a_group_stops_growing_where_a_kernel_would_be_too_large() -> None:
    chain = [ops.exp(X)]
    while len(chain) <= MOST_NODES:
        chain.append(ops.exp(chain[-1]))
    assert level(chain[MOST_NODES - 1], *chain[: MOST_NODES - 1]) is Level.FULL
    assert level(chain[MOST_NODES], *chain[:MOST_NODES]) is None
    inputs = [ops.placeholder(dtype="float32", shape=SPACE) for _ in range(MOST_INPUTS + 1)]
    made = [ops.exp(x) for x in inputs]
    assert level(made[MOST_INPUTS], *made[:MOST_INPUTS]) is None


def test_nothing_starts_from_integers_unknown_sizes_or_no_elements() -> None:
    for shape, dtype in (((4, 3), "int32"), ((None, 3), "float32"), ((0, 3), "float32")):
        x = ops.placeholder(dtype=dtype, shape=shape, name="x")
        graph = infer(Graph((ops.neg(x),)))
        dtypes = graph.fact(DTYPES)
        node = graph.outputs[0].node
        assert Group.start(node, graph.fact(SHAPES), dtypes, dtypes[x]) is None
