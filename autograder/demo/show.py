"""``kit demo``: a whole course year in a minute. Layer: demonstration.

Everything happens in the git-ignored folder ``.demo/``, through the functions that the other
commands call. Running it again judges nothing twice.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from autograder.authoring.build import build
from autograder.authoring.leak import collect_secrets
from autograder.authoring.manifest import Homework, load_homework
from autograder.authoring.release import refuse_leaks, released_files
from autograder.authoring.wheel import pack
from autograder.demo.classroom import Pupil, hand_in, simulate
from autograder.demo.page import demo_page
from autograder.grading.collect import collect
from autograder.grading.course import Course
from autograder.grading.gradebook import withdraw
from autograder.grading.run import GradedClass, Options, grade_class
from autograder.report.export import marks_csv
from autograder.report.exporter import write_feedback
from autograder.report.progress import progress
from autograder.report.terminal import isolation_table, mark_table, plain

__all__ = ["show"]

_HOMEWORK = "hw2_autodiff"
_CONFIG = """\
c = get_config()  # the course's own configuration, for the class of the demonstration
load_subconfig({root!r} + "/nbgrader_config.py")
c.CourseDirectory.source_directory = {root!r} + "/solutions"
c.CourseDirectory.release_directory = {root!r} + "/assignments"
"""


def show(root: Path, work: Path, count: int, options: Options, console: Console) -> GradedClass:
    """Run the demonstration with ``count`` students in ``work``, a folder inside ``root``.

    Writes the page of the class to ``work/report.html``.
    """
    began_s = time.monotonic()
    homework = load_homework(root, _HOMEWORK)
    course = _course(root, work)
    with _step(console, "build and release"):
        build(root, homework.id)
        archive = pack(released_files(root, homework))
        refuse_leaks(archive, collect_secrets(homework, root))
        (course.work / f"{homework.id}.zip").write_bytes(archive)
    with _step(console, f"simulate a class of {count}"):
        pupils = simulate(root, homework, count)
        inbox = course.work / "inbox"
        shutil.rmtree(inbox, ignore_errors=True)
        _forget_others(course, {pupil.student for pupil in pupils})
        hand_in(pupils, homework, inbox)
    with _step(console, "collect"):
        found = collect(course, homework.id, inbox, lambda s: withdraw(course, homework.id, s))
    for left in found.unplaced:
        console.print(plain(f"  not placed: {left.source}: {left.reason}", 200, "yellow"))
    with progress(console) as step:
        result = grade_class(course, homework, options, step)
    with _step(console, "feedback pages and report"):
        write_feedback(course, homework)
        (course.work / "marks.csv").write_text(marks_csv(result.marks), encoding="utf-8")
        page = demo_page(course, homework, pupils, result)
        (work / "report.html").write_text(page, encoding="utf-8")
    console.print(mark_table(result.marks))
    console.print(isolation_table(result.isolation))
    _summary(console, course, homework, pupils, result, time.monotonic() - began_s)
    return result


def _course(root: Path, work: Path) -> Course:
    work.mkdir(mode=0o700, parents=True, exist_ok=True)
    config = _CONFIG.format(root=str(root))
    (work / "nbgrader_config.py").write_text(config, encoding="utf-8")
    return Course(root=root, work=work)


def _forget_others(course: Course, students: set[str]) -> None:
    """Take away what an older version of the demonstration handed in."""
    for folder in course.submitted.glob("*"):
        if folder.name not in students:
            shutil.rmtree(folder)


@contextmanager
def _step(console: Console, name: str) -> Iterator[None]:
    began_s = time.monotonic()
    yield
    console.print(f"[green]✓[/] {name} [dim]{time.monotonic() - began_s:.1f} s[/]")


def _summary(
    console: Console,
    course: Course,
    homework: Homework,
    pupils: Sequence[Pupil],
    result: GradedClass,
    total_s: float,
) -> None:
    kinds = {pupil.student: pupil.kind for pupil in pupils}
    right = [mark for name, mark in result.marks.items() if kinds.get(name) == "full"]
    full = sum(1 for mark in right if mark.earned == mark.points)
    stolen = sum(
        mark.earned or 0.0 for name, mark in result.marks.items() if kinds.get(name) == "hostile"
    )
    here = course.work.relative_to(course.root)
    rate = f"{60 * result.judged / result.judging_s:.0f} a minute" if result.judged else "0 new"
    console.print(
        f"{full} of {len(right)} right but unusual notebooks have full marks; hostile notebooks "
        f"earned {stolen:g} points in all.\n{result.judged} of {len(result.marks)} judged in "
        f"{result.judging_s:.1f} s ({rate}), gradebook {result.writing_s:.1f} s, "
        f"everything {total_s:.1f} s."
    )
    page = f"{here}/feedback/{pupils[0].student}/{homework.id}/{homework.id}.html"
    console.print("\n[bold]where to look next[/]")
    for what, where in (
        ("the class, three feedback pages", "report.html"),
        ("the page of one student", page),
        ("marks for a spreadsheet", f"{here}/marks.csv"),
        ("what students would receive", f"{here}/{homework.id}.zip"),
        ("nbgrader's own road, same marks", f"cd {here} && nbgrader autograde {homework.id}"),
        ("the gradebook in a browser", f"cd {here} && jupyter lab  (Formgrader)"),
        ("what protects this machine", "kit doctor"),
    ):
        console.print(f"  {what:32} {where}", soft_wrap=True)
