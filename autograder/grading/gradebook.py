"""nbgrader's gradebook, through nbgrader's own interface. Layer: grading.

nbgrader stays the book of marks: it keeps manual scores, extra credit and comments across regrades.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nbgrader.api import (
    Assignment,
    BaseCell,
    Grade,
    Gradebook,
    MissingEntry,
    SubmittedAssignment,
    SubmittedNotebook,
)
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import SaveCells
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from autograder.grading.course import Course, CourseError
from autograder.grading.marks import Mark
from autograder.grading.rebuild import read_skeleton
from autograder.grading.score_cells import comment_of, task_name

__all__ = [
    "auto_scores",
    "course_directory",
    "ensure_assignment",
    "hold",
    "load_config",
    "open_gradebook",
    "set_scores",
    "withdraw",
]


def load_config(course: Course) -> Config:
    """Read the nbgrader_config.py that plain nbgrader reads; raises CourseError without one."""
    path = course.work / "nbgrader_config.py"
    if not path.is_file():
        raise CourseError(f"{path}: no such file; restore it, without it nbgrader would run code")
    try:
        return PyFileConfigLoader(path.name, path=str(path.parent)).load_config()
    except Exception as error:
        raise CourseError(f"{path}: cannot be loaded: {type(error).__name__}: {error}") from error


def course_directory(course: Course, config: Config, homework_id: str) -> CourseDirectory:
    """nbgrader's view of the course folder, as its own commands would see it."""
    directory = CourseDirectory(config=config, root=str(course.work), assignment_id=homework_id)
    _check_url(directory.db_url)
    return directory


def _check_url(db_url: str) -> None:
    if db_url.startswith(("postgresql://", "postgres://")):
        raise CourseError(
            "CourseDirectory.db_url names no driver: got 'postgresql://', which means different "
            "drivers in different SQLAlchemy versions; write postgresql+psycopg:// (or +psycopg2)"
        )


@contextmanager
def open_gradebook(db_url: str) -> Iterator[Gradebook]:
    """Open the gradebook, readable by its owner only; a new one is stamped with alembic."""
    _check_url(db_url)
    path = Path(db_url.removeprefix("sqlite:///")) if db_url.startswith("sqlite:///") else None
    with _tools_on_path(), Gradebook(db_url) as gradebook:
        if path is not None and path.exists():
            path.chmod(0o600)
        yield gradebook


@contextmanager
def _tools_on_path() -> Iterator[None]:
    """nbgrader calls ``alembic`` by name: make sure that it is this environment's."""
    before = os.environ.get("PATH", os.defpath)
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), before])
    try:
        yield
    finally:
        os.environ["PATH"] = before


def ensure_assignment(course: Course, homework_id: str, db_url: str) -> None:
    """Make the gradebook know the released cells and their points; a no-op when it does.

    Raises CourseError when cells were added or removed although submissions exist.
    """
    skeleton = read_skeleton(course.skeleton(homework_id))
    marked = [cell for cell in skeleton.cells if "nbgrader" in cell.metadata]
    wanted = {
        cell.metadata.nbgrader["grade_id"]: (
            float(cell.metadata.nbgrader["points"])
            if cell.metadata.nbgrader.get("grade")
            else None,
            cell.source,
        )
        for cell in marked
    }
    with open_gradebook(db_url) as gradebook:
        if _recorded(gradebook, homework_id) == wanted:
            return
        gradebook.update_or_create_assignment(homework_id)
    names = {"notebook": homework_id, "assignment": homework_id, "db_url": db_url}
    try:
        quiet = SaveCells()
        quiet.log = logging.getLogger("autograder.quiet")
        quiet.preprocess(skeleton, {"nbgrader": names})
    except RuntimeError as error:
        raise CourseError(
            f"{homework_id}: {error}; build the homework as it was released, or start a new one"
        ) from error


def _recorded(gradebook: Gradebook, homework_id: str) -> dict[str, tuple[float | None, str]]:
    try:
        notebook = gradebook.find_notebook(homework_id, homework_id)
    except MissingEntry:
        return {}
    points = {cell.name: float(cell.max_score) for cell in notebook.grade_cells}
    return {cell.name: (points.get(cell.name), cell.source) for cell in notebook.source_cells}


def hold(db_url: str, homework_id: str, student: str) -> None:
    """Take back every automatic score of one student: the mark now waits for a human."""
    with open_gradebook(db_url) as gradebook:
        try:
            notebook = gradebook.find_submission_notebook(homework_id, homework_id, student)
        except MissingEntry:
            return
        for grade in notebook.grades:
            grade.auto_score = None
            grade.needs_manual_grade = True
        gradebook.db.commit()


def withdraw(course: Course, homework_id: str, student: str) -> None:
    """Hold the mark of a student who hands in again, and take the old feedback page away."""
    url = str(course_directory(course, load_config(course), homework_id).db_url)
    if not url.startswith("sqlite:///") or Path(url.removeprefix("sqlite:///")).exists():
        hold(url, homework_id, student)
    (course.feedback / student / homework_id / f"{homework_id}.html").unlink(missing_ok=True)


def set_scores(gradebook: Gradebook, homework_id: str, mark: Mark) -> None:
    """Write automatic scores and comments of one student, in one transaction.

    Manual scores, extra credit and manual comments are left alone. A held task has no automatic
    score and asks for a human.
    """
    notebook = gradebook.find_submission_notebook(homework_id, homework_id, mark.student)
    for grade in notebook.grades:
        earned = mark.task(task_name(grade.name)).earned
        grade.auto_score = earned
        grade.needs_manual_grade = earned is None or grade.manual_score is not None
    for comment in notebook.comments:
        comment.auto_comment = comment_of(mark.task(task_name(comment.name)))
    gradebook.db.commit()


def auto_scores(gradebook: Gradebook, homework_id: str) -> dict[str, dict[str, float | None]]:
    """Automatic scores by student and task, None where the mark is held: one query."""
    rows = (
        gradebook.db.query(SubmittedAssignment.student_id, BaseCell.name, Grade.auto_score)
        .join(SubmittedNotebook, SubmittedNotebook.assignment_id == SubmittedAssignment.id)
        .join(Grade, Grade.notebook_id == SubmittedNotebook.id)
        .join(BaseCell, BaseCell.id == Grade.cell_id)
        .join(Assignment, Assignment.id == SubmittedAssignment.assignment_id)
        .filter(Assignment.name == homework_id)
        .all()
    )
    scores: dict[str, dict[str, float | None]] = {}
    for student, cell, score in rows:
        scores.setdefault(student, {})[task_name(cell)] = score
    return scores
