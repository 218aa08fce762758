"""Marks as CSV that a spreadsheet opens safely: quoted, and never a formula. Layer: report."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from nbgrader.api import Gradebook, MissingEntry
from nbgrader.plugins import ExportPlugin

from autograder.grading.marks import Mark

__all__ = ["SafeCsvExporter", "csv_text", "marks_csv"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def csv_text(rows: Iterable[Sequence[str | float | None]]) -> str:
    """Rows as CSV with every text quoted; text that a spreadsheet would run gets a leading '."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    for row in rows:
        writer.writerow([_cell(value) for value in row])
    return out.getvalue()


def _cell(value: str | float | None) -> str | float:
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    return round(value, 4)


def marks_csv(marks: Mapping[str, Mark]) -> str:
    """One row a student: score (empty while held), state, then one column a task."""
    first = next(iter(marks.values()), None)
    tasks = [entry.task.name for entry in first.tasks] if first else []
    header = ["student", "score", "max_score", "state", "submission", *tasks]
    rows: list[list[str | float | None]] = [list(header)]
    for name, mark in sorted(marks.items()):
        scores = [entry.earned for entry in mark.tasks]
        rows.append([name, mark.earned, mark.points, mark.state, mark.submission_sha256, *scores])
    return csv_text(rows)


class SafeCsvExporter(ExportPlugin):  # type: ignore[misc]  # nbgrader is untyped
    """``nbgrader export`` with the columns of its own CSV plugin, but quoted and formula-safe."""

    def export(self, gradebook: Gradebook) -> None:
        """Write ``grades.csv`` (or ``--to``)."""
        rows: list[Sequence[str | float | None]] = [_COLUMNS]
        for assignment in gradebook.assignments:
            if self.assignment and assignment.name not in map(str, self.assignment):
                continue
            for student in gradebook.students:
                if not self.student or student.id in map(str, self.student):
                    rows.append(_row(gradebook, assignment, student))
        Path(self.to or "grades.csv").write_text(csv_text(rows), encoding="utf-8")


_COLUMNS = (
    "assignment",
    "duedate",
    "timestamp",
    "student_id",
    "last_name",
    "first_name",
    "email",
    "raw_score",
    "late_submission_penalty",
    "score",
    "max_score",
    "needs_manual_grade",
)


def _row(gradebook: Gradebook, assignment: object, student: object) -> Sequence[str | float | None]:
    names = [str(getattr(student, key) or "") for key in ("id", "last_name", "first_name", "email")]
    name, due = getattr(assignment, "name", ""), getattr(assignment, "duedate", None)
    highest = float(getattr(assignment, "max_score", 0.0))
    try:
        entry = gradebook.find_submission(name, names[0])
    except MissingEntry:
        return [name, str(due or ""), "", *names, 0.0, 0.0, 0.0, highest, "no"]
    held = bool(entry.needs_manual_grade)
    penalty = entry.late_submission_penalty
    score = None if held else max(0.0, entry.score - penalty)
    when = str(entry.timestamp or "")
    flag = "yes" if held else "no"
    return [name, str(due or ""), when, *names, entry.score, penalty, score, highest, flag]
