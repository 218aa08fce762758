"""Find the node that makes the first NaN or infinity. Layer: runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyflow.ir import Node, Value
from tinyflow.runtime.observe import Array, as_host, observe
from tinyflow.runtime.session import Session
from tinyflow.types import show_shape

__all__ = ["Finding", "Range", "find_nan"]


@dataclass(frozen=True, slots=True)
class Range:
    """What an array holds: its least and greatest finite element, and how many are not finite."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    least: float
    greatest: float
    nans: int
    infinities: int

    @staticmethod
    def of(name: str, array: Array) -> Range:
        """The range of an array; least and greatest are NaN if no element is finite."""
        real = array.astype(np.float64)
        finite = real[np.isfinite(real)]
        least, greatest = (finite.min(), finite.max()) if finite.size else (np.nan, np.nan)
        nans, infinities = int(np.isnan(real).sum()), int(np.isinf(real).sum())
        sizes = (float(least), float(greatest))
        return Range(name, str(array.dtype), array.shape, *sizes, nans, infinities)

    def __str__(self) -> str:
        odd = [f"{n} {what}" for n, what in ((self.nans, "NaN"), (self.infinities, "inf")) if n]
        spread = f"from {self.least:.4g} to {self.greatest:.4g}"
        return f"{self.name}: {self.dtype}{show_shape(self.shape)} " + ", ".join([spread, *odd])


@dataclass(frozen=True, slots=True)
class Finding:
    """The first node that makes NaN where no input has one, or infinity from finite inputs.

    ``position`` is the index of the first such element. A fed array or a variable that holds one is
    a finding of its own, without inputs.
    """

    node: Node
    kind: str
    position: tuple[int, ...]
    output: Range
    inputs: tuple[Range, ...]

    def __str__(self) -> str:
        at = f" at {list(self.position)}" if self.position else ""
        head = f"{self.node.where()}: the first {self.kind}{at}"
        return "\n".join([head, *(f"  {each}" for each in (*self.inputs, self.output))])


class _Found(Exception):
    """Ends the run at the first finding."""

    def __init__(self, finding: Finding) -> None:
        self.finding = finding


def find_nan(
    session: Session, fetches: Sequence[Value], fed: Sequence[Value], given: Sequence[Any]
) -> Finding | None:
    """Interpret the graph as it was built, node by node; None if every element is finite.

    Nothing is changed; random ops draw what they will draw in the next run.
    """
    graph, feeds = session.prepared(fetches, fed, given)
    saved = session.checkpoint()
    for node in graph.nodes:
        array = feeds.get(Value(node))
        if node.op.name == "variable":
            array = saved.arrays.get(node.name or "")
        if array is not None and (found := _bad(node, [array], [])) is not None:
            return found

    def watch(node: Node, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        made = [as_host(session.kernels, array) for array in outputs]
        if any(a.dtype.kind == "f" and not np.isfinite(a).all() for a in made):
            read = [as_host(session.kernels, array) for array in inputs if array is not None]
            if (found := _bad(node, made, read)) is not None:
                raise _Found(found)

    try:
        observe(session, graph, feeds, watch)
    except _Found as stop:
        return stop.finding
    return None


def _bad(node: Node, made: Sequence[Array], read: Sequence[Array]) -> Finding | None:
    """What ``node`` makes that is worse than what it reads: NaN from none, or inf from finite."""
    real = [array for array in read if array.dtype.kind == "f"]
    worst = max((2 * np.isnan(a).any() or np.isinf(a).any() for a in real), default=0)
    for array in made:
        if array.dtype.kind != "f":
            continue
        kind, where = (
            ("NaN", np.isnan(array)) if np.isnan(array).any() else ("inf", np.isinf(array))
        )
        if where.any() and (2 if kind == "NaN" else 1) > worst:
            position = tuple(int(i) for i in np.argwhere(where)[0])
            inputs = tuple(
                Range.of(name, a) for name, a in zip(_input_names(node, len(read)), read)
            )
            return Finding(node, kind, position, Range.of("output", array), inputs)
    return None


def _input_names(node: Node, count: int) -> list[str]:
    names = [*node.op.inputs, *(node.op.inputs[-1:] * count)][:count]
    labels = [f" '{value.node.name}'" if value.node.name else "" for value in node.inputs]
    return [f"input {name}{label}" for name, label in zip(names, [*labels, *[""] * count])]
