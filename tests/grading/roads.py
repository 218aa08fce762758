"""The roads by which marks come into nbgrader's gradebook, and what a fair student gets."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
from nbgrader.apps.api import NbGraderAPI
from small_course import HOMEWORK, REPOSITORY

from autograder.grading.gradebook import (
    auto_scores,
    course_directory,
    load_config,
    open_gradebook,
)
from autograder.grading.run import Options, grade_class

FULL = {"mul_adjoint": 5.0, "gradient": 5.0, "integration": 2.5}
ZERO = {"mul_adjoint": 0.0, "gradient": 0.0, "integration": 0.0}
HELD = {"mul_adjoint": None, "gradient": None, "integration": None}
BIN = Path(sys.executable).parent


class Roads:
    """The three ways to a mark: ``kit grade``, the formgrader's button, ``nbgrader autograde``."""

    def __init__(self, course, homework):
        self.course, self.homework = course, homework

    @property
    def url(self):
        return f"sqlite:///{self.course.work}/gradebook.db"

    def kit(self, **options):
        return grade_class(
            self.course, self.homework, Options(judge="fake_judge:FakeJudge", **options)
        )

    def button(self, student="*"):
        config = load_config(self.course)
        directory = course_directory(self.course, config, HOMEWORK)
        return NbGraderAPI(directory, config=config).autograde(HOMEWORK, student)

    def shell(self, *arguments, path=None):
        env = {
            "PATH": path or os.environ["PATH"],
            "HOME": str(self.course.work),
            "PYTHONPATH": f"{REPOSITORY}:{Path(__file__).parent}",
        }
        command = [str(BIN / "nbgrader"), *arguments]
        return subprocess.run(
            command, cwd=self.course.work, env=env, capture_output=True, text=True, check=False
        )

    def scores(self):
        with open_gradebook(self.url) as gradebook:
            return auto_scores(gradebook, HOMEWORK)

    def notebook(self, student):
        return nbformat.read(self.course.graded(HOMEWORK, student), as_version=4)

    def configure(self, line):
        path = self.course.work / "nbgrader_config.py"
        path.write_text(f"{path.read_text()}\n{line}\n")
