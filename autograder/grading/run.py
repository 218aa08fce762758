"""Grade a class from collected files to gradebook: the one road of ``kit grade`` and the demo."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from autograder.authoring.manifest import Homework
from autograder.grading.bridge import fill
from autograder.grading.course import Course
from autograder.grading.marks import Change, Mark, changes, mark
from autograder.grading.plan import Grader, find_submissions
from autograder.grading.pool import JUDGE
from autograder.grading.store import Store

__all__ = ["GradedClass", "Options", "grade_class"]

Step = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Options:
    """How to grade. ``jobs`` 0 means one judge per core; ``student`` "*" means everyone."""

    student: str = "*"
    jobs: int = 0
    force: bool = False
    require: str = "kernel"
    judge: str = JUDGE


@dataclass(frozen=True, slots=True)
class GradedClass:
    """What one run did: every mark, how many were judged and written anew, and what moved."""

    marks: Mapping[str, Mark]
    judged: int
    written: int
    moved: tuple[Change, ...]
    isolation: Mapping[str, Any]
    judging_s: float
    writing_s: float


def grade_class(
    course: Course, homework: Homework, options: Options, step: Step | None = None
) -> GradedClass:
    """Judge what is new, fill the gradebook, and say what changed.

    ``step(phase, done, total)`` is called as work advances. Raises CourseError (nothing collected,
    another grader running, broken configuration) or PoolError (no judge starts).
    """
    report = step or (lambda phase, done, total: None)
    with course.lock():
        began_s = time.monotonic()
        submissions = find_submissions(course, homework.id, options.student)
        grader = Grader(course, homework, options.judge, options.require)
        judged = grader.judge_all(
            submissions,
            jobs=options.jobs or os.cpu_count() or 1,
            force=options.force,
            progress=lambda done, total: report("judging", done, total),
        )
        judged_s = time.monotonic()
        marks = {name: mark(outcome, homework) for name, outcome in judged.outcomes.items()}
        written = fill(
            course, homework, marks, lambda done, total: report("gradebook", done, total)
        )
        moved = [
            change
            for name in sorted(judged.fresh & judged.before.keys())
            for change in changes(mark(judged.before[name], homework), marks[name])
        ]
        return GradedClass(
            marks=dict(sorted(marks.items())),
            judged=len(judged.fresh),
            written=len(written),
            moved=tuple(moved),
            isolation=judged.isolation,
            judging_s=judged_s - began_s,
            writing_s=time.monotonic() - judged_s,
        )


def current_marks(course: Course, homework: Homework) -> dict[str, Mark | None]:
    """The mark of every collected submission from stored outcomes; None: not graded yet."""
    store = Store.open(course, homework.id)
    found: dict[str, Mark | None] = {}
    for submission in find_submissions(course, homework.id):
        history = store.history(submission.student, submission.sha256)
        found[submission.student] = mark(history[-1], homework) if history else None
    return found
