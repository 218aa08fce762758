"""Simplification: fewer nodes, the same results, and nothing that nan or writes forbid."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

import tinyflow as tf
from tinyflow import ops
from tinyflow.ir import Graph, Value, text
from tinyflow.passes import infer
from tinyflow.passes.simplify import drop_idle, fold_constants, merge_equal, simplify, sweep
from tinyflow.runtime.interpreter import interpret

Perm = tuple[int, ...] | None
X = ops.placeholder(dtype="float32", shape=(4, 3), name="x")
W = ops.variable(dtype="float32", shape=(4, 3), name="w")


def typed(*outputs: Value) -> Graph:
    return infer(Graph(outputs))


def number(value: float) -> Value:
    return ops.constant(np.float32(value))


def names(graph: Graph) -> list[str]:
    return [node.op.name for node in graph.nodes]


def test_arithmetic_on_numbers_is_done_once_and_for_all() -> None:
    y = ops.mul(X, ops.sub(number(1), ops.sqrt(number(0.25))))
    assert text(simplify(typed(y))) == (
        '%0 = placeholder(dtype=float32, shape=[4, 3]) "x"\n'
        "%1 = constant(value=float32(0.5), dtype=float32)\n"
        "%2 = mul(%0, %1)\n"
        "return %2\n"
    )


def test_a_scalar_fill_is_a_number() -> None:
    graph = sweep(typed(ops.mul(X, ops.exp(ops.zeros(shape=(), dtype="float32")))), fold_constants)
    assert names(sweep(graph, drop_idle)) == ["placeholder"]


@pytest.mark.parametrize(
    "idle",
    [
        lambda x: ops.add(x, number(-0.0)),
        lambda x: ops.sub(x, number(0)),
        lambda x: ops.mul(number(1), x),
        lambda x: ops.mul(x, ops.ones(shape=(4, 3), dtype="float32")),
        lambda x: ops.div(x, number(1)),
        lambda x: ops.pow(x, number(1)),
        lambda x: ops.neg(ops.neg(x)),
        lambda x: ops.reshape(x, shape=(4, 3)),
        lambda x: ops.reshape(ops.reshape(x, shape=(12,)), shape=(4, 3)),
        lambda x: ops.broadcast_to(x, shape=(4, 3)),
        lambda x: ops.transpose(x, perm=(0, 1)),
        lambda x: ops.transpose(ops.transpose(x)),
        lambda x: ops.transpose(ops.transpose(x, perm=(1, 0)), perm=(1, 0)),
        lambda x: ops.reshape(ops.reshape(ops.reshape(x, shape=(12,)), shape=(6, 2)), shape=(4, 3)),
    ],
)
def test_ops_that_change_nothing_vanish(idle: object) -> None:
    graph = simplify(typed(ops.tanh(idle(ops.exp(X)))))  # type: ignore[operator]
    assert names(graph) == ["placeholder", "exp", "tanh"]


@pytest.mark.parametrize(
    "busy",
    [
        lambda x: ops.mul(x, number(0)),  # nan * 0 is nan
        lambda x: ops.add(x, number(0)),  # -0.0 + 0.0 is 0.0
        lambda x: ops.sub(x, number(-0.0)),
        lambda x: ops.sub(number(0), x),
        lambda x: ops.div(number(1), x),
        lambda x: ops.add(x, ops.zeros(shape=(2, 4, 3), dtype="float32")),  # makes it larger
        lambda x: ops.cast(x, dtype="float64"),
        lambda x: ops.reshape(x, shape=(3, 4)),
    ],
)
def test_ops_that_change_something_stay(busy: object) -> None:
    before = typed(busy(ops.exp(X)))  # type: ignore[operator]
    assert names(simplify(before)) == names(before)


@pytest.mark.parametrize("second", [None, *permutations(range(3))])
@pytest.mark.parametrize("first", [None, *permutations(range(3))])
def test_transposes_vanish_if_the_second_undoes_the_first(first: Perm, second: Perm) -> None:
    x = ops.placeholder(dtype="float32", shape=(2, 2, 2), name="x")
    graph = typed(ops.tanh(ops.transpose(ops.transpose(x, perm=first), perm=second)))
    folded, array = simplify(graph), np.arange(8, dtype="float32").reshape(2, 2, 2)
    found, wanted = (interpret(each, {x: array})[0] for each in (folded, graph))
    np.testing.assert_array_equal(found, wanted)
    undone = np.array_equal(wanted, np.tanh(array))
    if (first is None) == (second is None):
        assert ("transpose" not in names(folded)) == undone


def test_an_unknown_size_is_never_taken_for_equal() -> None:
    x = ops.placeholder(dtype="float32", shape=(None, 3), name="x")
    assert "reshape" in names(simplify(typed(ops.reshape(x, shape=(None, 3)))))


def test_a_transpose_moves_into_the_product() -> None:
    y = ops.placeholder(dtype="float32", shape=(5, 3), name="y")
    graph = sweep(typed(ops.matmul(X, ops.transpose(y))), drop_idle)
    assert names(graph) == ["placeholder", "placeholder", "matmul"]
    assert graph.nodes[-1].attrs["transpose_b"]
    graph = sweep(
        typed(ops.matmul(ops.transpose(X), y, transpose_a=True, transpose_b=True)), drop_idle
    )
    assert not graph.nodes[-1].attrs["transpose_a"]


@pytest.mark.parametrize(
    "around",
    [
        lambda wait: ops.neg(ops.neg(X, after=wait)),
        lambda wait: ops.reshape(ops.reshape(X, shape=(12,), after=wait), shape=(4, 3)),
        lambda wait: ops.matmul(X, ops.transpose(X, after=wait)),
        lambda wait: ops.mul(X, ops.ones(shape=(4, 3), dtype="float32", after=wait)),
        lambda wait: ops.exp(ops.zeros(shape=(), dtype="float32", after=wait)),
        lambda wait: ops.reshape(
            ops.reshape(ops.reshape(X, shape=(12,), after=wait), shape=(6, 2)), shape=(4, 3)
        ),
    ],
)
def test_what_waits_for_a_write_is_not_passed_over(around: object) -> None:
    write = ops.assign(W, X).node
    graph = simplify(typed(around([write])))  # type: ignore[operator]
    assert "assign" in names(graph)


def test_equal_subexpressions_run_once() -> None:
    graph = sweep(typed(ops.add(ops.exp(X), ops.exp(X)), ops.exp(X)), merge_equal())
    assert names(graph) == ["placeholder", "exp", "add"]


def test_different_attributes_stay_apart() -> None:
    a = ops.reduce_sum(X, reduction_indices=(0,), keepdims=True)
    b = ops.reduce_sum(X, reduction_indices=(0,), keepdims=False)
    assert names(sweep(typed(a, b), merge_equal())).count("reduce_sum") == 2


def test_attributes_of_either_sign_of_zero_stay_apart() -> None:
    graph = typed(*(ops.normal(shape=(2,), dtype="float32", seed=1, mean=m) for m in (0.0, -0.0)))
    assert names(sweep(graph, merge_equal())).count("normal") == 2
    square = ops.placeholder(dtype="float32", shape=(3, 3), name="square")
    scaled = [ops.gemm(square, square, square, alpha=alpha) for alpha in (0.0, -0.0, 0.0)]
    assert names(sweep(typed(*scaled), merge_equal())).count("gemm") == 2


def test_draws_merge_only_if_they_share_a_seed() -> None:
    draw = [ops.normal(shape=(2,), dtype="float32", seed=seed) for seed in (1, 1, 2)]
    assert names(sweep(typed(*draw), merge_equal())) == ["normal", "normal"]


def test_reads_of_two_versions_and_writes_stay_apart() -> None:
    old, new = ops.exp(Value(W.node, 0, 0)), ops.exp(Value(W.node, 0, 1))
    write = ops.assign(W, X)
    assert names(sweep(typed(old, write, new), merge_equal())).count("exp") == 2
    twice = sweep(typed(ops.assign(W, X), ops.assign(W, X)), merge_equal())
    assert names(twice).count("assign") == 2


def test_adam_shares_what_its_updates_repeat() -> None:
    x = tf.placeholder(tf.float32, [None, 3])
    w, v = tf.Variable(tf.ones([3, 2])), tf.Variable(tf.ones([2, 3]))
    loss = tf.reduce_sum(tf.matmul(tf.tanh(tf.matmul(x, w)), v))
    train = tf.train.AdamOptimizer(0.01).minimize(loss)
    steps = {s.name: s.graph for s in tf.Session().trace(train, {x: np.ones((5, 3))})}
    count = [names(steps[name]).count("constant") for name in ("specialise", "simplify")]
    assert count[1] < count[0] / 2


def test_an_idle_op_on_one_of_several_results_leaves_that_result() -> None:
    _, second = ops.split(X, sizes=(1, 3), axis=0)
    graph = simplify(typed(ops.add(ops.mul(second, 1.0), second)))
    assert names(graph) == ["placeholder", "split", "add"]
    assert graph.outputs[0].node.inputs == (second, second)
