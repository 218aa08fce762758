"""Tables for the terminal. Student text is shown as text: no markup, no escapes. Layer: report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from autograder.grading.marks import Change, Mark
from autograder.grading.rebuild import clean
from autograder.outcome import State
from autograder.report.page import points

__all__ = ["change_table", "isolation_table", "mark_table", "plain"]

_COLOUR = {
    State.PASSED: "green",
    State.GRADER_ERROR: "bold magenta",
    State.NOT_IMPLEMENTED: "dim",
    State.FAILED: "yellow",
    State.ERROR: "yellow",
}


def plain(value: str, limit: int = 200, style: str = "") -> Text:
    """Text without rich markup or terminal escapes."""
    return Text(clean(value, limit), style=style)


def mark_table(marks: Mapping[str, Mark | None], title: str = "") -> Table:
    """Student, score, state, time in seconds; "not graded" where there is no mark."""
    table = Table(title=title or None, header_style="bold", title_justify="left")
    table.add_column("student")
    table.add_column("score", justify="right")
    table.add_column("state")
    table.add_column("time", justify="right")
    for name, mark in marks.items():
        if mark is None:
            table.add_row(plain(name), "-", "not graded; run kit grade", "")
            continue
        state = "held for a human" if mark.earned is None else mark.state.replace("_", " ")
        score = f"{points(mark.earned)} / {points(mark.points)}"
        colour = _COLOUR.get(mark.state, "red")
        table.add_row(plain(name), score, Text(state, colour), f"{mark.seconds:.2f} s")
    return table


def change_table(moved: Iterable[Change]) -> Table:
    """What a regrade changed: student, task, idea, points before and after."""
    table = Table(title="changed by this regrade", header_style="bold", title_justify="left")
    for column in ("student", "task", "idea", "before", "after"):
        table.add_column(column)
    for change in moved:
        ends = (points(change.before), points(change.after))
        table.add_row(plain(change.student), change.task, change.bucket, *ends)
    return table


def isolation_table(isolation: Mapping[str, Any]) -> RenderableType:
    """The sandbox's own report, one line a protection; nested reports are indented."""
    if not isolation:
        return Text("nothing was judged in this run; the report is stored with each outcome")
    table = Table(title="isolation", title_justify="left", show_header=False)
    for name, value in isolation.items():
        nested = value if isinstance(value, Mapping) else {}
        table.add_row(plain(str(name).replace("_", " ")), plain("" if nested else str(value), 400))
        for key, inner in nested.items():
            table.add_row(plain(f"  {key}"), plain(str(inner), 400))
    return table
