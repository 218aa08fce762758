"""Locked processes for student code, and for graphs: files, network, processes and time bounded."""

from autograder.sandbox.callback import Callback, CallbackTable, Handle, NoRule, Own
from autograder.sandbox.client import Worker
from autograder.sandbox.errors import (
    Crashed,
    Malformed,
    NotImplementedByStudent,
    OutOfMemory,
    SandboxError,
    StudentError,
    StudentFault,
    TimedOut,
)
from autograder.sandbox.limits import Budget, Limits
from autograder.sandbox.sandbox import Sandbox

__all__ = [
    "Budget",
    "Callback",
    "CallbackTable",
    "Crashed",
    "Handle",
    "Limits",
    "Malformed",
    "NoRule",
    "NotImplementedByStudent",
    "OutOfMemory",
    "Own",
    "Sandbox",
    "SandboxError",
    "StudentError",
    "StudentFault",
    "TimedOut",
    "Worker",
]
