"""A release: what goes in, when it is refused, and that a student can work with nothing else."""

import json
import os
import sqlite3
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from autograder.authoring.build import build, solved_notebook
from autograder.authoring.leak import LeakError, collect_secrets
from autograder.authoring.manifest import load_homework
from autograder.authoring.release import (
    ReleaseError,
    refuse_leaks,
    refuse_open_predecessors,
    release,
    released_files,
    requirements,
)
from autograder.authoring.wheel import pack

from .conftest import REPO

HW = "hw2_second"
DAY = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def built(course):
    build(course, HW)
    return course


def test_the_archive_holds_what_is_allowed_and_nbgrader_knows_the_homework(built, tmp_path):
    path = release(built, HW, tmp_path / "out")
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    assert names == [
        f"{HW}/constraints.txt",
        f"{HW}/{HW}.ipynb",
        f"{HW}/requirements.txt",
        f"{HW}/test_{HW}.py",
        f"{HW}/tinyflow-0.1.0+hw2-py3-none-any.whl",
    ]
    assert path.read_bytes() == pack(released_files(built, load_homework(built, HW)))
    with sqlite3.connect(built / "gradebook.db") as database:
        assert database.execute("select name from assignment").fetchall() == [(HW,)]
        points = database.execute("select sum(max_score) from grade_cells").fetchall()
        assert points == [(4.5,)]


def test_drift_is_refused(built, edit, tmp_path):
    edit("tinyflow/maths.py", "Twice x.", "Two times x.")
    with pytest.raises(ReleaseError, match="not up to date; run `kit build` first"):
        release(built, HW, tmp_path)


def test_a_leak_is_refused_and_nothing_is_written(built, edit, tmp_path):
    edit(f"course/{HW}.md", "A story.", "Hint: have you thought about numbers below zero?")
    build(built, HW)
    with pytest.raises(LeakError, match=rf"{HW}.ipynb: a hint of test_secret_suite.py"):
        release(built, HW, tmp_path / "out")
    assert not (tmp_path / "out").exists() and not (built / "gradebook.db").exists()


@pytest.mark.parametrize(
    ("closes", "released", "refused"),
    [
        ("closes = 2026-03-02T00:00:00Z\n", False, "until 2026-03-02 00:00:00"),
        ("closes = 2026-03-01T00:30:00-05:00\n", False, "until 2026-03-01 00:30:00-05:00"),
        ("", True, "without a closing date"),
        ("closes = 2026-02-28T00:00:00Z\n", True, None),
        ("", False, None),
    ],
)
def test_a_predecessor_that_still_accepts_work_holds_a_release_back(
    course, edit, tmp_path, closes, released, refused
):
    edit("course/manifest.toml", "order = 1\n", f"order = 1\n{closes}")
    if released:
        (tmp_path / "hw1_first.zip").touch()
    homework = load_homework(course, HW)
    if refused is None:
        refuse_open_predecessors(course, homework, tmp_path, DAY)
    else:
        with pytest.raises(ReleaseError, match=f"answers of hw1_first, which accepts .*{refused}"):
            refuse_open_predecessors(course, homework, tmp_path, DAY)


def test_requirements_are_pinned_and_a_missing_pin_is_named():
    constraints = (REPO / "constraints.txt").read_text()
    lines = requirements(constraints, "tinyflow-1.whl").splitlines()
    assert "./tinyflow-1.whl" in lines and "torch==2.13.0" in lines
    with pytest.raises(ReleaseError, match="no pin for pytest"):
        requirements(constraints.replace("pytest==", "pytes=="), "tinyflow-1.whl")


@pytest.fixture(scope="module")
def real():
    """The archive of the real homework."""
    return pack(released_files(REPO, load_homework(REPO, "hw2_autodiff")))


def test_the_real_release_gives_nothing_away(real):
    refuse_leaks(real, collect_secrets(load_homework(REPO, "hw2_autodiff"), REPO))


@pytest.fixture(scope="module")
def student(real, tmp_path_factory):
    """Folder of a student who unpacked the real release and installed its wheel, nothing else."""
    folder = tmp_path_factory.mktemp("student")
    (folder / "release.zip").write_bytes(real)
    with zipfile.ZipFile(folder / "release.zip") as opened:
        opened.extractall(folder)
    home = folder / "hw2_autodiff"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--target"]
    subprocess.run([*pip, folder / "site", *home.glob("*.whl")], check=True)
    return home


def environment(home):
    """Environment of a process in which ``tinyflow`` is the one from the wheel."""
    return {
        **os.environ,
        "PYTHONPATH": str(home.parent / "site"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "MPLBACKEND": "agg",
    }


def run_tests(home):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=home,
        env=environment(home),
        capture_output=True,
        text=True,
    )
    return done.stdout


def test_an_untouched_release_runs_and_says_what_is_to_do(student):
    output = run_tests(student)
    assert "gradient                 0 of 5  to do" in output
    assert "26 failed" in output and "passed" not in output and "errors" not in output


def test_a_solved_release_passes_its_tests_and_trains_on_the_students_pass(student):
    solved = solved_notebook(REPO, load_homework(REPO, "hw2_autodiff"))
    answers = {cell.id: cell.source for cell in solved.cells if cell.id.startswith("solution-")}
    path = student / "hw2_autodiff.ipynb"
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.source = answers.get(cell.id, cell.source)
    nbformat.write(notebook, path)
    assert "26 passed" in run_tests(student)
    where = nbformat.v4.new_code_cell("import sys; print(tf.__file__, 'autograder' in sys.modules)")
    notebook.cells.append(where)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(student)}})
    client.execute(env=environment(student))
    printed = {cell.id: text_of(cell) for cell in notebook.cells if cell.cell_type == "code"}
    site = student.parent / "site"
    assert printed[where.id] == f"{site / 'tinyflow/__init__.py'} False\n"
    checks = [text for name, text in printed.items() if name.startswith("check-")]
    assert len(checks) == 12 and all("public tests pass" in t and "FAIL" not in t for t in checks)
    trained = [
        float(text.split()[-11]) for text in printed.values() if "of the test images" in text
    ]
    assert len(trained) == 2 and trained[0] >= 88 and trained[1] >= 91


def text_of(cell):
    return "".join(output.get("text", "") for output in cell.outputs)


def test_the_released_notebook_has_no_output(student):
    name = "assignments/hw2_autodiff/hw2_autodiff.ipynb"
    cells = json.loads((Path(REPO) / name).read_text())["cells"]
    assert all(c["outputs"] == [] for c in cells if c["cell_type"] == "code")
