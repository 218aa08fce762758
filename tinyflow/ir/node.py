"""Node and Value: one application of an op, and one of its results. Layer: ir.

Both are frozen and tell nothing about their inputs when printed: a default ``repr`` would print the
whole graph below a node, and on a chain of diamonds that is exponentially long.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from operator import is_
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tinyflow.types import Device

if TYPE_CHECKING:
    from tinyflow.ir.op import Op

__all__ = ["NO_ATTRS", "Node", "Value", "user_line"]

NO_ATTRS: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Node:
    """One application of ``op`` to ``inputs``; compared by identity.

    ``attrs`` are compile-time parameters, complete and checked; ``after`` lists nodes that must run
    before this one although no data flows; ``source`` is the user's "file:line".
    """

    op: Op
    inputs: tuple[Value, ...] = ()
    attrs: Mapping[str, Any] = field(default_factory=lambda: NO_ATTRS)
    name: str | None = None
    after: tuple[Node, ...] = ()
    device: Device | None = None
    source: str | None = None
    outputs: tuple[Value, ...] = field(init=False)  # all results, in order

    def __post_init__(self) -> None:
        count = self.op.output_count(self.attrs)
        outputs = (Value(self),) if count == 1 else tuple(Value(self, i) for i in range(count))
        object.__setattr__(self, "outputs", outputs)

    @property
    def is_leaf(self) -> bool:
        """True for placeholders, variables and constants: passes keep these nodes as they are."""
        return not self.inputs and self.op.leaf

    def with_inputs(self, inputs: tuple[Value, ...], after: tuple[Node, ...] | None = None) -> Node:
        """The same application on other inputs (itself, if nothing changed)."""
        after = self.after if after is None else after
        if inputs == self.inputs and after == self.after and _same_versions(inputs, self.inputs):
            return self
        return Node(self.op, inputs, self.attrs, self.name, after, self.device, self.source)

    def where(self) -> str:
        """Place for an error message: op, name and source line."""
        name = f" '{self.name}'" if self.name else ""
        return f"{self.op.name}{name} ({self.source})" if self.source else self.op.name + name

    def __repr__(self) -> str:
        return f"<{self.op.name} {self.name!r}>" if self.name else f"<{self.op.name}>"


@dataclass(frozen=True, slots=True, repr=False)
class Value:
    """NNVM's entry: result ``index`` of ``node``, read after ``version`` writes to it.

    ``version`` matters only for variables and takes no part in equality: W@0 and W@1 are one entry
    to gradients, shapes and storage.
    """

    node: Node
    index: int = 0
    version: int = field(default=0, compare=False)
    _hash: int = field(init=False, compare=False)  # looked up too often to be computed each time

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash(self.node) + self.index)

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        index = f":{self.index}" if self.index else ""
        version = f"@{self.version}" if self.version else ""
        return f"{self.node!r}{index}{version}"


def _same_versions(a: tuple[Value, ...], b: tuple[Value, ...]) -> bool:
    return all(map(is_, a, b)) or all(x.version == y.version for x, y in zip(a, b))


# The line of the user that a rewrite stands in for: what it makes belongs there.
STANDS_FOR: ContextVar[str | None] = ContextVar("tinyflow_stands_for", default=None)
# The device of nodes that are made now: that of a block of the front end, or of the rewritten node.
PLACED_ON: ContextVar[Device | None] = ContextVar("tinyflow_placed_on", default=None)


def user_line() -> str | None:
    """ "file:line" of the innermost caller outside this package, or None."""
    if (line := STANDS_FOR.get()) is not None:
        return line
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        inside = _INSIDE.get(file)
        if inside is None:
            inside = frame.f_globals.get("__name__", "").partition(".")[0] == "tinyflow"
            if not file.startswith("<"):  # such as <string>, which many share
                _INSIDE[file] = inside
        if not inside:
            return f"{file.rpartition('/')[2]}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return None


_INSIDE: dict[str, bool] = {}  # file: whether it belongs to this package
