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
from autograder.wire import Extension, require

__all__ = ["Callback", "CallbackTable", "Handle", "NoRule", "Own", "ReferenceWire"]


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

    A method of it is an object too: ``worker.call("builtins:getattr", kept, "run", keep=True)``.
    """

    number: int


class ReferenceWire(Extension):
    """Judge's end of the extension ``$r``: what is given leaves as a kind and a number or name.

    Only handles come in. ``given``: the functions of the judge that the worker may call.
    """

    tag = "$r"

    def __init__(self) -> None:
        self.given: list[Callback] = []

    def call(self, number: object, args: object, kwargs: object) -> object:
        """Do what the worker asks; raises Malformed if there is no such callback."""
        if type(number) is not int or not 0 <= number < len(self.given):
            raise Malformed("called a function that was not given")
        if not isinstance(args, list) or not isinstance(kwargs, dict):
            raise Malformed("called a function without a list of arguments")
        if any(not isinstance(key, str) for key in kwargs):
            raise Malformed("called a function with arguments that have no name")
        return self.given[number](*args, **kwargs)

    def write(self, obj: object, write: AnyFunction[[object], Any]) -> Any | None:
        """The kind of reference, and the number, name or entries."""
        if isinstance(obj, CallbackTable):
            return ["table", [[name, self.write(entry, write)] for name, entry in obj.items()]]
        if isinstance(obj, NoRule):
            return ["none", obj.reason]
        if isinstance(obj, Own):
            return ["own", obj.name]
        if isinstance(obj, Handle):
            return ["kept", obj.number]
        if not isinstance(obj, Callback):
            return None
        if obj not in self.given:
            self.given.append(obj)
        return ["given", self.given.index(obj)]

    def read(self, content: Any, read: AnyFunction[[Any], object]) -> object:
        """The handle of a number; raises WireError."""
        require(type(content) is int and 0 <= content < 1 << 31, "a handle must be a number")
        return Handle(content)
