"""From outcomes and manifest to marks: pure arithmetic, runs nothing. Layer: grading.

A bucket is earned when every one of its tests passed. A bucket whose tests the grader could not
run, or that has no test at all, is *held* for a human: its points are None, never zero or full.
A test listed as ``void`` in the manifest counts as passed by everybody whose code it reached.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from autograder.authoring.manifest import Homework, Task
from autograder.grading.store import outcome_name
from autograder.outcome import Outcome, State, TestOutcome

__all__ = ["BucketMark", "Change", "Mark", "TaskMark", "changes", "mark", "uniform_outcome"]

# worst first: the state shown for a group of tests is the first of these that occurs
_WORST = (
    State.GRADER_ERROR,
    State.CRASHED,
    State.TIMEOUT,
    State.OUT_OF_MEMORY,
    State.MALFORMED,
    State.ERROR,
    State.FAILED,
    State.NOT_IMPLEMENTED,
    State.PASSED,
)


@dataclass(frozen=True, slots=True)
class BucketMark:
    """One idea of a task: all or nothing. ``earned`` is None while the mark is held."""

    name: str
    points: float
    earned: float | None
    state: State
    tests: tuple[TestOutcome, ...]


@dataclass(frozen=True, slots=True)
class TaskMark:
    """One task: the sum of its buckets, None while any of them is held."""

    task: Task
    buckets: tuple[BucketMark, ...]

    @property
    def earned(self) -> float | None:
        """Points earned, or None while held."""
        return _total([bucket.earned for bucket in self.buckets])

    @property
    def state(self) -> State:
        """The worst state of its buckets."""
        return _worst([bucket.state for bucket in self.buckets])


@dataclass(frozen=True, slots=True)
class Mark:
    """One student's mark for one submission; ``notes`` may be shown to the student."""

    student: str
    submission_sha256: str
    points: float
    tasks: tuple[TaskMark, ...]
    seconds: float
    notes: tuple[str, ...]
    outcome: str  # file name of the outcome it was computed from

    @property
    def earned(self) -> float | None:
        """Points earned, or None while any task is held."""
        return _total([task.earned for task in self.tasks])

    @property
    def state(self) -> State:
        """The worst state of all tasks: ``passed`` only for full marks."""
        return _worst([task.state for task in self.tasks])

    def task(self, name: str) -> TaskMark:
        """The mark of one task; raises KeyError if the homework has none of that name."""
        for entry in self.tasks:
            if entry.task.name == name:
                return entry
        raise KeyError(name)


def mark(outcome: Outcome, homework: Homework) -> Mark:
    """Weigh one outcome by the manifest. Tests of unknown tasks or buckets earn nothing."""
    tests: dict[tuple[str, str], list[TestOutcome]] = {}
    for test in outcome.tests:
        tests.setdefault((test.task, test.bucket), []).append(test)
    tasks = tuple(
        TaskMark(task, tuple(_buckets(task, tests, homework.void))) for task in homework.tasks
    )
    sha256, name = outcome.submission_sha256, outcome_name(outcome)
    points, notes = homework.points, outcome.notes
    return Mark(outcome.student, sha256, points, tasks, outcome.seconds, notes, name)


def _buckets(
    task: Task, found: Mapping[tuple[str, str], Sequence[TestOutcome]], void: frozenset[str]
) -> Iterator[BucketMark]:
    for name, points in task.buckets.items():
        tests = tuple(found.get((task.name, name), ()))
        states = [State.PASSED if test.test in void else test.state for test in tests]
        state = _worst(states) if states else State.GRADER_ERROR
        earned = {State.PASSED: points, State.GRADER_ERROR: None}.get(state, 0.0)
        yield BucketMark(name, points, earned, state, tests)


def _worst(states: Sequence[State]) -> State:
    return min(states, key=_WORST.index)


def _total(parts: Sequence[float | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def uniform_outcome(
    homework: Homework, student: str, submission_sha256: str, state: State, reason: str
) -> Outcome:
    """An outcome with every bucket in one state: for a submission that no judge has seen."""
    tests = tuple(
        TestOutcome(f"{task.name}.{bucket}", task.name, bucket, state, reason, 0.0)
        for task in homework.tasks
        for bucket in task.buckets
    )
    return Outcome(homework.id, student, submission_sha256, "", "", 0, tests, 0.0, {}, (reason,))


@dataclass(frozen=True, slots=True)
class Change:
    """How a regrade moved one bucket of one student."""

    student: str
    task: str
    bucket: str
    before: float | None
    after: float | None


def changes(before: Mark, after: Mark) -> list[Change]:
    """Every bucket whose points differ between two marks of one student, in manifest order."""
    old = {(t.task.name, b.name): b.earned for t in before.tasks for b in t.buckets}
    return [
        Change(after.student, task.task.name, bucket.name, old.get(key), bucket.earned)
        for task in after.tasks
        for bucket in task.buckets
        for key in [(task.task.name, bucket.name)]
        if old.get(key) != bucket.earned
    ]
