"""Functions of the judge that a student's code may call, and objects of the student's that the
judge may hold. Layer: sandbox.

A callback is counted and budgeted here, in the judge, so a count cannot be forged. A handle is a
number: the object it stands for never leaves the worker.
"""

from __future__ import annotations

from collections.abc import Callable as AnyFunction
from dataclasses import dataclass
from typing import Any

from autograder.sandbox.errors import Malformed, TimedOut
from autograder.wire import Extension, WireError

__all__ = ["Callback", "CallbackTable", "CallbackWire", "Handle", "HandleWire", "NoRule", "Own"]


class Callback:
    """``fn`` of the judge as a callable of the student's. ``calls`` counts, ``budget`` bounds."""

    def __init__(self, fn: AnyFunction[..., object], budget: int = 10_000) -> None:
        self.fn, self.budget, self.calls = fn, budget, 0

    def __call__(self, *args: object, **kwargs: object) -> object:
        """Count and call; raises TimedOut when the budget is spent."""
        self.calls += 1
        if self.calls > self.budget:
            raise TimedOut(f"called a given function more than {self.budget} times")
        return self.fn(*args, **kwargs)


@dataclass(frozen=True, slots=True)
class NoRule:
    """Entry of a table that says why there is no function: the worker sees ``NoGradient``."""

    reason: str


@dataclass(frozen=True, slots=True)
class Own:
    """Stands for a function in the worker, as an argument or in a table.

    ``name`` is one of the notebook's, or "module:name" of anything the worker can import.
    """

    name: str


class CallbackTable(dict[str, "Callback | NoRule | Own"]):
    """Functions by op name. The worker sees a mapping by op: ``table[node.op](node, dy)``."""


@dataclass(frozen=True, slots=True)
class Handle:
    """An object of the student's, kept in the worker under ``number``.

    ``handle.attr("run")`` names a method of it, to be passed to ``Worker.call``.
    """

    number: int
    attribute: str | None = None

    def attr(self, name: str) -> Handle:
        """The attribute ``name`` of the object, to be called."""
        return Handle(self.number, name)


class CallbackWire(Extension):
    """Judge's end of the extension ``$c``: callbacks leave as numbers and never come in."""

    tag = "$c"

    def __init__(self) -> None:
        self._callbacks: list[Callback] = []

    @property
    def given(self) -> int:
        """How many functions of the judge the worker was given."""
        return len(self._callbacks)

    def call(self, number: object, args: object, kwargs: object) -> object:
        """Do what the worker asks; raises Malformed if there is no such callback."""
        if type(number) is not int or not 0 <= number < len(self._callbacks):
            raise Malformed("called a function that was not given")
        if not isinstance(args, list) or not isinstance(kwargs, dict):
            raise Malformed("called a function without a list of arguments")
        if any(not isinstance(key, str) for key in kwargs):
            raise Malformed("called a function with arguments that have no name")
        return self._callbacks[number](*args, **kwargs)

    def write(self, obj: object, write: AnyFunction[[object], Any]) -> Any | None:
        """The number of a callback, the name of an own function, or the entries of a table."""
        if isinstance(obj, Callback | Own):
            return self._entry(obj)
        if isinstance(obj, CallbackTable):
            return {"table": [[name, self._entry(entry)] for name, entry in obj.items()]}
        return None

    def _entry(self, entry: Callback | NoRule | Own) -> Any:
        if isinstance(entry, NoRule):
            return entry.reason
        if isinstance(entry, Own):
            return {"own": entry.name}
        if entry not in self._callbacks:
            self._callbacks.append(entry)
        return self._callbacks.index(entry)


class HandleWire(Extension):
    """Judge's end of the extension ``$h``: handles are numbers on both ways."""

    tag = "$h"

    def write(self, obj: object, write: AnyFunction[[object], Any]) -> Any | None:
        """The number of a handle."""
        return obj.number if isinstance(obj, Handle) else None

    def read(self, content: Any, read: AnyFunction[[Any], object]) -> Handle:
        """The handle of a number; raises WireError."""
        if type(content) is not int or not 0 <= content < 1 << 31:
            raise WireError("a handle must be a number")
        return Handle(content)
