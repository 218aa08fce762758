"""``report.html``: the class, and three feedback pages side by side. Layer: demonstration."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from autograder.authoring.manifest import Homework
from autograder.demo.classroom import Pupil
from autograder.grading.course import Course
from autograder.grading.marks import Mark
from autograder.grading.run import GradedClass
from autograder.grading.store import Store
from autograder.outcome import State
from autograder.report.class_report import class_report
from autograder.report.page import EXPLAINED, points, text

__all__ = ["demo_page"]


def demo_page(
    course: Course, homework: Homework, pupils: Sequence[Pupil], result: GradedClass
) -> str:
    """One self-contained page; the three feedback pages are the very files students would get."""
    graded = [pupil for pupil in pupils if pupil.student in result.marks]
    shown = _three(graded, result.marks)
    columns = "".join(_column(course, homework, pupil, result) for pupil in shown)
    hostile = [pupil for pupil in graded if pupil.kind == "hostile"]
    feature = (
        "<section><h2>Three feedback pages, as the students get them</h2>"
        f'<div class="three">{columns}</div></section>'
        + _attacks(hostile, result.marks, Store.open(course, homework.id))
    )
    remarks = {pupil.student: f"{pupil.kind}: {pupil.story}" for pupil in graded}
    return class_report(
        homework, result.marks, feature=feature, isolation=result.isolation, remarks=remarks
    )


def _three(pupils: Sequence[Pupil], marks: Mapping[str, Mark]) -> list[Pupil]:
    """A full one, the best partial one, the hostile one with most different things happening."""
    better: dict[str, Callable[[Mark], float]] = {
        "full": lambda mark: mark.seconds,
        "partial": lambda mark: mark.earned or 0.0,
        "hostile": lambda mark: len(_states(mark)),
    }
    chosen = []
    for kind, key in better.items():
        same = [pupil for pupil in pupils if pupil.kind == kind]
        chosen += sorted(same, key=lambda pupil: key(marks[pupil.student]))[-1:]
    return chosen


def _column(course: Course, homework: Homework, pupil: Pupil, result: GradedClass) -> str:
    mark = result.marks[pupil.student]
    path = course.feedback / pupil.student / homework.id / f"{homework.id}.html"
    page = html.escape(path.read_text(encoding="utf-8"), quote=True)
    happened = f"<p class='small'><b>What happened:</b> {_happened(mark)}</p>"
    tried = "What it tried" if pupil.kind == "hostile" else "What it is"
    return (
        f"<div><h2>{text(pupil.kind)}: {points(mark.earned)} / {points(mark.points)}</h2>"
        f"<p class='small'><b>{tried}:</b> {text(pupil.story)}</p>{happened}"
        f'<iframe sandbox="" loading="eager" title="feedback page of {text(pupil.student)}" '
        f'srcdoc="{page}"></iframe></div>'
    )


def _states(mark: Mark) -> Counter[State]:
    return Counter(test.state for t in mark.tasks for b in t.buckets for test in b.tests)


def _happened(mark: Mark) -> str:
    counts = _states(mark)
    if set(counts) == {State.PASSED}:
        return f"all {counts[State.PASSED]} hidden tests passed."
    parts = [
        f"{count} {state.replace('_', ' ')} <span class='soft'>({EXPLAINED[state]})</span>"
        for state, count in counts.most_common()
    ]
    return f"of {counts.total()} hidden tests: {', '.join(parts)}."


def _printed(store: Store, mark: Mark) -> str:
    """What the notebook printed: for the instructor, as text."""
    outcome = store.load(mark.student, mark.outcome)
    tail = outcome.output_tail.strip() if outcome else ""
    if not tail:
        return ""
    return f"<details><summary>what it printed</summary><pre>{text(tail, 1_500)}</pre></details>"


def _attacks(pupils: Sequence[Pupil], marks: Mapping[str, Mark], store: Store) -> str:
    rows = "".join(
        f"<tr><td>{text(pupil.student)}</td><td>{text(pupil.story)}</td>"
        f"<td class='small'>{_happened(marks[pupil.student])}"
        f"{_printed(store, marks[pupil.student])}</td>"
        f"<td class='num'>{points(marks[pupil.student].earned)}</td></tr>"
        for pupil in pupils
    )
    return (
        "<section><h2>Hostile notebooks</h2><table><thead><tr><th>student</th>"
        "<th>what it tried</th><th>what happened</th><th class='num'>points</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></section>"
    )
