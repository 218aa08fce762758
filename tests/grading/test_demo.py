"""The simulated class, and the whole road once with the real judge and sandbox."""

import io
import json
import os
import shutil
import subprocess
import sys
from collections import Counter

import pytest
from rich.console import Console
from small_course import HOMEWORK, REPOSITORY

from autograder.authoring.manifest import load_homework
from autograder.demo.classroom import hand_in, simulate
from autograder.demo.show import show
from autograder.grading.collect import collect
from autograder.grading.course import Course
from autograder.grading.gradebook import auto_scores, open_gradebook
from autograder.grading.run import Options
from autograder.intake import parse_cells

REAL = load_homework(REPOSITORY, HOMEWORK)


@pytest.fixture(scope="module")
def pupils():
    return simulate(REPOSITORY, REAL, 36)


def test_half_of_the_class_is_right_but_unusual_and_all_kinds_occur(pupils):
    kinds = Counter(pupil.kind for pupil in pupils)
    assert kinds == {"full": 20, "partial": 4, "stub": 2, "wrong": 4, "hostile": 6}
    assert len({pupil.story for pupil in pupils if pupil.kind != "stub"}) == 34


def test_the_class_is_the_same_every_time_and_no_two_hand_in_the_same(pupils):
    assert simulate(REPOSITORY, REAL, 36) == pupils
    large = simulate(REPOSITORY, REAL, 120)
    assert large[:36] == pupils
    assert len({pupil.student for pupil in large}) == len({p.notebook for p in large}) == 120


def test_every_notebook_is_one_and_keeps_the_homeworks_solution_cells(pupils):
    for pupil in pupils:
        ids = [cell.id for cell in parse_cells(pupil.notebook)]
        assert "solution-gradient" in ids, pupil.story


def test_everybody_is_found_whatever_the_files_are_called(pupils, tmp_path):
    hand_in(pupils, REAL, tmp_path / "inbox")
    result = collect(Course(REPOSITORY, tmp_path), HOMEWORK, tmp_path / "inbox")
    assert [entry.student for entry in result.placed] == sorted(p.student for p in pupils)
    assert [left.source for left in result.unplaced] == ["mallory"]


def test_the_whole_road_with_the_real_judge():
    """Release, collect, grade, feedback; again, without judging; and plain nbgrader the same."""
    work = REPOSITORY / ".demo" / f"test-{os.getpid()}"
    said = io.StringIO()
    console = Console(file=said, width=120)
    try:
        first = show(REPOSITORY, work, 12, Options(), console)
        kinds = {pupil.student: pupil.kind for pupil in simulate(REPOSITORY, REAL, 12)}
        for name, mark in first.marks.items():
            share = (mark.earned or 0.0) / mark.points
            if kinds[name] == "full":
                assert share == 1.0, name
            elif kinds[name] in ("hostile", "stub"):
                assert share == 0.0, name
            else:
                assert 0.0 < share < 1.0, name
        page = (work / "report.html").read_text(encoding="utf-8")
        assert page.count("<iframe") == 3 and page.count("<svg") == len(REAL.tasks)
        assert "7 of 7 right but unusual notebooks have full marks" in said.getvalue()

        second = show(REPOSITORY, work, 12, Options(), console)
        assert (second.judged, second.written) == (0, 0)
        assert second.marks == first.marks

        command = [sys.executable, "-m", "nbgrader", "autograde", HOMEWORK]
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        with open_gradebook(f"sqlite:///{work}/gradebook.db") as gradebook:
            scores = auto_scores(gradebook, HOMEWORK)
        expected = {
            name: {entry.task.name: entry.earned for entry in mark.tasks}
            for name, mark in first.marks.items()
        }
        assert scores == expected
        outcome = next((work / ".kit" / "outcomes" / HOMEWORK / "ada").iterdir())
        assert json.loads(outcome.read_text())["isolation"]["grade"] in ("full", "kernel")
    finally:
        shutil.rmtree(work, ignore_errors=True)
