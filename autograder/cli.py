"""``kit``: build, release, collect, grade, give back. Each command is a thin call to its owner.

Exit codes: 0 done; 1 stopped by an error that the message explains; 2 wrong usage; 3 done, but
something needs a human (a mark is held, a file could not be placed).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

if TYPE_CHECKING:
    from autograder.authoring.manifest import Homework
    from autograder.grading.course import Course

__all__ = ["app", "main"]

NEEDS_A_HUMAN = 3


class _Group(TyperGroup):
    """Turns errors that carry a message for people into that message and exit code 1."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; ``--debug`` lets the traceback through."""
        try:
            return super().invoke(ctx)
        except (ValueError, OSError, RuntimeError) as error:
            if type(error).__module__.startswith(("click", "typer")) or ctx.params.get("debug"):
                raise
            _errors.print("error:", style="bold red", end=" ")
            _errors.print(str(error) or type(error).__name__, markup=False, highlight=False)
            raise typer.Exit(1) from error
        except KeyboardInterrupt:
            _errors.print("stopped; nothing is lost: run the same command again to continue")
            raise typer.Exit(1) from None


app = typer.Typer(
    cls=_Group,
    help="Release, collect, grade and give back the homeworks of the TinyFlow course.",
    epilog="Exit codes: 0 done, 1 error, 2 wrong usage, 3 done but something needs a human.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
suite_app = typer.Typer(help="Hidden suites.", no_args_is_help=True)
app.add_typer(suite_app, name="suite")

_console = Console(highlight=False)
_errors = Console(stderr=True, highlight=False)
_folder: dict[str, Path] = {}

HomeworkId = Annotated[str, typer.Argument(help="Id of the homework, such as hw2_autodiff.")]
Student = Annotated[str, typer.Option(help="Only this student id.")]
Jobs = Annotated[int, typer.Option(min=0, help="Judge processes; 0: one per core.")]
Isolation = Annotated[
    str, typer.Option(help="Least isolation accepted: full, kernel or weak (weak is unsafe).")
]


@app.callback()
def _options(
    course: Annotated[
        Path, typer.Option(help="The course folder (default: the one around this folder).")
    ] = Path(),
    debug: Annotated[bool, typer.Option(help="Show tracebacks.")] = False,
) -> None:
    _folder["course"] = course


def _open(homework_id: str) -> tuple[Course, Homework]:
    from autograder.authoring.manifest import load_homework

    course = _course()
    return course, load_homework(course.root, homework_id)


def _course() -> Course:
    from autograder.grading.course import Course

    return Course.find(_folder.get("course", Path()))


@app.command()
def collect(
    homework: HomeworkId,
    path: Annotated[Path, typer.Argument(help="Folder or zip: one file or folder per student.")],
) -> None:
    """Take what students handed in, and say what could not be placed."""
    from autograder.grading.collect import collect as run
    from autograder.grading.gradebook import withdraw
    from autograder.report.terminal import plain

    course, found = _open(homework)
    result = run(course, found.id, path, lambda student: withdraw(course, found.id, student))
    changes = [entry.change for entry in result.placed]
    kinds = ("new", "replaced", "unchanged")
    _console.print(", ".join(f"{changes.count(kind)} {kind}" for kind in kinds))
    if result.ignored:
        names = ", ".join(result.ignored[:5])
        _console.print(plain(f"left aside (only notebooks are graded): {names}", 500, "dim"))
    for left in result.unplaced:
        _console.print(plain(f"not placed: {left.source}: {left.reason}", 500, "yellow"))
    raise typer.Exit(NEEDS_A_HUMAN if result.unplaced else 0)


@app.command()
def grade(
    homework: HomeworkId,
    student: Student = "*",
    jobs: Jobs = 0,
    force: Annotated[bool, typer.Option(help="Judge again what has an outcome.")] = False,
    require_isolation: Isolation = "kernel",
) -> None:
    """Judge what is new in the sandbox and fill the gradebook; safe to stop and run again."""
    from autograder.grading.run import Options, grade_class
    from autograder.report.progress import progress
    from autograder.report.terminal import change_table, mark_table

    course, found = _open(homework)
    options = Options(student, jobs, force, require_isolation)
    with progress(_console) as step:
        result = grade_class(course, found, options, step)
    _console.print(mark_table(result.marks))
    if result.moved:
        _console.print(change_table(result.moved))
    held = [name for name, mark in result.marks.items() if mark.earned is None]
    _console.print(
        f"{result.judged} judged in {result.judging_s:.1f} s, {result.written} written to the "
        f"gradebook in {result.writing_s:.1f} s; isolation: "
        f"{result.isolation.get('grade', 'nothing was run')}"
    )
    if held:
        _console.print(f"[magenta]held for a human:[/] {', '.join(held)}; see .kit/judge.log")
        raise typer.Exit(NEEDS_A_HUMAN)


@app.command()
def feedback(homework: HomeworkId, student: Student = "*") -> None:
    """Write the page each graded student gets into feedback/."""
    from autograder.report.exporter import write_feedback

    course, found = _open(homework)
    written = write_feedback(course, found, student)
    _console.print(f"{len(written)} pages in {course.feedback}")


@app.command()
def marks(
    homework: HomeworkId,
    csv: Annotated[Path | None, typer.Option(help="Write the marks to this CSV file.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write a class report as HTML.")] = None,
) -> None:
    """Compute marks from stored outcomes and today's manifest; runs no student code."""
    from autograder.grading.run import current_marks
    from autograder.report.class_report import class_report
    from autograder.report.export import marks_csv
    from autograder.report.terminal import mark_table

    course, found = _open(homework)
    all_marks = current_marks(course, found)
    known = {name: mark for name, mark in all_marks.items() if mark is not None}
    _console.print(mark_table(all_marks))
    if csv is not None:
        csv.write_text(marks_csv(known), encoding="utf-8")
        _console.print(f"written: {csv}")
    if report is not None:
        report.write_text(class_report(found, known), encoding="utf-8")
        _console.print(f"written: {report}")
    if len(known) < len(all_marks) or any(mark.earned is None for mark in known.values()):
        raise typer.Exit(NEEDS_A_HUMAN)


@app.command()
def build(
    homework: Annotated[str | None, typer.Argument(help="One homework; default: all.")] = None,
    check: Annotated[bool, typer.Option(help="Only compare; exit 1 on drift.")] = False,
) -> None:
    """Derive assignments/ and solutions/ from the engine and the homework text."""
    from autograder.authoring.build import build as run
    from autograder.authoring.manifest import load_manifest

    root = _course().root
    chosen = [homework] if homework else list(load_manifest(root / "course" / "manifest.toml"))
    drift = 0
    for name in chosen:
        diffs = run(root, name, check)
        drift += len(diffs)
        for diff in diffs if check else ():
            _console.print(diff, markup=False)
        _console.print(f"{name}: {len(diffs)} files {'differ' if check else 'written'}")
    if check and drift:
        _errors.print("the derived folders are not what the sources say; run: kit build")
        raise typer.Exit(1)


@app.command()
def release(
    homework: HomeworkId,
    out: Annotated[Path | None, typer.Option(help="Where to write (default: releases/).")] = None,
) -> None:
    """Make the archive that students receive; refused if it would give an answer away."""
    from autograder.authoring.release import release as run

    course, found = _open(homework)
    _console.print(f"released: {run(course.root, found.id, out or course.root / 'releases')}")


@suite_app.command()
def verify(
    homework: HomeworkId,
    seeds: Annotated[int, typer.Option(min=1, help="Random seeds to try.")] = 2,
) -> None:
    """Show that the suite is sound: reference, stub, wrong and unusual solutions."""
    from autograder.authoring.verify import verify as run

    course, found = _open(homework)
    result = run(course.root, found.id, seeds)
    _console.print(result)
    if not result.ok:
        raise typer.Exit(1)


@app.command()
def doctor() -> None:
    """Show which protections hold on this machine and what to do about the others."""
    from autograder.sandbox.doctor import doctor as run

    _console.print(run())


@app.command()
def demo(
    students: Annotated[int, typer.Option(min=12, help="Size of the simulated class.")] = 36,
    jobs: Jobs = 0,
    require_isolation: Isolation = "kernel",
) -> None:
    """Build, release, collect, grade a simulated class, and write report.html."""
    import shutil

    from autograder.demo.show import show
    from autograder.grading.run import Options

    root = _course().root
    work = root / ".demo" / f"class-of-{students}"
    show(root, work, students, Options("*", jobs, False, require_isolation), _console)
    shutil.copyfile(work / "report.html", root / "report.html")


def main() -> None:
    """Entry point of the console script."""
    app()


if __name__ == "__main__":
    main()
