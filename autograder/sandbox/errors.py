"""How a call into a student's worker can end badly, each with its state. Layer: sandbox.

The message of each error is written here and holds no text the student controls; that text is in
``detail``, which only the instructor may see. ``SandboxError`` is the grader's own failure.
"""

from __future__ import annotations

import builtins
from typing import ClassVar

from autograder.outcome import State

__all__ = [
    "EXCEPTION_NAMES",
    "MEMORY_EXIT_CODE",
    "Crashed",
    "Malformed",
    "NotImplementedByStudent",
    "OutOfMemory",
    "SandboxError",
    "StudentError",
    "StudentFault",
    "TimedOut",
]

MEMORY_EXIT_CODE = 86  # of a worker in which not even the message "out of memory" fitted
EXCEPTION_NAMES = frozenset(
    name
    for name, member in vars(builtins).items()
    if isinstance(member, type) and issubclass(member, BaseException)
) | {"TinyflowError"}


class SandboxError(RuntimeError):
    """The grader cannot do its work (no zygote, isolation too weak): the mark waits for a human."""

    state: ClassVar[State] = State.GRADER_ERROR


class StudentFault(Exception):
    """Base of what a submission can do wrong. ``detail`` is for the instructor only."""

    state: ClassVar[State] = State.ERROR

    def __init__(self, message: str, *, line: str | None = None, detail: str = "") -> None:
        super().__init__(message)
        self.line, self.detail = line, detail


class StudentError(StudentFault):
    """The student's function raised ``name``, a name of ``EXCEPTION_NAMES``, at ``line``."""

    def __init__(self, name: str, line: str | None = None, detail: str = "") -> None:
        super().__init__(f"{name} at {line}" if line else name, line=line, detail=detail)
        self.name = name


class NotImplementedByStudent(StudentFault):
    """The function is missing, or still the stub."""

    state = State.NOT_IMPLEMENTED


class TimedOut(StudentFault):
    """The deadline of the call or of the submission passed, or a callback's budget is spent."""

    state = State.TIMEOUT


class OutOfMemory(StudentFault):
    """The worker asked for more memory than its cap."""

    state = State.OUT_OF_MEMORY


class Crashed(StudentFault):
    """The worker process ended, or flooded its output, and was put away."""

    state = State.CRASHED


class Malformed(StudentFault):
    """The answer is not data of a kind that may cross, or not in the agreed form."""

    state = State.MALFORMED
