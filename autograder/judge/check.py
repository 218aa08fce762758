"""Look at a student's answer: form first, then structure, then numbers. Layer: judge.

Every function raises ``Wrong`` and says what was found and expected; the text goes to the
instructor. An answer is hostile until its type has been looked at, so nothing here calls a method
of an answer before that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from tinyflow.ir import Graph, Node, Value

__all__ = [
    "Wrong",
    "at_most",
    "close",
    "equal",
    "graph",
    "known_leaves",
    "new_nodes",
    "value",
    "values",
]


class Wrong(Exception):
    """The student's answer is wrong. The text is for the instructor only."""


def fail(what: str, got: object, expected: object) -> NoReturn:
    """Raise Wrong with a bounded text."""
    raise Wrong(f"{what}: got {_show(got)}, expected {_show(expected)}")


def value(answer: object, what: str = "the answer") -> Value:
    """``answer`` if it is a Value."""
    if type(answer) is not Value:
        fail(what, type(answer).__name__, "a Value")
    return answer


def values(answer: object, count: int, what: str = "the answer") -> tuple[Value | None, ...]:
    """``answer`` if it is a tuple or list of ``count`` Values or Nones."""
    if type(answer) not in (tuple, list):
        fail(what, type(answer).__name__, f"a tuple of {count} values")
    items: Sequence[object] = answer  # type: ignore[assignment]
    if len(items) != count:
        fail(f"{what}: number of values", len(items), count)
    return tuple(None if item is None else value(item, what) for item in items)


def graph(answer: object, count: int, what: str = "the answer") -> Graph:
    """``answer`` if it is a Graph with ``count`` outputs."""
    if type(answer) is not Graph:
        fail(what, type(answer).__name__, "a Graph")
    if len(answer.outputs) != count:
        fail(f"{what}: number of outputs", len(answer.outputs), count)
    return answer


def known_leaves(answer: Graph, given: Iterable[Node]) -> None:
    """No placeholder or variable but the given ones: an answer must compute from its inputs."""
    known = set(given)
    for node in answer.nodes:
        if node.op.name in ("placeholder", "variable") and node not in known:
            fail("a leaf the test did not make", node, "the placeholders of the inputs")


def new_nodes(answer: Graph, given: Iterable[Node]) -> list[Node]:
    """Nodes of ``answer`` that were not given; constants are free."""
    known = set(given)
    return [node for node in answer.nodes if node not in known and node.op.name != "constant"]


def at_most(count: int, bound: int, what: str) -> None:
    """``count`` does not exceed ``bound``."""
    if count > bound:
        fail(what, count, f"at most {bound}")


def equal(got: object, expected: object, what: str) -> None:
    """Plain data (numbers, strings, counters, identities of nodes) is equal."""
    if got != expected:
        fail(what, got, expected)


def close(
    got: object,
    expected: npt.ArrayLike,
    what: str = "a gradient",
    *,
    rtol: float = 1e-6,
    atol: float = 1e-8,
) -> None:
    """``got`` is a floating array of the expected shape, finite, and close to it.

    ``atol`` counts in units of the largest expected number: a zero among large ones is fine.
    """
    want = np.asarray(expected)
    if not isinstance(got, np.ndarray | np.floating):
        fail(f"{what}: type", type(got).__name__, "an array")
    if got.dtype.kind != "f":
        fail(f"{what}: dtype", got.dtype, "a floating dtype")
    if got.shape != want.shape:
        fail(f"{what}: shape", got.shape, want.shape)
    if not np.isfinite(got).all():
        fail(f"{what}: a number that is not finite", got, want)
    scale = float(np.abs(want).max(initial=1.0))
    if not np.allclose(got, want, rtol=rtol, atol=atol * scale):
        fail(f"{what}: numbers", got, want)


def _show(item: Any) -> str:
    if isinstance(item, np.ndarray):
        return np.array2string(item, threshold=20, edgeitems=2, precision=6)[:600]
    if isinstance(item, Counter):
        item = dict(item)
    return repr(item)[:600]
