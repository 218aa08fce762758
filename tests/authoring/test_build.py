"""Notebooks are derived from the text and the engine, to the byte."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from autograder.authoring.body import find
from autograder.authoring.build import BuildError, build, derive, solved_notebook
from autograder.authoring.manifest import ManifestError, load_homework

from .conftest import REPO, cells

HW = "hw2_second"
SOLVED = f"solutions/{HW}/{HW}.ipynb"
RELEASED = f"assignments/{HW}/{HW}.ipynb"


def test_cell_ids_are_grade_ids(course):
    build(course, HW)
    released = cells(course / RELEASED)
    assert list(released) == [
        "text", "setup", "text-2", "solution-double", "check-double", "score-double", "demo",
        "check-integration", "score-integration",
    ]  # fmt: skip
    for name, cell in released.items():
        assert cell["metadata"].get("nbgrader", {"grade_id": name})["grade_id"] == name
    kinds = {
        name: c["metadata"]["nbgrader"]
        for name, c in released.items()
        if "nbgrader" in c["metadata"]
    }
    assert kinds["score-double"]["points"] == 3.5 and kinds["score-double"]["locked"]
    assert kinds["solution-double"]["solution"] and not kinds["solution-double"]["grade"]
    assert kinds["setup"]["locked"] and not kinds["setup"]["grade"]
    assert released["demo"]["metadata"]["tags"] == ["demo"]


def test_signature_and_docstring_stay_and_the_body_goes(course):
    build(course, HW)
    function = find(course, "tinyflow.maths:double")
    solved = "".join(cells(course / SOLVED)["solution-double"]["source"])
    stub = "".join(cells(course / RELEASED)["solution-double"]["source"])
    marks = "    ### BEGIN SOLUTION\n", "    ### END SOLUTION"
    assert solved == function.head + marks[0] + function.body + marks[1]
    assert stub == function.head + "    # YOUR CODE HERE\n    raise NotImplementedError()"


def test_building_twice_gives_the_same_bytes_and_no_drift(course):
    assert len(build(course, HW)) == 4
    first = {name: (course / name).read_bytes() for name in (SOLVED, RELEASED)}
    assert build(course, HW) == () == build(course, HW, check=True)
    assert derive(course, load_homework(course, HW)).items() >= first.items()


def test_check_shows_drift_as_a_diff_and_writes_nothing(course, edit):
    build(course, HW)
    edit("tinyflow/maths.py", "Twice x.", "Two times x.")
    before = (course / RELEASED).read_bytes()
    diffs = build(course, HW, check=True)
    assert len(diffs) == 2
    assert f"--- {RELEASED} (on disk)" in diffs[0]
    assert '+    "    \\"\\"\\"Two times x.\\n",' in diffs[0]
    assert (course / RELEASED).read_bytes() == before


def test_a_file_that_is_not_derived_is_refused_because_nbgrader_would_release_it(course):
    build(course, HW)
    (course / f"solutions/{HW}/key.txt").write_text("answers")
    assert build(course, HW, check=True)[0].startswith(f"solutions/{HW}/key.txt: not derived")
    with pytest.raises(BuildError, match=r"key.txt: not derived, .* delete it"):
        build(course, HW)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (":task: double", ":tags: [demo]", "no slot for task 'double'"),
        (":task: integration", ":task: double", "task 'double': expected one empty slot"),
        (":task: double", ":task: double\n\nx = 1", "task 'double': expected one empty slot"),
        (":tags: [demo]", ":tags: [plot]", r"'print\(double\(21\)\)' has tags \['plot'\]"),
        ("import LIMIT, half", "import half", "task 'double' uses LIMIT, which no set-up cell"),
    ],
)
def test_a_text_at_odds_with_the_manifest_is_refused(course, edit, old, new, words):
    edit(f"course/{HW}.md", old, new)
    with pytest.raises(BuildError, match=rf"(?s){HW}\.md: .*{words}"):
        build(course, HW)


def test_an_unknown_task_or_homework_is_named(course, edit):
    edit(f"course/{HW}.md", ":task: double", ":task: dubble")
    with pytest.raises(ManifestError, match="no task 'dubble'; known tasks: double, integration"):
        build(course, HW)
    with pytest.raises(BuildError, match=r"hw1_first\.md: no such file"):
        build(course, "hw1_first")
    with pytest.raises(ManifestError, match="no homework 'hw9'; known: hw1_first, hw2_second"):
        build(course, "hw9")


def test_stock_execution_of_a_score_cell_never_gives_points(course, monkeypatch):
    build(course, HW)
    source = "".join(cells(course / RELEASED)["score-double"]["source"])
    statements, _, value = source.rpartition("\n")
    exec(statements)
    assert value == "0.0"
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    with pytest.raises(AssertionError, match="points are given by kit grade only"):
        exec(statements)


def test_the_committed_folders_are_what_the_sources_say():
    assert build(REPO, "hw2_autodiff", check=True) == ()


def test_every_task_of_the_manifest_is_in_the_notebook():
    homework = load_homework(REPO, "hw2_autodiff")
    ids = {cell.id for cell in solved_notebook(REPO, homework).cells}
    wanted = {f"score-{task.name}" for task in homework.tasks}
    wanted |= {f"solution-{task.name}" for task in homework.tasks if task.function}
    assert wanted <= ids and len(homework.tasks) == 12


GENERATE = """
import sys
from nbgrader.apps.api import NbGraderAPI
from nbgrader.apps import NbGrader
app = NbGrader()
app.load_config_file()
api = NbGraderAPI(config=app.config)
result = api.generate_assignment("hw2_autodiff", force=True, create=True)
sys.exit(0 if result["success"] else result["log"])
"""


def test_the_formgraders_own_generate_gives_the_same_bytes(tmp_path):
    listed = subprocess.run(
        ["git", "ls-files", "solutions", "assignments", "nbgrader_config.py", "autograder"],
        cwd=REPO, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in listed.stdout.splitlines():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((REPO / name).read_bytes())
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        [sys.executable, "-c", GENERATE], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    generated = sorted((tmp_path / "assignments").rglob("*.*"))
    assert len(generated) == 3
    for file in generated:
        assert file.read_bytes() == (REPO / file.relative_to(tmp_path)).read_bytes(), file
    assert (tmp_path / "gradebook.db").exists()
    json.loads((tmp_path / "assignments/hw2_autodiff/hw2_autodiff.ipynb").read_text())
