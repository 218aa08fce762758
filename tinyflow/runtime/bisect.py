"""Find the pass that changes results. Layer: runtime.

It works on a copy of the session, so that looking changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyflow.errors import TinyflowError
from tinyflow.ir import Graph, Node, Value
from tinyflow.passes import STANDARD
from tinyflow.passes.contract import Pass, Pipeline, Step
from tinyflow.runtime.interpreter import Watch
from tinyflow.runtime.observe import Array, as_host, observe
from tinyflow.runtime.session import Session

__all__ = ["EMITTED", "Bisection", "Change", "bisect"]

EMITTED = "emitted function"
_STANDARD = {stage.name: stage.run for stage in STANDARD.passes}
_Results = Mapping[str, Array]  # content by fetch or variable


@dataclass(frozen=True, slots=True)
class Change:
    """How far the results after one pass are from those of the graph as it was built.

    ``largest`` is the largest difference of two elements (inf if one of them is NaN or the run
    failed with ``error``), ``output`` the fetch or variable that has it; ``differs`` tells whether
    rounding cannot explain it.
    """

    name: str
    nodes: int
    largest: float = 0.0
    output: str = ""
    differs: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class Bisection:
    """A row per pass, and the name of the first that changes results (None: no pass does).

    ``node`` is the first node behind that pass whose content no node before the pass had, and
    ``largest`` its distance to the nearest of them. None if the emitted function is wrong although
    the graph is right: then a pass of yours is named that found out something untrue (a plan, a
    schedule), if with the standard pass in its place the function is right.
    """

    steps: tuple[Change, ...]
    culprit: str | None = None
    node: Node | None = None
    largest: float | None = None

    def __str__(self) -> str:
        lines = [f"{'after':<18}{'nodes':>7}  largest difference"]
        for step in self.steps:
            where = f" in {step.output}" if step.differs else ""
            mark = "  <- changes results" if step.differs else ""
            lines.append(f"{step.name:<18}{step.nodes:>7}  {step.largest:.3g}{where}{mark}")
            lines += [f"    {step.error}"] if step.error else []
        if self.culprit is None:
            lines.append("no pass changes results")
        elif self.culprit != self.steps[-1].name:
            lines.append(f"with the standard pass '{self.culprit}' the function is right")
        if self.node is not None:
            lines.append(f"first wrong node: {self.node.where()}, off by {self.largest:.3g}")
        return "\n".join(lines)


def bisect(
    session: Session,
    fetches: Sequence[Value],
    fed: Sequence[Value],
    given: Sequence[Any],
    tolerance: float | None = None,
) -> Bisection:
    """Interpret the graph as it was built and after each pass; run the emitted function last.

    Fetches and variables are compared. They differ when they are more than ``tolerance`` times the
    largest element apart; the default is the square root of the rounding unit of their dtype.
    Raises what the passes raise: PassError for one that breaks its contract.
    """
    clone = session.clone()
    graph, feeds = clone.prepared(fetches, fed, given)
    steps = _trace(clone.pipeline, graph)
    wanted = _interpreted(clone, graph, feeds)
    rows: list[Change] = []
    for before, step in zip([None, *steps], steps):
        if before is None or _same(before.graph, step.graph):
            last = rows[-1] if rows else Change("", 0)
            rows.append(Change(step.name, len(step.graph.nodes), last.largest, last.output))
            continue
        found = _attempt(_interpreted, clone, step.graph, feeds)
        rows.append(_compare(step, wanted, found, tolerance))
        if rows[-1].differs:
            return Bisection(
                tuple(rows), step.name, *_first_new(clone, before.graph, step.graph, feeds)
            )
    found = _attempt(_emitted, clone, fetches, fed, given)
    rows.append(_compare(Step(EMITTED, steps[-1].graph), wanted, found, tolerance))
    if not rows[-1].differs:
        return Bisection(tuple(rows))
    for stage in _own_passes(session.pipeline):
        other = session.clone()
        other.pipeline = session.pipeline.replace(stage.name, _STANDARD[stage.name])
        found = _attempt(_emitted, other, fetches, fed, given)
        if not _compare(steps[-1], wanted, found, tolerance).differs:
            return Bisection(tuple(rows), stage.name)
    return Bisection(tuple(rows), EMITTED)


def _same(a: Graph, b: Graph) -> bool:
    """True if a pass found out facts only."""
    return a.nodes == b.nodes and a.outputs == b.outputs


def _own_passes(pipeline: Pipeline) -> list[Pass]:
    """Those that stand in the place of a standard pass."""
    return [p for p in pipeline.passes if _STANDARD.get(p.name, p.run) is not p.run]


def _trace(pipeline: Pipeline, graph: Graph) -> list[Step]:
    """As far as the passes are written: the engine of a homework lacks some."""
    for count in range(len(pipeline.passes), 0, -1):
        try:
            return Pipeline(pipeline.passes[:count]).trace(graph)
        except NotImplementedError:
            continue
    return Pipeline(()).trace(graph)


def _interpreted(
    session: Session, graph: Graph, feeds: Mapping[Value, Array], watch: Watch | None = None
) -> _Results:
    return _labelled(session, *observe(session, graph, feeds, watch))


def _emitted(
    session: Session, fetches: Sequence[Value], fed: Sequence[Value], given: Sequence[Any]
) -> _Results:
    outputs = session.run_values(fetches, fed, given)
    return _labelled(session, outputs, session.checkpoint().arrays)


def _labelled(session: Session, outputs: Sequence[Any], contents: Mapping[str, Any]) -> _Results:
    found = {f"fetch {i}": array for i, array in enumerate(outputs) if array is not None}
    found |= {f"variable '{name}'": array for name, array in contents.items()}
    return {name: as_host(session.kernels, array) for name, array in found.items()}


def _attempt(run: Callable[..., _Results], *arguments: Any) -> _Results | str:
    """The results, or the message of the error."""
    try:
        return run(*arguments)
    except TinyflowError as error:
        return str(error)


def _compare(
    step: Step, wanted: _Results, found: _Results | str, tolerance: float | None
) -> Change:
    count = len(step.graph.nodes)
    if isinstance(found, str):
        return Change(step.name, count, np.inf, "the run, which fails", True, found)
    worst = Change(step.name, count)
    for label, array in wanted.items():
        largest, differs = _distance(array, found.get(label), tolerance)
        if (differs, largest) > (worst.differs, worst.largest):
            worst = Change(step.name, count, largest, label, differs)
    return worst


def _distance(a: Array, b: Array | None, tolerance: float | None) -> tuple[float, bool]:
    """The largest difference of two elements, and whether rounding cannot explain it."""
    if b is None or a.shape != b.shape:
        return np.inf, True
    finite = np.isfinite(a) & np.isfinite(b)
    if not np.array_equal(a[~finite], b[~finite], equal_nan=a.dtype.kind == "f"):
        return np.inf, True
    x, y = a[finite].astype(np.float64), b[finite].astype(np.float64)
    largest = float(np.abs(x - y).max(initial=0.0))
    if a.dtype.kind != "f":
        return largest, largest > 0
    unit = np.sqrt(np.finfo(a.dtype).eps) if tolerance is None else tolerance
    return largest, largest > unit * float(np.abs(x).max(initial=0.0))


def _first_new(
    session: Session, before: Graph, after: Graph, feeds: Mapping[Value, Array]
) -> tuple[Node | None, float | None]:
    """The first node of ``after`` whose content ``before`` does not have, and how far off it is."""
    known = [array for _, array in _contents(session, before, feeds)]
    for node, array in _contents(session, after, feeds):
        distances = [_distance(other, array, None) for other in known if other.shape == array.shape]
        if all(differs for _, differs in distances):
            return node, min((largest for largest, _ in distances), default=np.inf)
    return None, None


def _contents(
    session: Session, graph: Graph, feeds: Mapping[Value, Array]
) -> list[tuple[Node, Array]]:
    """What each node computes, as far as the run gets."""
    found: list[tuple[Node, Array]] = []

    def note(node: Node, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        found.extend((node, as_host(session.kernels, array)) for array in outputs)

    _attempt(_interpreted, session, graph, feeds, note)
    return found
