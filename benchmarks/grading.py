"""Grading a class: ``kit grade`` beside ``nbgrader autograde`` as shipped, gradebook included.

Both get the same notebooks and an empty gradebook that knows the homework, each in its own process,
in turns. nbgrader runs every cell in one kernel per notebook; the second row takes the
training and plotting cells out first, so that only what grading needs is compared. Start-up counts.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from autograder.authoring.manifest import load_homework
from autograder.demo.classroom import simulate
from autograder.grading.course import Course
from autograder.grading.gradebook import auto_scores, ensure_assignment, open_gradebook
from benchmarks.report import Row

__all__ = ["run"]

HOMEWORK = "hw2_autodiff"
LIMIT = 5.0  # times the throughput of nbgrader as shipped, for notebooks as they are handed in
ROOT = Path(__file__).resolve().parents[1]


def run(rounds: int = 2, students: int = 12) -> list[Row]:
    """Measure and print all rows."""
    table = Table(title=f"Grading {students} notebooks, gradebook included: notebooks a minute")
    for heading in ("notebooks", "limit", "kit grade", "nbgrader as shipped", "ratio"):
        table.add_column(heading, justify="left" if heading == "notebooks" else "right")
    whole = right_notebooks(students)
    rows = {"as handed in": whole, "without training cells": tidied(whole)}
    measured = []
    for title, notebooks in rows.items():
        ours, theirs = zip(*(race(notebooks) for _ in range(rounds)))
        ratio = statistics.median(theirs[i] / ours[i] for i in range(rounds))
        rates = [60 * students / statistics.median(times) for times in (ours, theirs)]
        limit = LIMIT if notebooks is whole else None
        table.add_row(
            title, f"{limit:.0f}x" if limit else "-", *(f"{rate:.1f}" for rate in rates),
            f"{ratio:.1f}x",
        )  # fmt: skip
        measured.append(Row("grading", title, ratio, limit, at_least=True))
    Console().print(table)
    return measured


def right_notebooks(count: int) -> dict[str, bytes]:
    """The first right but unusual notebooks of the simulated class, by student."""
    class_ = simulate(ROOT, load_homework(ROOT, HOMEWORK), 3 * count + 12)
    right = [pupil for pupil in class_ if pupil.kind == "full"]
    return {pupil.student: pupil.notebook for pupil in right[:count]}


def tidied(notebooks: Mapping[str, bytes]) -> dict[str, bytes]:
    """The same notebooks without the cells tagged ``demo``."""
    found = {}
    for name, data in notebooks.items():
        content = json.loads(data)
        content["cells"] = [
            cell for cell in content["cells"] if "demo" not in cell["metadata"].get("tags", ())
        ]
        found[name] = json.dumps(content).encode()
    return found


def race(notebooks: Mapping[str, bytes]) -> tuple[float, float]:
    """Seconds of ours and of nbgrader's own command for these notebooks."""
    kit = prepare("kit", notebooks, 'load_subconfig("../../../nbgrader_config.py")')
    shipped = prepare("shipped", notebooks, "")
    command = [sys.executable, "-m", "autograder.cli", "--course", str(kit.work), "grade", HOMEWORK]
    ours = timed(command, kit)
    theirs = timed([sys.executable, "-m", "nbgrader", "autograde", HOMEWORK], shipped)
    with open_gradebook(f"sqlite:///{kit.work}/gradebook.db") as gradebook:
        scores = auto_scores(gradebook, HOMEWORK)
    assert scores.keys() == notebooks.keys() and all(
        None not in s.values() for s in scores.values()
    )
    return ours, theirs


def prepare(name: str, notebooks: Mapping[str, bytes], config: str) -> Course:
    """A fresh course folder with these submissions collected and the homework registered."""
    work = ROOT / ".demo" / "bench" / name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(mode=0o700, parents=True)
    (work / "nbgrader_config.py").write_text(f"c = get_config()\n{config}\n", encoding="utf-8")
    course = Course(root=ROOT, work=work)
    for student, data in notebooks.items():
        path = course.submission(HOMEWORK, student)
        course.private(path.parent)
        path.write_bytes(data)
    ensure_assignment(course, HOMEWORK, f"sqlite:///{work}/gradebook.db")
    return course


def timed(command: list[str], course: Course) -> float:
    """Wall seconds of a command in the course folder; raises CalledProcessError if it fails."""
    began_s = time.perf_counter()
    subprocess.run(command, cwd=course.work, check=True, capture_output=True)
    return time.perf_counter() - began_s
