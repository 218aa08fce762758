"""What judging one submission produced: pure data, one record per test. Shared by all layers.

An outcome holds facts only. Marks are computed later from outcomes and the manifest, so changing a
weight or voiding a test runs no student code again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["Outcome", "State", "TestOutcome"]


class State(StrEnum):
    """How one test ended. ``grader_error`` holds the mark for a human: never zero, never full."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    CRASHED = "crashed"
    MALFORMED = "malformed"
    NOT_IMPLEMENTED = "not_implemented"
    GRADER_ERROR = "grader_error"


@dataclass(frozen=True, slots=True)
class TestOutcome:
    """One hidden test: its place (task and bucket), its state, and what a student may be told."""

    __test__ = False  # pytest must not collect this class

    test: str
    task: str
    bucket: str
    state: State
    hint: str
    seconds: float
    error_name: str | None = None  # from an allow-list of built-in exception names
    line: str | None = None  # "cell 12, line 3" of the student's notebook
    detail: str = ""  # for the instructor only; may hold text the student controls


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything observed while judging one submission, under the keys that make it replayable."""

    homework: str
    student: str
    submission_sha256: str
    suite_sha256: str
    environment_sha256: str
    secret_index: int
    tests: tuple[TestOutcome, ...]
    seconds: float
    isolation: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # cells that failed, names defined twice: shown to the student
    output_tail: str = ""  # what the notebook printed; for the instructor only

    def to_json(self) -> str:
        """Serialise to a JSON text that ``from_json`` reads back to an equal outcome."""
        return json.dumps(asdict(self), indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Outcome:
        """Read an outcome written by ``to_json``; raises ValueError if it is not one."""
        raw = json.loads(text)
        try:
            tests = tuple(TestOutcome(**{**t, "state": State(t["state"])}) for t in raw["tests"])
            return cls(**{**raw, "tests": tests, "notes": tuple(raw["notes"])})
        except (KeyError, TypeError) as error:
            raise ValueError(f"not an outcome file: {error}") from error
