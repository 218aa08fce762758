"""One writer fills the gradebook, in one session. Layer: grading.

``kit grade`` judges in parallel, then comes here. Nothing is written for a student whose mark is
in the gradebook already. What is written is what ``nbgrader autograde`` writes through our exporter
and preprocessors: the same notebook, scores and comments (a test compares the two).
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import nbformat
from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import AssignLatePenalties
from sqlalchemy.exc import SAWarning
from traitlets.config import Config

from autograder.authoring.manifest import Homework
from autograder.grading.course import Course, CourseError, write_atomically
from autograder.grading.gradebook import (
    auto_scores,
    course_directory,
    ensure_assignment,
    load_config,
    open_gradebook,
    set_scores,
)
from autograder.grading.marks import Mark
from autograder.grading.plan import look
from autograder.grading.rebuild import read_skeleton, rebuild
from autograder.grading.score_cells import fill_scores
from autograder.grading.store import Journal
from autograder.intake import parse_cells, take

__all__ = ["fill", "rebuilt_submission"]


@dataclass(frozen=True, slots=True)
class _Desk:
    """What the writer needs for every student."""

    course: Course
    homework: Homework
    config: Config
    directory: CourseDirectory
    skeleton: NotebookNode
    gradebook: Gradebook


def fill(
    course: Course,
    homework: Homework,
    marks: Mapping[str, Mark],
    done: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Bring the gradebook to ``marks``; return the students whose entry had to be written.

    Raises CourseError when nbgrader_config.py is missing or broken, or a file changed meanwhile.
    """
    config = load_config(course)
    directory = course_directory(course, config, homework.id)
    ensure_assignment(course, homework.id, directory.db_url)
    skeleton = read_skeleton(course.skeleton(homework.id))
    journal = Journal.open(course)
    written = {event["student"]: event["mark"] for event in journal.events("written")}
    for folder in (course.submitted, course.autograded, course.feedback):
        course.private(folder)
    with open_gradebook(directory.db_url) as gradebook:
        desk = _Desk(course, homework, config, directory, skeleton, gradebook)
        present = auto_scores(gradebook, homework.id)
        stale = [
            mark
            for name, mark in sorted(marks.items())
            if written.get(name) != _digest(mark)
            or present.get(name) != {entry.task.name: entry.earned for entry in mark.tasks}
            or not course.graded(homework.id, name).exists()
        ]
        for number, mark in enumerate(stale, start=1):
            _write(desk, mark)
            journal.write("written", student=mark.student, mark=_digest(mark))
            if done is not None:
                done(number, len(stale))
    return [mark.student for mark in stale]


def rebuilt_submission(
    course: Course, homework_id: str, skeleton: NotebookNode, student: str, sha256: str
) -> NotebookNode:
    """The skeleton with the student's sources, stamped with the submission it was built from.

    Raises CourseError if the submitted file is no longer the one with digest ``sha256``.
    """
    path = course.submission(homework_id, student)
    submission = look(student, path)
    if submission.sha256 != sha256:
        raise CourseError(f"{path}: changed while it was being graded; run again")
    cells = parse_cells(take(path)) if submission.problem is None else ()
    notebook = rebuild(skeleton, cells)
    notebook.metadata["kit"] = {"submission": sha256, "student": student}
    return notebook


def _write(desk: _Desk, mark: Mark) -> None:
    homework_id, student = desk.homework.id, mark.student
    notebook = rebuilt_submission(
        desk.course, homework_id, desk.skeleton, student, mark.submission_sha256
    )
    fill_scores(notebook, mark)
    source = desk.course.submission(homework_id, student).parent
    target = desk.course.private(desk.course.graded(homework_id, student).parent)
    stamp = source / "timestamp.txt"
    time = desk.directory.get_existing_timestamp(str(source)) if stamp.is_file() else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # nbgrader builds objects outside its session
        desk.gradebook.update_or_create_student(student)
        facts = {} if time is None else {"timestamp": time}
        entry = desk.gradebook.update_or_create_submission(homework_id, student, **facts)
    if time is not None:
        write_atomically(target / "timestamp.txt", stamp.read_bytes())
    write_atomically(target / f"{homework_id}.ipynb", nbformat.writes(notebook).encode())
    set_scores(desk.gradebook, homework_id, mark)
    _penalise(desk, entry.total_seconds_late, student, notebook)


def _penalise(desk: _Desk, late_s: float, student: str, notebook: NotebookNode) -> None:
    """Apply the late penalty the course has configured, through nbgrader's own preprocessor."""
    homework_id = desk.homework.id
    if late_s > 0:
        names = {"notebook": homework_id, "assignment": homework_id, "student": student}
        resources = {"nbgrader": {**names, "db_url": desk.directory.db_url}}
        AssignLatePenalties(config=desk.config).preprocess(notebook, resources)
        return
    entry = desk.gradebook.find_submission_notebook(homework_id, homework_id, student)
    if entry.late_submission_penalty is not None:
        entry.late_submission_penalty = None
        desk.gradebook.db.commit()


def _digest(mark: Mark) -> str:
    """What identifies an entry: the submission and every bucket's points and state."""
    parts = [(t.task.name, b.name, b.earned, b.state) for t in mark.tasks for b in t.buckets]
    return hashlib.sha256(repr((mark.submission_sha256, parts)).encode()).hexdigest()
