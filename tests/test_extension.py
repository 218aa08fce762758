"""An op and a pass from a package outside, in one file: a bed for experiments.

Everything above the first test is what a researcher writes; nothing inside ``tinyflow`` is edited.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch

import tinyflow as tf
from tinyflow import ops
from tinyflow.adjoints import ADJOINTS
from tinyflow.backends.numpy_ import NUMPY
from tinyflow.backends.table import Kernel
from tinyflow.backends.torch_ import TORCH
from tinyflow.errors import GraphError, ShapeError
from tinyflow.frontend.tf.tensor import apply
from tinyflow.ir import CONSTANT, Graph, Node, Op, Value, parse, rewrite, text
from tinyflow.ir.op import Attribute
from tinyflow.ops import OPS
from tinyflow.passes import OPTIONS, STANDARD
from tinyflow.passes.contract import Pass
from tinyflow.types import Shape, unify_shape

# --- an op: the powers of a vector ---------------------------------------------------------------


def powers_shape(
    attrs: Mapping[str, Any], ins: Sequence[Shape], outs: Sequence[Shape]
) -> tuple[Sequence[Shape], Sequence[Shape]]:
    """x (n,) <-> y (n, degree + 1); n flows both ways."""
    (n,) = unify_shape(ins[0], (None,))
    n, columns = unify_shape(outs[0], (n, attrs["degree"] + 1))
    return ((n,),), ((n, columns),)


powers = Op(
    "lab_powers",
    inputs=("x",),
    attributes={"degree": Attribute("int", doc="highest power")},
    shape=powers_shape,
    dtype=ops.exp.dtype,
    doc="y[i, k] = x[i] ** k for k from 0 to degree.",
)


def numpy_powers(x: np.ndarray, degree: int) -> np.ndarray:
    return np.vander(x, degree + 1, increasing=True).astype(x.dtype)


def torch_powers(x: torch.Tensor, degree: int) -> torch.Tensor:
    return torch.linalg.vander(x, N=degree + 1)


def powers_adjoint(node: Node, dy: Value) -> tuple[Value, ...]:
    """d x ** k = k x ** (k - 1) dx: the powers, shifted by one column and scaled."""
    degree = node.attrs["degree"]
    shift = np.diag(np.arange(1.0, degree + 1), 1)
    slopes = ops.matmul(node.outputs[0], ops.cast_like(ops.constant(shift), node.inputs[0]))
    return (ops.reduce_sum(ops.mul(dy, slopes), reduction_indices=(1,)),)


def install() -> None:
    """What the package does when it is imported."""
    OPS.add(powers)
    ADJOINTS.add(powers, powers_adjoint)
    NUMPY.add(powers, Kernel(numpy_powers))
    TORCH.add(powers, Kernel(torch_powers))


# --- a pass: multiply instead of squaring ---------------------------------------------------------


def multiply_squares(graph: Graph) -> Graph:
    """x ** 2 becomes x * x."""

    def rule(node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...] | None:
        if node.op is not ops.pow or inputs[1].node.op is not CONSTANT:
            return None
        if not np.array_equal(inputs[1].node.attrs["value"], 2.0):
            return None
        return (ops.mul(inputs[0], inputs[0], name=node.name),)

    return rewrite(graph, rule)[0]


SQUARES = Pass("multiply squares", multiply_squares)
MINE = STANDARD.insert(SQUARES, before="infer")

# --- that it works --------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is there for these tests only."""
    for table in (OPS, NUMPY, TORCH):
        monkeypatch.setattr(table, "_rows", dict(table._rows))
    monkeypatch.setattr(ADJOINTS, "_rules", dict(ADJOINTS._rules))
    tf.reset_default_graph()
    install()


def fit() -> tuple[Any, ...]:
    """A cubic in an unknown scale of x: y = powers(s x) @ c."""
    x, y = tf.placeholder(tf.float32, [None], name="x"), tf.placeholder(tf.float32, [None])
    scale = tf.Variable(0.5, name="scale")
    c = tf.Variable(tf.zeros([4, 1]), name="c")
    features = apply(powers, x * scale, degree=3, name="features")
    error = tf.reshape(tf.matmul(features, c), [-1]) - y
    loss = tf.reduce_mean(error**2.0)
    return x, y, loss, tf.train.AdamOptimizer(0.05).minimize(loss)


@pytest.mark.parametrize("config", ["cpu", "numpy", "cpu interpret", " ".join(OPTIONS)])
def test_a_model_with_op_and_pass_from_outside_learns(config: str) -> None:
    x, y, loss, step = fit()
    given = np.linspace(-1, 1, 50)
    feeds = {x: given, y: 1 - 2 * given + 3 * given**3}
    sess = tf.Session(config, pipeline=MINE)
    sess.run(tf.global_variables_initializer())
    first = sess.run(loss, feeds)
    for _ in range(600):
        sess.run(step, feeds)
    assert sess.run(loss, feeds) < 1e-3 < first
    assert sess.bisect(step, feeds).culprit is None


def test_the_pass_did_its_work_and_is_seen() -> None:
    x, y, loss, _ = fit()
    sess = tf.Session(pipeline=MINE)
    sess.run(tf.global_variables_initializer())
    steps = {s.name: str(s) for s in sess.trace(loss, {x: np.ones(3), y: np.ones(3)})}
    assert "pow(" in steps["input"] and "pow(" not in steps["multiply squares"]


def test_shapes_flow_through_the_op_both_ways() -> None:
    x = tf.placeholder(tf.float32, [7])
    assert apply(powers, x, degree=2).shape == (7, 3)
    hidden = tf.placeholder(tf.float32)
    known = apply(powers, hidden, degree=2) + tf.zeros([7, 3])
    assert known.shape == (7, 3)
    with pytest.raises(ShapeError, match=r"lab_powers 'bad' \(test_extension.py:\d+\)"):
        _ = apply(powers, tf.placeholder(tf.float32, [2, 2]), degree=2, name="bad").shape
    with pytest.raises(GraphError, match="lab_powers.*attribute 'degree' is missing"):
        apply(powers, x)


def test_first_and_second_derivatives_are_right() -> None:
    x = tf.placeholder(tf.float64, [3])
    total = tf.reduce_sum(apply(powers, x, degree=3))
    (slope,) = tf.gradients(total, [x])
    (curvature,) = tf.gradients(slope, [x])
    at = np.array([0.5, -1.0, 2.0])
    with tf.Session() as sess:
        made = sess.run([slope, curvature], {x: at})
    np.testing.assert_allclose(made[0], 1 + 2 * at + 3 * at**2)
    np.testing.assert_allclose(made[1], 2 + 6 * at)


def test_a_graph_with_the_op_is_printed_and_read() -> None:
    graph = Graph((powers(ops.variable(dtype="float32", name="x"), degree=3),))
    assert text(parse(text(graph), OPS)) == text(graph)
