"""Updates fold into one product; a loss and its gradient share what they agree on."""

from __future__ import annotations

import numpy as np
import pytest

import tinyflow as tf
from tinyflow import ops
from tinyflow.ir import Graph, Value
from tinyflow.passes import infer, peephole


def leaf(dtype: str = "float32", name: str = "x") -> Value:
    return ops.placeholder(dtype=dtype, shape=(3, 3), name=name)


def names(*outputs: Value) -> list[str]:
    return [node.op.name for node in peephole(infer(Graph(outputs))).nodes if not node.is_leaf]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_scaled_product_that_is_added_becomes_one_op(dtype: str) -> None:
    c, a = leaf(dtype, "c"), leaf(dtype, "a")
    assert names(ops.sub(c, ops.mul(ops.matmul(a, a), 0.5))) == ["gemm"]
    assert names(ops.add(c, ops.matmul(a, a))) == ["gemm"]


def test_products_of_integers_stay() -> None:
    c, a = leaf("int32", "c"), leaf("int32", "a")
    assert names(ops.sub(c, ops.mul(ops.matmul(a, a), 2))) == ["matmul", "mul", "sub"]


def test_a_product_that_somebody_else_reads_stays() -> None:
    c, product = leaf(name="c"), ops.matmul(leaf(), leaf(name="y"))
    assert names(ops.add(c, product), product) == ["matmul", "add"]


def test_a_product_times_zero_stays_for_it_may_be_nan() -> None:
    c, a = leaf(name="c"), leaf(name="a")
    assert names(ops.sub(c, ops.mul(ops.matmul(a, a), 0.0))) == ["matmul", "mul", "sub"]


def test_what_waits_for_a_write_stays() -> None:
    x, w = leaf(), ops.variable(dtype="float32", shape=(3, 3), name="w")
    wait = [ops.assign(w, x).node]
    assert "assign" in names(ops.sub(x, ops.matmul(x, x, after=wait)))
    assert "assign" in names(ops.sub(x, ops.mul(ops.matmul(x, x, after=wait), 0.5)))
    assert "assign" in names(ops.sub(x, ops.mul(ops.matmul(x, x), 0.5, after=wait)))


def test_a_softmax_is_shared_by_reads_of_one_version_only() -> None:
    start = np.array([[1.0, 2.0, 0.0], [0.0, 0.5, 1.0]], "float32")
    with tf.Graph().as_default():
        w, labels = tf.Variable(start), tf.constant([2, 0])
        before = tf.nn.mean_sparse_softmax_cross_entropy_with_logits(w, labels)
        slope = tf.gradients(before, [w])[0]
        step = tf.assign(w, w - slope)
        after = tf.nn.mean_sparse_softmax_cross_entropy_with_logits(w, labels)
        session = tf.Session()
        session.run(w.initializer)
        old, new, content = session.run([before, after, step])

    def loss(x: np.ndarray) -> float:
        p = np.exp(x) / np.exp(x).sum(1, keepdims=True)
        return float(-np.log([p[0, 2], p[1, 0]]).mean())

    np.testing.assert_allclose([old, new], [loss(start), loss(content)], rtol=1e-5)
