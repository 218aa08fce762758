"""One page about a class: table, histogram per task, how many got each idea. Layer: report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean, median
from typing import Any

from autograder.authoring.manifest import Homework
from autograder.grading.marks import Mark, TaskMark
from autograder.report.histogram import histogram
from autograder.report.page import badge, page, points, text, words

__all__ = ["class_report"]


def class_report(
    homework: Homework,
    marks: Mapping[str, Mark],
    *,
    feature: str = "",
    isolation: Mapping[str, Any] | None = None,
    remarks: Mapping[str, str] | None = None,
) -> str:
    """Return the page as HTML text. ``feature`` is ready HTML shown after the histograms.

    ``remarks`` adds a line about a student (plain text, escaped here) to the table.
    """
    body = (
        _header(homework, list(marks.values()))
        + _table(homework, marks, remarks or {})
        + _histograms(homework, list(marks.values()))
        + feature
        + _ideas(homework, list(marks.values()))
        + _isolation(isolation or {})
    )
    return page(f"{homework.title}: class report", body, wide=True)


def _header(homework: Homework, marks: Sequence[Mark]) -> str:
    scores = [mark.earned for mark in marks if mark.earned is not None]
    facts = [
        ("students", f"{len(marks)}"),
        (f"mean of {points(homework.points)}", points(round(mean(scores), 1)) if scores else "-"),
        ("median", points(median(scores)) if scores else "-"),
        ("full marks", f"{sum(1 for score in scores if score >= homework.points - 1e-9)}"),
        ("held", f"{len(marks) - len(scores)}"),
    ]
    shown = "".join(
        f'<div><div class="total">{value}</div><div class="soft small">{name}</div></div>'
        for name, value in facts
    )
    return (
        f'<header><div class="soft small">Class report · {text(homework.id)}</div>'
        f'<div class="row"><h1>{text(homework.title)}</h1></div>'
        f'<div class="row" style="justify-content:flex-start;gap:2.2rem">{shown}</div></header>'
    )


def _histograms(homework: Homework, marks: Sequence[Mark]) -> str:
    figures = []
    for task in homework.tasks:
        earned = [mark.task(task.name).earned for mark in marks]
        scores = [score for score in earned if score is not None]
        average = f"{points(round(mean(scores), 2))}" if scores else "-"
        figures.append(
            f'<figure><div class="small"><b>{words(task.title)}</b></div>'
            f'<div class="small soft">mean {average} of {points(task.points)}</div>'
            f"{histogram(task.name, scores, task.points)}</figure>"
        )
    return f'<section><h2>Points per task</h2><div class="grid">{"".join(figures)}</div></section>'


def _table(homework: Homework, marks: Mapping[str, Mark], remarks: Mapping[str, str]) -> str:
    heads = "".join(
        f'<th title="{words(task.title)}">{number}</th>'
        for number, task in enumerate(homework.tasks, start=1)
    )
    legend = " · ".join(
        f"{number} {words(task.name)}" for number, task in enumerate(homework.tasks, start=1)
    )
    about = "<th>what it is</th>" if remarks else ""
    rows = "".join(_row(name, mark, remarks) for name, mark in marks.items())
    return (
        '<section><h2>Class</h2><div class="scroll"><table><thead><tr><th>student</th>'
        f'<th class="num">score</th><th>state</th>{heads}<th class="num">time</th>{about}</tr>'
        f'</thead><tbody>{rows}</tbody></table></div><p class="soft small">{legend}</p></section>'
    )


def _row(name: str, mark: Mark, remarks: Mapping[str, str]) -> str:
    cells = "".join(_square(entry) for entry in mark.tasks)
    about = f'<td class="small soft">{text(remarks.get(name, ""), 160)}</td>' if remarks else ""
    return (
        f'<tr><td>{text(name, 80)}</td><td class="num"><b>{points(mark.earned)}</b> / '
        f"{points(mark.points)}</td><td>{badge(mark.state)}</td>{cells}"
        f'<td class="num small">{mark.seconds:.2f} s</td>{about}</tr>'
    )


def _square(entry: TaskMark) -> str:
    title = f"{words(entry.task.title)}: {points(entry.earned)} / {points(entry.task.points)}"
    if entry.earned is None:
        colour = "#c9a0dc"
    else:
        share = entry.earned / entry.task.points
        colour = "#187a4b" if share >= 1 else f"hsl({round(10 + 90 * share)} 62% 66%)"
        colour = "#e5727a" if share <= 0 else colour
    style = f"display:inline-block;width:15px;height:15px;border-radius:4px;background:{colour}"
    return f'<td title="{title}"><i style="{style}"></i></td>'


def _ideas(homework: Homework, marks: Sequence[Mark]) -> str:
    rows = []
    for task in homework.tasks:
        for place, bucket in enumerate(task.buckets):
            states = [mark.task(task.name).buckets[place] for mark in marks]
            share = sum(1 for b in states if b.earned) / max(len(states), 1)
            rows.append(
                f"<tr><td>{words(task.title)}</td><td>{words(bucket)}</td>"
                f'<td class="num">{points(task.buckets[bucket])}</td>'
                f'<td class="num">{share:.0%}</td><td style="width:40%"><div class="bar">'
                f'<i style="width:{share:.0%}"></i></div></td></tr>'
            )
    return (
        "<section><details><summary>How many got each idea</summary><table><thead><tr>"
        '<th>task</th><th>idea</th><th class="num">points</th><th class="num">got it</th><th></th>'
        f"</tr></thead><tbody>{''.join(rows)}</tbody></table></details></section>"
    )


def _isolation(report: Mapping[str, Any]) -> str:
    if not report:
        return ""
    rows = "".join(
        f"<tr><td>{words(str(name))}</td><td>{_value(value)}</td></tr>"
        for name, value in report.items()
    )
    return (
        "<section><details><summary>Isolation of the student's code, as measured</summary>"
        f'<table class="small"><tbody>{rows}</tbody></table></details></section>'
    )


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return "<br>".join(f"{text(str(k))}: {text(str(v), 300)}" for k, v in value.items())
    return text(str(value), 600)
