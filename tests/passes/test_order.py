"""Reads and writes of variables come in the order that versions ask for."""

from __future__ import annotations

import numpy as np
import pytest

import tinyflow as tf
from tinyflow import ops
from tinyflow.errors import GraphError
from tinyflow.ir import Graph, Node, Value
from tinyflow.passes import SCHEDULE, STORAGE, infer, order, storage


def read(variable: Value, version: int) -> Value:
    return Value(variable.node, 0, version)


def place(graph: Graph) -> dict[Node, int]:
    return {node: index for index, node in enumerate(order(graph).fact(SCHEDULE))}


def test_old_reads_come_before_a_write_and_new_reads_after() -> None:
    w = ops.variable(dtype="float32", name="W")
    write = ops.assign(read(w, 0), 1.0)
    old, new = ops.exp(read(w, 0)), ops.log(read(w, 1))
    at = place(Graph((new, write, old)))
    assert at[old.node] < at[write.node] < at[new.node]


def test_writes_come_in_program_order_and_their_readers_between() -> None:
    w = ops.variable(dtype="float32", name="W")
    writes = [ops.assign(read(w, k), float(k)) for k in range(4)]
    reads = [ops.exp(read(w, k)) for k in range(5)]
    at = place(Graph((*reversed(writes), *reversed(reads))))
    sequence = [reads[0]]
    for write, after in zip(writes, reads[1:]):
        sequence += [write, after]
    places = [at[value.node] for value in sequence]
    assert places == sorted(places)


def test_a_view_counts_as_a_read() -> None:
    w = ops.variable(dtype="float32", name="W")
    view = ops.exp(ops.reshape(read(w, 0), shape=(4,)))
    write = ops.assign(read(w, 0), 1.0)
    at = place(Graph((write, view)))
    assert at[view.node] < at[write.node]


def test_readers_of_an_assigns_output_come_before_the_next_write() -> None:
    w = ops.variable(dtype="float32", name="W")
    first = ops.assign(read(w, 0), 1.0)
    use = ops.exp(first)
    second = ops.assign(read(w, 1), 2.0)
    at = place(Graph((second, use)))
    assert at[first.node] < at[use.node] < at[second.node]


def test_what_can_fail_runs_before_the_first_write() -> None:
    w = ops.variable(dtype="float32", name="W")
    logits, labels = ops.placeholder(dtype="float32"), ops.placeholder(dtype="int64")
    loss = ops.mean_sparse_softmax_cross_entropy_with_logits(logits, labels)
    write = ops.assign(read(w, 0), 1.0)
    at = place(Graph((write, loss)))
    assert at[loss.node] < at[write.node]


def test_an_old_read_that_needs_the_new_content_suggests_identity() -> None:
    w = ops.variable(dtype="float32", name="W")
    write = ops.assign(read(w, 0), 1.0)
    both = ops.add(read(w, 0), write, name="both")
    with pytest.raises(GraphError, match=r"add 'both'.*variable 'W'.*tf.identity\(W\)"):
        order(Graph((both,)))


def test_identity_keeps_the_old_content() -> None:
    w = ops.variable(dtype="float32", name="W")
    old = ops.identity(read(w, 0))
    write = ops.assign(read(w, 0), 1.0)
    at = place(Graph((ops.add(old, write),)))
    assert at[old.node] < at[write.node]


def test_control_dependencies_are_kept() -> None:
    x = ops.placeholder(dtype="float32")
    first = ops.exp(x)
    second = ops.log(x, after=[first.node])
    at = place(Graph((second, first)))
    assert at[first.node] < at[second.node]


def test_updates_run_as_soon_as_they_can_where_that_needs_less_memory() -> None:
    tf.reset_default_graph()
    x = h = tf.placeholder(tf.float32, [32, 8])
    for index in range(12):
        h = tf.tanh(tf.matmul(h, tf.Variable(tf.ones([8, 8]), name=f"w{index}")))
    train = tf.train.GradientDescentOptimizer(0.1).minimize(tf.reduce_sum(h))
    session = tf.Session()
    session.run(tf.initialize_all_variables())
    session.run(train, {x: np.ones((32, 8), np.float32)})
    activation = 32 * 8 * 4
    assert session.memory_plan().arena_bytes <= 14 * activation  # late updates need twice as much
    assert " copy_" not in session.source()  # each update still goes straight into its variable


def test_what_makes_memory_free_runs_as_soon_as_it_can() -> None:
    x = ops.placeholder(dtype="float32", shape=(64, 64), name="x")
    a, b = ops.exp(x), ops.tanh(x)
    first = ops.matmul(a, b)
    late = ops.reduce_sum(a)  # the last reader of a; comes last in the graph
    graph = Graph((ops.exp(ops.exp(first)), late))
    assert place(graph)[late.node] == len(graph.nodes) - 1  # as long as sizes are not known
    at = place(infer(graph))
    assert at[late.node] == at[first.node] + 1


def test_new_content_waits_for_readers_of_the_old_so_that_it_can_replace_it() -> None:
    w = ops.variable(dtype="float32", shape=(64,), name="W")
    new = ops.mul(read(w, 0), 2.0)
    write = ops.assign(read(w, 0), new)
    old = ops.exp(read(w, 0))
    graph = storage(order(infer(Graph((write, old)))))
    schedule = graph.fact(SCHEDULE)
    assert schedule.index(old.node) < schedule.index(new.node)
    assert graph.fact(STORAGE)[new].owner == w


def test_new_content_that_an_old_reader_needs_does_not_wait_for_it() -> None:
    w = ops.variable(dtype="float32", shape=(64,), name="W")
    new = ops.mul(read(w, 0), 2.0)
    write = ops.assign(read(w, 0), new)
    with_both = ops.add(read(w, 0), 1.0, after=[new.node])
    at = place(infer(Graph((write, with_both))))
    assert at[new.node] < at[with_both.node] < at[write.node]


def test_leaves_come_just_before_their_first_reader() -> None:
    x, y = (ops.placeholder(dtype="float32", shape=(4,), name=name) for name in "xy")
    late = ops.add(ops.exp(ops.exp(x)), y)
    at = place(infer(Graph((ops.neg(y), late))))
    assert at[y.node] + 1 == min(at[node] for node in at if any(v == y for v in node.inputs))


def test_a_reader_of_a_first_write_that_needs_a_second_one_is_named() -> None:
    w = ops.variable(dtype="float32", shape=(2,), name="w")
    first = ops.assign(w, ops.ones(shape=(2,), dtype="float32"))
    second = ops.assign(Value(w.node, 0, 1), ops.neg(first))
    with pytest.raises(GraphError, match=r"add .*reads variable 'w' as it was before a write"):
        order(infer(Graph((ops.add(first, second),))))


def test_what_can_fail_but_follows_a_write_does_not_hold_it_up() -> None:
    w = ops.variable(dtype="float32", shape=(2, 3), name="W")
    late = ops.mean_sparse_softmax_cross_entropy_with_logits(read(w, 1), ops.constant([0, 1]))
    write = ops.assign(read(w, 0), ops.neg(read(w, 0)))
    at = place(infer(Graph((late, write))))  # the reader comes first in the graph
    assert at[write.node] < at[late.node]
