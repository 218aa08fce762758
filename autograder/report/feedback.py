"""The page a student gets: per task and per test what was right, its points, and a hint.

Built from the release skeleton, the student's own sources (escaped) and the mark. It never holds
exception text, inputs, expected values, names or sources of hidden tests. Layer: report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from nbformat import NotebookNode
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from autograder.authoring.manifest import Homework
from autograder.grading.marks import BucketMark, Mark, TaskMark
from autograder.grading.rebuild import clean
from autograder.outcome import State, TestOutcome
from autograder.report.page import EXPLAINED, badge, page, points, text, words

__all__ = ["Score", "feedback_page"]

_MAX_COLOURED_CHARS = 20_000
_MAX_NOTES = 30


@dataclass(frozen=True, slots=True)
class Score:
    """What the gradebook says of one task: ``earned`` counts a human's score where there is one."""

    earned: float | None
    by_hand: bool = False
    extra_credit: float = 0.0
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """Everything one feedback page is made of; ``penalty`` is in points."""

    homework: Homework
    mark: Mark
    notebook: NotebookNode
    scores: Mapping[str, Score] = field(default_factory=dict)
    penalty: float = 0.0

    def score(self, task: TaskMark) -> Score:
        """The gradebook's score of a task, else the automatic one."""
        return self.scores.get(task.task.name, Score(task.earned))

    @property
    def total(self) -> float | None:
        """Points after penalty and extra credit; None while any task is held."""
        scores = [self.score(task) for task in self.mark.tasks]
        known = [s.earned + s.extra_credit for s in scores if s.earned is not None]
        return max(0.0, sum(known) - self.penalty) if len(known) == len(scores) else None


def feedback_page(sheet: Sheet) -> str:
    """Return the whole page as HTML text."""
    sources = {
        str(cell.metadata.get("nbgrader", {}).get("grade_id", "")): str(cell.source)
        for cell in sheet.notebook.cells
        if cell.metadata.get("nbgrader", {}).get("solution")
    }
    cards = [_card(task, sheet.score(task), sources) for task in sheet.mark.tasks]
    body = _header(sheet) + "".join(cards) + _added(sheet.notebook)
    return page(f"{sheet.homework.title}: {sheet.mark.student}", body)


def _header(sheet: Sheet) -> str:
    share = 0.0 if sheet.total is None else 100 * sheet.total / max(sheet.mark.points, 1e-9)
    notes = "".join(f"<li>{text(note, 300)}</li>" for note in sheet.mark.notes[:_MAX_NOTES])
    late = f" · late penalty {points(sheet.penalty)}" if sheet.penalty else ""
    return (
        f'<header><div class="row"><div><div class="soft small">Feedback</div>'
        f"<h1>{text(sheet.homework.title)}</h1>"
        f'<div class="soft">{text(sheet.mark.student)} · submission '
        f"{text(sheet.mark.submission_sha256[:10])}{late}</div></div>"
        f'<div class="num"><span class="total">{points(sheet.total)}</span>'
        f'<span class="soft"> / {points(sheet.mark.points)}</span></div></div>'
        f'<div class="bar" role="img" aria-label="{share:.0f} percent">'
        f'<i style="width:{min(share, 100):.1f}%"></i></div>'
        + (f'<div class="note small">About your notebook:<ul>{notes}</ul></div>' if notes else "")
        + "</header>"
    )


def _card(task: TaskMark, score: Score, sources: Mapping[str, str]) -> str:
    rows = "".join(_bucket(bucket) for bucket in task.buckets)
    source = sources.get(f"solution-{task.task.name}")
    code = f"<details><summary>your code</summary>{_code(source)}</details>" if source else ""
    extra = f" + {points(score.extra_credit)} extra" if score.extra_credit else ""
    hand = ' <span class="badge">by your instructor</span>' if score.by_hand else ""
    comment = f'<div class="hint">{text(score.comment)}</div>' if score.comment else ""
    return (
        f'<section><div class="row"><h2>{words(task.task.title)}</h2>'
        f'<div class="num">{badge(task.state)}{hand} &nbsp;<b>{points(score.earned)}</b>'
        f" / {points(task.task.points)}{extra}</div></div>{comment}"
        '<table class="ideas"><thead><tr><th>idea</th><th>tests</th>'
        f'<th class="num">points</th></tr></thead><tbody>{rows}</tbody></table>{code}</section>'
    )


def _bucket(bucket: BucketMark) -> str:
    failed = [test.hint for test in bucket.tests if test.state is not State.PASSED and test.hint]
    hints = "".join(f'<div class="hint small">{text(h, 600)}</div>' for h in dict.fromkeys(failed))
    return (
        f"<tr><td>{words(bucket.name)}</td><td class='small'>{_tests(bucket.tests)}{hints}</td>"
        f'<td class="num">{points(bucket.earned)} / {points(bucket.points)}</td></tr>'
    )


def _tests(tests: Sequence[TestOutcome]) -> str:
    """One line for each run of tests that ended alike, numbered from 1."""
    lines = []
    for ending, run in groupby(enumerate(tests, start=1), key=lambda pair: _ending(pair[1])):
        numbers = [number for number, _ in run]
        which = f"test {numbers[0]}" if len(numbers) == 1 else f"tests {numbers[0]}–{numbers[-1]}"
        lines.append(f'<div class="test">{ending[0]} {which} {ending[1]}</div>')
    return "".join(lines)


def _ending(test: TestOutcome) -> tuple[str, str]:
    """Badge and explanation of one test; only allow-listed names and places, no student text."""
    plain = test.state in (State.PASSED, State.NOT_IMPLEMENTED)
    parts = [text(part, 60) for part in (test.error_name, test.line) if part and not plain]
    where = f" <span class='soft'>({', '.join(parts)})</span>" if parts else ""
    return badge(test.state), "" if plain else f"{EXPLAINED[test.state]}{where}"


def _code(source: str) -> str:
    shown = clean(source)
    if len(shown) > _MAX_COLOURED_CHARS:
        return _plain(source)
    coloured = highlight(shown, PythonLexer(), HtmlFormatter(nowrap=True))
    return f"<pre>{coloured}</pre>"


def _plain(source: str) -> str:
    return f"<pre>{text(source, 100_000)}</pre>"


def _added(notebook: NotebookNode) -> str:
    cells = [cell for cell in notebook.cells if cell.metadata.get("kit", {}).get("added")]
    if not cells:
        return ""
    shown, room = "", _MAX_COLOURED_CHARS  # of all added cells: 5 MB would take a minute
    for cell in cells:
        room -= len(cell.source)
        shown += _code(str(cell.source)) if room > 0 else _plain(str(cell.source))
    return (
        f"<section><details><summary>cells you added ({len(cells)})</summary>"
        f"{shown}</details></section>"
    )
