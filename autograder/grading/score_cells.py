"""Marks in the shape nbgrader reads: outputs of score cells, comments of solution cells.

Layer: grading. Used by our preprocessors and by our writer, so both roads show the same.
"""

from __future__ import annotations

import html

import nbformat
from nbformat import NotebookNode

from autograder.grading.course import CourseError
from autograder.grading.marks import Mark, TaskMark

__all__ = ["comment_of", "fill_scores", "task_name"]


def task_name(cell_id: str) -> str:
    """The task of a cell: "gradient" for "solution-gradient" and "score-gradient"."""
    return cell_id.partition("-")[2]


def fill_scores(notebook: NotebookNode, mark: Mark) -> None:
    """Write a table and one number into every score cell of a rebuilt notebook.

    Raises CourseError when the released points and the manifest disagree.
    """
    cells = [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade")]
    scored = {task_name(cell.metadata.nbgrader["grade_id"]): cell for cell in cells}
    tasks = {entry.task.name: entry for entry in mark.tasks}
    if scored.keys() != tasks.keys():
        raise CourseError(
            f"the released notebook scores {sorted(scored)}, the manifest {sorted(tasks)}; "
            "run: kit build"
        )
    for name, cell in scored.items():
        _fill(cell, tasks[name])
    notebook.metadata["kit"]["outcome"] = mark.outcome


def _fill(cell: NotebookNode, entry: TaskMark) -> None:
    points = float(cell.metadata.nbgrader["points"])
    if abs(points - entry.task.points) > 1e-9:
        raise CourseError(
            f"{cell.metadata.nbgrader['grade_id']}: the released notebook gives {points:g} points, "
            f"the manifest {entry.task.points:g}; run: kit build"
        )
    # nbgrader reads "no output" as full marks, so there is always exactly one finite number; for
    # a held task it is 0 only until the score is taken back in the gradebook
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


def comment_of(entry: TaskMark) -> str:
    """One line for the student beside a solution cell."""
    if entry.earned is None:
        return "Held: the grader could not finish this task; your instructor will look at it."
    kept = sum(1 for bucket in entry.buckets if bucket.earned)
    return f"{entry.state}: {kept} of {len(entry.buckets)} ideas, {entry.earned:g} points."
