"""What replaces execution inside ``nbgrader autograde``. Layer: grading, called by nbgrader.

Both are named as *strings* in nbgrader_config.py: nbgrader refuses to start when a string cannot be
imported, whereas it would quietly run the notebook itself, unsandboxed, if the config failed.
"""

from __future__ import annotations

import html
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader import utils
from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor

from autograder.grading.course import CourseError
from autograder.grading.exporter import GradingExporter
from autograder.grading.gradebook import hold
from autograder.grading.marks import Mark, TaskMark

__all__ = ["TrustedComments", "TrustedGrade"]

Resources = dict[str, Any]


class _Trusted(NbGraderPreprocessor):  # type: ignore[misc]  # nbgrader is untyped
    """Gets the mark from our exporter; without it, holds the mark and refuses."""

    def _mark(self, nb: NotebookNode, resources: Resources) -> Mark:
        names = resources["nbgrader"]
        if not isinstance(self.parent, GradingExporter):
            hold(names["db_url"], names["assignment"], names["student"])
            raise CourseError(
                "nbgrader_config.py: Autograde.exporter_class is not "
                "'autograder.grading.exporter.GradingExporter'; no mark was given"
            )
        return self.parent.mark_for(names["student"], nb)


class TrustedGrade(_Trusted):
    """Writes the verdict into each score cell: a table for people, one number for nbgrader."""

    def preprocess(self, nb: NotebookNode, resources: Resources) -> tuple[NotebookNode, Resources]:
        """Fill every score cell; raises CourseError if points and manifest disagree."""
        mark = self._mark(nb, resources)
        scored = {_task_name(cell) for cell in nb.cells if utils.is_grade(cell)}
        if missing := [t.task.name for t in mark.tasks if t.task.name not in scored]:
            raise CourseError(f"the released notebook has no score cell for {missing}; kit build")
        for cell in nb.cells:
            if utils.is_grade(cell):
                _fill(cell, mark.task(_task_name(cell)))
        return nb, resources


def _fill(cell: NotebookNode, entry: TaskMark) -> None:
    points = float(cell.metadata.nbgrader["points"])
    if abs(points - entry.task.points) > 1e-9:
        raise CourseError(
            f"{cell.metadata.nbgrader['grade_id']}: the released notebook gives {points} points, "
            f"the manifest {entry.task.points}; run: kit build"
        )
    # nbgrader reads no output as full marks, so there is always exactly one finite number; a held
    # mark is 0 only until TrustedComments takes it back
    score = min(points, max(0.0, entry.earned or 0.0))
    cell.outputs = [
        nbformat.v4.new_output("display_data", {"text/html": _table(entry)}),
        nbformat.v4.new_output("execute_result", {"text/plain": repr(score)}, execution_count=1),
    ]
    cell.execution_count = 1


def _table(entry: TaskMark) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(bucket.name)}</td><td>{html.escape(test.test)}</td>"
        f"<td>{test.state}</td><td>{_points(bucket.earned)} / {bucket.points:g}</td></tr>"
        for bucket in entry.buckets
        for test in bucket.tests
    )
    return f"<table><tr><th>idea</th><th>test</th><th>state</th><th>points</th></tr>{rows}</table>"


def _points(earned: float | None) -> str:
    return "held" if earned is None else f"{earned:g}"


class TrustedComments(_Trusted):
    """Runs after SaveAutoGrades: comments per task, and held marks taken back for a human."""

    def preprocess(self, nb: NotebookNode, resources: Resources) -> tuple[NotebookNode, Resources]:
        """Write automatic comments and reset the score of every held task."""
        mark = self._mark(nb, resources)
        names = resources["nbgrader"]
        where = (names["notebook"], names["assignment"], names["student"])
        with Gradebook(names["db_url"]) as gradebook:
            for cell in nb.cells:
                name = cell.metadata.get("nbgrader", {}).get("grade_id", "")
                if utils.is_grade(cell) and mark.task(_task_name(cell)).earned is None:
                    grade = gradebook.find_grade(name, *where)
                    grade.auto_score, grade.needs_manual_grade = None, True
                elif utils.is_solution(cell):
                    comment = gradebook.find_comment(name, *where)
                    comment.auto_comment = _comment(mark.task(_task_name(cell)))
            gradebook.db.commit()
        return nb, resources


def _comment(entry: TaskMark) -> str:
    if entry.earned is None:
        return "Held: the grader could not finish this task; your instructor will look at it."
    kept = sum(1 for bucket in entry.buckets if bucket.earned)
    return f"{entry.state}: {kept} of {len(entry.buckets)} ideas, {entry.earned:g} points."


def _task_name(cell: NotebookNode) -> str:
    return str(cell.metadata.nbgrader["grade_id"]).partition("-")[2]
