"""Read what a worker says went wrong, believing none of it. Layer: sandbox.

The worker may be the student's puppet: names come from an allow-list, places are two small numbers,
and free text goes to ``detail``, which only the instructor sees.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Mapping
from typing import Any

from autograder.sandbox.errors import (
    EXCEPTION_NAMES,
    Crashed,
    Malformed,
    NotImplementedByStudent,
    OutOfMemory,
    StudentError,
    StudentFault,
    TimedOut,
)
from autograder.sandbox.limits import Limits
from autograder.wire import WireError
from tinyflow.homework import CellFailure, LoadReport

__all__ = ["MEMORY_EXIT_CODE", "explain_end", "fault_of", "load_report"]

MEMORY_EXIT_CODE = 86  # of a worker in which not even the message "out of memory" fitted
_PLACE = re.compile(r"cell \d{1,5}, line \d{1,6}")
_MAX_DETAIL, _MAX_NAMES, _MAX_CELL = 4_000, 500, 100_000


def fault_of(reply: object) -> StudentFault:
    """The fault that an error reply describes; raises WireError if it is not one."""
    if not isinstance(reply, dict):
        raise WireError("an error must be described by a dict")
    fault, detail = reply.get("fault"), reply.get("detail")
    if not isinstance(detail, str):
        raise WireError("an error must come with a detail text")
    detail = detail[:_MAX_DETAIL]
    line = reply.get("line")
    if not (isinstance(line, str) and _PLACE.fullmatch(line)):
        line = None
    if fault == "memory":
        return OutOfMemory("more memory than allowed", line=line, detail=detail)
    if fault == "not_implemented":
        return NotImplementedByStudent("not written yet", line=line, detail=detail)
    if fault == "malformed":
        return Malformed("the answer is not data of a kind that may cross", detail=detail)
    if fault != "error":
        raise WireError("an error of unknown kind")
    return StudentError(_exception_name(reply.get("name")), line, detail)


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
        return Crashed(f"{fault} (signal {_signal_name(number)})", detail=fault.detail)
    code = os.waitstatus_to_exitcode(status)
    if code == MEMORY_EXIT_CODE:
        return OutOfMemory("more memory than allowed")
    return Crashed(f"{fault} (exit code {code})", detail=fault.detail)


def load_report(reply: object) -> LoadReport:
    """The report of loading a notebook; raises WireError if it is not one."""
    if not isinstance(reply, list) or len(reply) != 3:
        raise WireError("a load report has three parts")
    failures, redefined, defined = reply
    if not isinstance(failures, list) or len(failures) > _MAX_NAMES:
        raise WireError("failures must be a list")
    return LoadReport(
        tuple(_cell_failure(failure) for failure in failures), _names(redefined), _names(defined)
    )


def _cell_failure(parts: object) -> CellFailure:
    if not isinstance(parts, list) or len(parts) != 5:
        raise WireError("a failure has five parts")
    cell, identity, line, name, message = parts
    if not _is_small(cell) or not (line is None or _is_small(line)):
        raise WireError("a failure must name a cell and a line")
    if not isinstance(identity, str) or not isinstance(message, str):
        raise WireError("a failure must name a cell and a line")
    return CellFailure(cell, identity[:100], line, _exception_name(name), message[:500])


def _names(items: object) -> tuple[str, ...]:
    if not isinstance(items, list) or len(items) > _MAX_NAMES:
        raise WireError("names must be a list")
    return tuple(item for item in items if isinstance(item, str) and item.isidentifier())


def _is_small(number: object) -> bool:
    return type(number) is int and 0 <= number < _MAX_CELL


def _exception_name(name: object) -> str:
    return name if isinstance(name, str) and name in EXCEPTION_NAMES else "Exception"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
