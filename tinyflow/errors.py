"""The one family of errors: node, source line, got, expected, what to do. Layer: errors."""

from __future__ import annotations

__all__ = [
    "DTypeError",
    "FeedError",
    "GradientError",
    "GraphError",
    "PassError",
    "RunError",
    "ShapeError",
    "TinyflowError",
]


class TinyflowError(Exception):
    """Base of every error of the engine.

    ``what`` says what is wrong in one clause; ``node`` and ``source`` say where (op and name of the
    node, file and line of the user's code that made it); ``got``, ``expected`` and ``fix`` complete
    the message. Absent parts are left out.
    """

    def __init__(
        self,
        what: str,
        *,
        node: object | None = None,
        got: object | None = None,
        expected: object | None = None,
        fix: str | None = None,
    ) -> None:
        self.what, self.node = what, node
        self.got, self.expected, self.fix = got, expected, fix
        super().__init__(self._message())

    def _message(self) -> str:
        where = self.node.where() if hasattr(self.node, "where") else self.node
        parts = [f"{where}: {self.what}" if where else self.what]
        if self.got is not None:
            parts.append(f"got {self.got}")
        if self.expected is not None:
            parts.append(f"expected {self.expected}")
        text = "; ".join(parts)
        return f"{text}. {self.fix}" if self.fix else text

    def at(self, node: object) -> TinyflowError:
        """Return the same error placed at ``node``, unless it already names one."""
        if self.node is not None:
            return self
        return type(self)(self.what, node=node, got=self.got, expected=self.expected, fix=self.fix)

    def within(self, part: str, kind: type[TinyflowError] | None = None) -> TinyflowError:
        """Return the same error, said of ``part`` of a node or file: "line 3: unknown op".

        ``kind`` is its class, by default the same.
        """
        what, make = f"{part}: {self.what}", kind or type(self)
        return make(what, node=self.node, got=self.got, expected=self.expected, fix=self.fix)


class GraphError(TinyflowError):
    """A graph is not well formed: unknown op, wrong arity or attribute, cycle, corrupt file."""


class ShapeError(TinyflowError):
    """Shapes contradict each other or do not fit an op."""


class DTypeError(TinyflowError):
    """Dtypes contradict each other or do not fit an op."""


class GradientError(TinyflowError):
    """A gradient was asked for that does not exist."""


class PassError(TinyflowError):
    """A pass broke its contract or an invariant of the graph; the message names the pass."""


class FeedError(TinyflowError):
    """A feed is missing, of the wrong shape or of the wrong dtype."""


class RunError(TinyflowError):
    """A run cannot go on: uninitialised variable, missing kernel or device, failing kernel."""
