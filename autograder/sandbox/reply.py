"""Read what a worker says went wrong, believing none of it. Layer: sandbox.

The worker may be the student's puppet: names come from an allow-list, places are two small numbers,
and free text goes to ``detail``, which only the instructor sees.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from autograder.sandbox.callback import Handle
from autograder.sandbox.errors import (
    EXCEPTION_NAMES,
    MEMORY_EXIT_CODE,
    Crashed,
    Malformed,
    NotImplementedByStudent,
    OutOfMemory,
    StudentError,
    StudentFault,
    TimedOut,
)
from autograder.sandbox.limits import Limits
from autograder.wire import Kind, WireError, require
from tinyflow.homework import CellFailure, LoadReport

__all__ = ["explain_end", "kept_handle", "load_report", "read_reply", "run_results"]

T = TypeVar("T")

_PLACE = re.compile(r"cell \d{1,5}, line \d{1,6}")
_FAULTS: Mapping[str, tuple[type[StudentFault], str]] = {
    "memory": (OutOfMemory, "more memory than allowed"),
    "not_implemented": (NotImplementedByStudent, "not written yet"),
    "malformed": (Malformed, "the answer is not data of a kind that may cross"),
}
_MAX_DETAIL, _MAX_NAMES, _MAX_CELL = 4_000, 500, 100_000


def read_reply(kind: Kind, reply: object, read: Callable[[Any], T]) -> T | StudentFault:
    """What ``read`` makes of a result, or the fault that an error describes; raises Malformed."""
    try:
        return _fault_of(reply) if kind is Kind.ERROR else read(reply)
    except WireError as error:
        raise Malformed(f"the answer is not acceptable: {error}") from None


def _fault_of(reply: Any) -> StudentFault:
    require(isinstance(reply, dict), "an error must be described by a dict")
    fault, detail, line = reply.get("fault"), reply.get("detail"), reply.get("line")
    require(isinstance(detail, str), "an error must come with a detail text")
    detail = detail[:_MAX_DETAIL]
    if not (isinstance(line, str) and _PLACE.fullmatch(line)):
        line = None
    if fault == "error":
        return StudentError(_exception_name(reply.get("name")), line, detail)
    require(isinstance(fault, str) and fault in _FAULTS, "an error of unknown kind")
    kind, message = _FAULTS[fault]
    return kind(message, line=line, detail=detail)


def explain_end(fault: StudentFault, usage: Mapping[str, Any], limits: Limits) -> StudentFault:
    """The fault of a worker that ended by itself, from its exit status."""
    status = usage.get("status")
    if usage.get("expired"):
        return TimedOut("the worker lived longer than allowed")
    if status is None:
        return fault
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGXCPU or usage["cpu_s"] >= limits.cpu_s:
            return TimedOut("more processor time than allowed")
        name = next((known.name for known in signal.Signals if known == number), str(number))
        return Crashed(f"{fault} (signal {name})", detail=fault.detail)
    code = os.waitstatus_to_exitcode(status)
    if code == MEMORY_EXIT_CODE:
        return OutOfMemory("more memory than allowed")
    return Crashed(f"{fault} (exit code {code})", detail=fault.detail)


def load_report(reply: Any) -> LoadReport:
    """The report of loading a notebook; raises WireError if it is not one."""
    require(isinstance(reply, list) and len(reply) == 3, "a load report has three parts")
    failures, redefined, defined = reply
    require(isinstance(failures, list) and len(failures) <= _MAX_NAMES, "failures must be a list")
    return LoadReport(tuple(map(_cell_failure, failures)), _names(redefined), _names(defined))


def kept_handle(reply: object) -> Handle:
    """The handle of a result that stays in the worker; raises WireError if it is none."""
    if not isinstance(reply, Handle):
        raise WireError("expected a handle")
    return reply


def run_results(reply: Any) -> tuple[list[Any], dict[str, Any]]:
    """Arrays and variables that a runner answers with; raises WireError if it does not."""
    pair = isinstance(reply, list) and len(reply) == 2
    good = pair and isinstance(reply[0], list) and isinstance(reply[1], dict)
    require(good, "a runner must answer with arrays and variables")
    return reply[0], reply[1]


def _cell_failure(parts: Any) -> CellFailure:
    require(isinstance(parts, list) and len(parts) == 5, "a failure has five parts")
    cell, identity, line, name, message = parts
    placed = _is_small(cell) and (line is None or _is_small(line)) and isinstance(identity, str)
    require(placed and isinstance(message, str), "a failure must name a cell and a line")
    return CellFailure(cell, identity[:100], line, _exception_name(name), message[:500])


def _names(items: Any) -> tuple[str, ...]:
    require(isinstance(items, list) and len(items) <= _MAX_NAMES, "names must be a list")
    return tuple(item for item in items if isinstance(item, str) and item.isidentifier())


def _is_small(number: object) -> bool:
    return type(number) is int and 0 <= number < _MAX_CELL


def _exception_name(name: object) -> str:
    return name if isinstance(name, str) and name in EXCEPTION_NAMES else "Exception"
