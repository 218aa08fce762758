"""One writer fills the gradebook, through the same converter as ``nbgrader autograde``.

``kit grade`` judges in parallel, then comes here. Nothing is written for a student whose mark is in
the gradebook already; what is written goes through nbgrader's converter, our exporter and our
preprocessors, so both roads end in the same numbers. Layer: grading.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook
from nbgrader.converters import Autograde

from autograder.authoring.manifest import Homework
from autograder.grading.course import Course, CourseError
from autograder.grading.gradebook import (
    course_directory,
    ensure_assignment,
    load_config,
    open_gradebook,
)
from autograder.grading.marks import Mark
from autograder.grading.store import Journal

__all__ = ["fill", "gradebook_scores"]


class _Writer(Autograde):  # type: ignore[misc]  # nbgrader is untyped
    """nbgrader's Autograde for the students of ``marks``, which are known already."""

    def __init__(self, marks: Mapping[str, Mark], done: Callable[[str], None], **kwargs: Any):
        super().__init__(**kwargs)
        self.marks = marks
        self.done = done

    def init_notebooks(self) -> None:
        """Take exactly the students that have a mark to write, instead of a glob."""
        homework_id = self.coursedir.assignment_id
        self.assignments = {}
        for student in self.marks:
            folder = self._format_source(homework_id, student)
            self.assignments[folder] = [str(Path(folder) / f"{homework_id}.ipynb")]

    def set_permissions(self, assignment_id: str, student_id: str) -> None:
        """Called by nbgrader when a student is finished."""
        super().set_permissions(assignment_id, student_id)
        self.done(student_id)


def fill(
    course: Course,
    homework: Homework,
    marks: Mapping[str, Mark],
    done: Callable[[str], None] | None = None,
) -> list[str]:
    """Bring the gradebook to ``marks``; return the students whose entry had to be written.

    Raises CourseError when nbgrader_config.py is missing, broken or would run student code.
    """
    config = load_config(course)
    directory = course_directory(course, config, homework.id)
    ensure_assignment(course, homework.id, directory.db_url)
    journal = Journal.open(course)
    written = {e["student"]: e["mark"] for e in journal.events("written")}
    with open_gradebook(directory.db_url) as gradebook:
        present = gradebook_scores(gradebook, homework)
    stale = {
        name: mark
        for name, mark in marks.items()
        if written.get(name) != _digest(mark)
        or present.get(name) != {t.task.name: t.earned for t in mark.tasks}
        or not (course.autograded / name / homework.id / f"{homework.id}.ipynb").exists()
    }
    if not stale:
        return []
    for folder in (course.autograded, course.feedback):
        course.private(folder)

    def finished(student: str) -> None:
        journal.write("written", student=student, mark=_digest(stale[student]))
        if done is not None:
            done(student)

    writer = _Writer(stale, finished, coursedir=directory, config=config)
    writer.force = True
    _run(writer)
    return sorted(stale)


def _run(writer: _Writer) -> None:
    """Run the converter with its chatter in the log; its errors become ours."""
    messages: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    quiet = logging.Logger("autograder.writer", logging.ERROR)
    quiet.addHandler(Listener())
    writer.log = quiet
    try:
        writer.start()
    except CourseError:
        raise
    except Exception as error:
        shown = "\n".join([str(error), *messages[:3]])
        raise CourseError(f"the gradebook could not be filled: {shown}") from error


def _digest(mark: Mark) -> str:
    """What identifies an entry: the submission and every bucket's points and state."""
    parts = [(t.task.name, b.name, b.earned, b.state) for t in mark.tasks for b in t.buckets]
    return hashlib.sha256(repr((mark.submission_sha256, parts)).encode()).hexdigest()


def gradebook_scores(
    gradebook: Gradebook, homework: Homework
) -> dict[str, dict[str, float | None]]:
    """Automatic scores by student and task, None where the mark is held: one query."""
    from nbgrader.api import Assignment, BaseCell, Grade, Notebook, SubmittedNotebook
    from nbgrader.api import SubmittedAssignment as Submitted

    rows = (
        gradebook.db.query(Submitted.student_id, BaseCell.name, Grade.auto_score)
        .join(SubmittedNotebook, SubmittedNotebook.assignment_id == Submitted.id)
        .join(Grade, Grade.notebook_id == SubmittedNotebook.id)
        .join(BaseCell, BaseCell.id == Grade.cell_id)
        .join(Notebook, Notebook.id == SubmittedNotebook.notebook_id)
        .join(Assignment, Assignment.id == Notebook.assignment_id)
        .filter(Assignment.name == homework.id)
        .all()
    )
    scores: dict[str, dict[str, float | None]] = {}
    for student, cell, score in rows:
        scores.setdefault(student, {})[cell.partition("-")[2]] = score
    return scores
