"""What mutates while a program builds graphs: names, versions, initialisers. Layer: frontend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from tinyflow.ir import Node, Value

__all__ = ["Scope", "current_scope", "new_scope", "reset_default_graph"]


@dataclass(slots=True)
class Scope:
    """Names that are taken, writes counted per variable, and how variables get their first value.

    This is what TensorFlow 1 calls a graph: ``tf.Graph().as_default()`` enters a fresh one.
    """

    taken: dict[str, int] = field(default_factory=dict)
    versions: dict[Node, int] = field(default_factory=dict)  # all variables, in creation order
    initialisers: list[Value] = field(default_factory=list)
    untrained: set[Node] = field(default_factory=set)  # optimiser slots, counters
    random_nodes: int = 0

    def unique_name(self, wanted: str) -> str:
        """``wanted``, or ``wanted_1``, ``wanted_2``, ... if it is taken."""
        count = self.taken.get(wanted, 0)
        self.taken[wanted] = count + 1
        return self.unique_name(f"{wanted}_{count}") if count else wanted

    def next_seed(self) -> int:
        """A seed of its own for each random node, in creation order."""
        self.random_nodes += 1
        return self.random_nodes

    def wrote(self, variable: Node) -> None:
        """Count a write: later reads of the variable follow it."""
        self.versions[variable] = self.versions.get(variable, 0) + 1

    @contextmanager
    def as_default(self) -> Iterator[Scope]:
        """Build into this scope inside a ``with`` block."""
        token = _current.set(self)
        try:
            yield self
        finally:
            _current.reset(token)


_default = Scope()
_current: ContextVar[Scope | None] = ContextVar("tinyflow_scope", default=None)


def current_scope() -> Scope:
    """The scope that operations build into now."""
    return _current.get() or _default


def new_scope() -> Scope:
    """A fresh scope; ``tf.Graph()``."""
    return Scope()


def reset_default_graph() -> None:
    """Forget names, variables and initialisers of the default scope; sessions stay as they are."""
    global _default
    _default = Scope()
