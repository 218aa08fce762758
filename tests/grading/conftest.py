"""A small course in a temporary folder, with the fake judge."""

import sys
from pathlib import Path

import nbformat
import pytest

from autograder.authoring.manifest import load_homework
from autograder.grading.course import Course
from autograder.grading.gradebook import open_gradebook

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # judge processes import fake_judge by name

from roads import Roads  # noqa: E402
from small_course import HOMEWORK, MANIFEST, REPOSITORY, Class, skeleton, submission  # noqa: E402


@pytest.fixture
def course(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(REPOSITORY))
    root = tmp_path / "course-folder"
    (root / "course").mkdir(parents=True)
    (root / "course" / "manifest.toml").write_text(MANIFEST)
    (root / "suite.txt").write_text("first edition")
    released = root / "assignments" / HOMEWORK / f"{HOMEWORK}.ipynb"
    released.parent.mkdir(parents=True)
    released.write_text(nbformat.writes(skeleton()))
    solved = root / "solutions" / HOMEWORK / f"{HOMEWORK}.ipynb"
    solved.parent.mkdir(parents=True)
    solved.write_bytes(submission())
    config = (REPOSITORY / "nbgrader_config.py").read_text()
    config += '\nc.GradingExporter.judge = "fake_judge:FakeJudge"\nc.GradingExporter.jobs = 1\n'
    (root / "nbgrader_config.py").write_text(config)
    return Course(root=root, work=root)


@pytest.fixture
def homework(course):
    return load_homework(course.root, HOMEWORK)


@pytest.fixture
def students(course):
    return Class(course)


@pytest.fixture(scope="session")
def empty_gradebook(tmp_path_factory):
    """Creating one calls alembic, which takes seconds; tests start from a copy."""
    path = tmp_path_factory.mktemp("empty") / "gradebook.db"
    with open_gradebook(f"sqlite:///{path}"):
        return path.read_bytes()


@pytest.fixture
def roads(course, homework, empty_gradebook):
    (course.work / "gradebook.db").write_bytes(empty_gradebook)
    return Roads(course, homework)
