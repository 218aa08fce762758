"""Outcomes on disk: one file per (student, submission, suite, environment, k). Layer: grading.

Files appear whole or not at all, so a grader killed anywhere is simply run again. The journal
beside them says what happened when; nothing is computed from it but the mark last handed over.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from autograder.grading.course import Course, write_atomically
from autograder.outcome import Outcome, State

__all__ = ["Identity", "Journal", "Store", "outcome_name"]


@dataclass(frozen=True, slots=True)
class Identity:
    """What judged: the suite and environment digests that an outcome is only valid under."""

    suite_sha256: str
    environment_sha256: str


@dataclass(frozen=True, slots=True)
class Store:
    """The outcomes of one homework below ``.kit/outcomes``."""

    folder: Path

    @classmethod
    def open(cls, course: Course, homework_id: str) -> Store:
        """Open (and if needed make, mode 0700) the store of one homework."""
        return cls(course.private(course.kit / "outcomes" / homework_id))

    def save(self, outcome: Outcome) -> Path:
        """Write one outcome atomically and return its path; an equal key is replaced."""
        folder = self.folder / outcome.student
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / outcome_name(outcome)
        write_atomically(path, outcome.to_json().encode())
        return path

    def find(self, student: str, submission_sha256: str, identity: Identity) -> Outcome | None:
        """The outcome that still counts, newest secret first; None if it must be judged.

        An outcome in which the grader itself failed does not count: it is judged again.
        """
        found = [
            outcome
            for outcome in self.history(student, submission_sha256)
            if (outcome.suite_sha256, outcome.environment_sha256)
            == (identity.suite_sha256, identity.environment_sha256)
            and not any(test.state is State.GRADER_ERROR for test in outcome.tests)
        ]
        return max(found, key=lambda outcome: outcome.secret_index, default=None)

    def load(self, student: str, name: str) -> Outcome | None:
        """The outcome called ``name`` (see ``outcome_name``), or None if it is gone or damaged."""
        return _read(self.folder / student / Path(name).name)

    def history(self, student: str, submission_sha256: str) -> list[Outcome]:
        """Every readable outcome of one submission, oldest first; damaged files are passed over."""
        folder = self.folder / student
        paths = sorted(
            folder.glob(f"{submission_sha256[:24]}-*.json"),
            key=lambda path: (path.stat().st_mtime_ns, path.name),
        )
        return [
            outcome
            for path in paths
            if (outcome := _read(path)) is not None
            and outcome.student == student
            and outcome.submission_sha256 == submission_sha256
        ]


def outcome_name(outcome: Outcome) -> str:
    """File name of an outcome: its key without the student."""
    return (
        f"{outcome.submission_sha256[:24]}-{outcome.suite_sha256[:12]}"
        f"-{outcome.environment_sha256[:12]}-k{outcome.secret_index}.json"
    )


def _read(path: Path) -> Outcome | None:
    try:
        return Outcome.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class Journal:
    """An append-only list of events, one JSON object a line; a torn last line is ignored."""

    path: Path

    @classmethod
    def open(cls, course: Course) -> Journal:
        """Open the journal of a course."""
        return cls(course.private(course.kit) / "journal.jsonl")

    def write(self, event: str, **facts: str | float | int | None) -> None:
        """Append one event with the time in seconds since 1970."""
        line = json.dumps({"event": event, "time_s": round(time.time(), 3), **facts}) + "\n"
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "wb") as handle:
            handle.write(line.encode())

    def events(self, event: str) -> Iterator[dict[str, str]]:
        """Yield the facts of every event of one kind, oldest first."""
        if not self.path.exists():
            return
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                facts = json.loads(line)
            except ValueError:
                continue
            if isinstance(facts, dict) and facts.get("event") == event:
                yield facts
