"""A node that a rule writes out in other ops, and what is known of it. Layer: ops."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tinyflow.ir import Node, Op, Value
from tinyflow.types import DType, Shape, is_static

__all__ = ["Rule", "Site", "Unknown", "write_out"]


class Unknown(Exception):
    """A rule needs a shape or dtype that inference has not found."""


@dataclass(frozen=True, slots=True)
class Site:
    """``node`` of a graph with its ``shapes`` and ``dtypes``; ``inputs`` are those to use now."""

    node: Node
    inputs: tuple[Value, ...]
    shapes: Mapping[Value, Shape]
    dtypes: Mapping[Value, DType | None]

    def shape(self, position: int) -> tuple[int, ...]:
        """Sizes of an input; raises Unknown if one of them is not known."""
        return self._sizes(self.node.inputs[position])

    def results(self) -> tuple[tuple[int, ...], ...]:
        """Sizes of all outputs; raises Unknown if one of them is not known."""
        return tuple(map(self._sizes, self.node.outputs))

    def dtype(self, position: int | None = None) -> DType:
        """The dtype of an input, or else of the first output; raises Unknown."""
        value = self.node.outputs[0] if position is None else self.node.inputs[position]
        dtype = self.dtypes[value]
        if dtype is None:
            raise Unknown
        return dtype

    def _sizes(self, value: Value) -> tuple[int, ...]:
        shape = self.shapes[value]
        if not is_static(shape):
            raise Unknown
        return shape


Rule = Callable[[Site], Value | tuple[Value, ...] | None]  # None: the node stays as it is


def write_out(rules: Mapping[Op, Rule], site: Site) -> tuple[Value, ...] | None:
    """What the rule of this op makes; None if there is none, or it needs what is not known."""
    if site.node.op not in rules:
        return None
    try:
        made = rules[site.node.op](site)
    except Unknown:
        return None
    return (made,) if isinstance(made, Value) else made
