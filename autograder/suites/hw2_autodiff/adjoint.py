"""Put one adjoint rule to the test: a judge-made node in, a graph back. Part of the suite.

The rule's shapes are hidden (placeholders of unknown shape), its upstream gradient is random, and
what it built is executed in the locked runner, never here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from autograder.judge import check
from autograder.judge.oracle import Forward, derivatives
from autograder.judge.student import Runner, Student
from tinyflow import ops
from tinyflow.ir import Graph, Node, Op, Value
from tinyflow.types import as_dtype

__all__ = ["Question", "answer", "ask"]

MAX_NODES = 60  # that one rule may build: far more than any sensible formula needs
_TOLERANCE = {"float64": 1e-7, "float32": 2e-4}


@dataclass(frozen=True, slots=True)
class Question:
    """One application of an op, the adjoint of its result, their contents, and the right answer.

    ``expected`` holds one array per input of ``node``; None where no gradient must flow.
    """

    node: Node
    dy: Value
    feeds: dict[Value, npt.NDArray[Any]]
    expected: tuple[npt.NDArray[np.float64] | None, ...]


def ask(
    op: Op,
    arrays: Sequence[npt.ArrayLike],
    forward: Forward,
    rng: np.random.Generator,
    *,
    integers: Sequence[npt.NDArray[np.int64]] = (),
    upstream: npt.ArrayLike | None = None,
    shared: bool = False,
    dtype: str = "float64",
    **attrs: Any,
) -> Question:
    """Apply ``op`` to placeholders that hold ``arrays``, then ``integers``, with random upstream.

    ``forward(xp, *arrays)`` is the computation for the oracles. With ``shared`` all inputs are one
    placeholder, which holds ``arrays[0]``.
    """
    floats = [np.array(array, dtype) for array in arrays]
    if shared:
        floats = [floats[0]] * len(floats)
    contents: list[npt.NDArray[Any]] = [*floats, *integers]
    leaves = [ops.placeholder(dtype=as_dtype(array.dtype)) for array in contents]
    inputs = [leaves[0]] * len(leaves) if shared else leaves
    node = op(*inputs, **attrs).node
    points = [array.astype(np.float64) for array in floats]
    shape = np.shape(forward(np, *points))
    weight = np.array(rng.normal(size=shape) if upstream is None else upstream, dtype)
    slopes = derivatives(forward, points, weight.astype(np.float64))
    dy = ops.placeholder(dtype=as_dtype(dtype))
    feeds = {**dict(zip(inputs, contents)), dy: weight}
    return Question(node, dy, feeds, (*slopes, *(None for _ in integers)))


def answer(
    student: Student, runner: Runner, rule: str, question: Question, *, only: int | None = None
) -> list[Node]:
    """Ask ``rule``, check form, leaves, size, dtype and numbers; return the nodes that it built.

    With ``only`` the numbers of one input's adjoint are looked at, so that a half-right rule earns
    the points of its right half.
    """
    node, dy = question.node, question.dy
    reply = check.values(student.call(rule, node, dy), len(node.inputs))
    asked = [i for i in range(len(reply)) if only in (None, i)]
    for position in asked:
        check.equal(reply[position] is None, question.expected[position] is None, "adjoint is None")
    built = Graph(tuple(value for i in asked if (value := reply[i]) is not None))
    given = [*Graph((Value(node), dy)).nodes]
    check.known_leaves(built, given)
    new = check.new_nodes(built, given)
    check.at_most(len(new), MAX_NODES, "nodes that the rule builds")
    arrays = iter(runner.run(built, question.feeds))
    upstream = question.feeds[dy]
    for position in asked:
        want = question.expected[position]
        if want is not None:
            got = next(arrays)
            what = f"adjoint of input {position}"
            tolerance = _TOLERANCE[upstream.dtype.name]
            check.close(got, want, what, rtol=tolerance, atol=tolerance)
            check.equal(got.dtype, upstream.dtype, f"{what}: dtype")
    return new
