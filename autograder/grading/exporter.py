"""What replaces nbgrader's reading of submissions. Layer: grading, called by nbgrader.

``nbgrader autograde`` and the formgrader make one of these per run. It judges every submission of
the run first (in the pool, outcomes that exist are reused), then hands nbgrader notebooks that were
rebuilt from the release: nothing a student controls but source text reaches nbgrader or a browser.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from nbconvert.exporters import NotebookExporter
from nbconvert.preprocessors import ExecutePreprocessor
from nbformat import NotebookNode
from nbgrader.converters import Autograde
from nbgrader.coursedir import CourseDirectory
from traitlets import Integer, Unicode

from autograder.authoring.manifest import load_homework
from autograder.grading.bridge import rebuilt_submission
from autograder.grading.course import Course, CourseError
from autograder.grading.gradebook import ensure_assignment, hold
from autograder.grading.marks import Mark, mark
from autograder.grading.plan import Grader, look
from autograder.grading.pool import JUDGE
from autograder.grading.rebuild import read_skeleton

__all__ = ["GradingExporter"]

_ORDER = ("TrustedGrade", "SaveAutoGrades", "TrustedComments")


class GradingExporter(NotebookExporter):
    """Reads submissions safely, knows every mark of the run, and fails closed."""

    judge = Unicode(JUDGE, help="module:class of the judge").tag(config=True)
    require = Unicode("kernel", help="least isolation accepted").tag(config=True)
    jobs = Integer(0, help="judge processes; 0: one per core").tag(config=True)

    def __init__(self, config: Any = None, parent: Any = None, **kwargs: Any) -> None:
        super().__init__(config=config, parent=parent, **kwargs)  # type: ignore[no-untyped-call]
        if not isinstance(parent, Autograde):
            raise CourseError("GradingExporter is only for Autograde.exporter_class")
        self._converter = parent
        directory = parent.coursedir
        self._homework_id = str(directory.assignment_id)
        root = Path(directory.root)
        self._course = Course(root=Course.find(root).root, work=root.resolve())
        self._homework = load_homework(self._course.root, self._homework_id)
        self._skeleton = read_skeleton(self._course.skeleton(self._homework_id))
        self._db_url = str(directory.db_url)
        self._check_folders(directory)
        ensure_assignment(self._course, self._homework_id, self._db_url)
        parent.coursedir = _copying_nothing(directory)
        try:
            self._marks = self._judge(parent)
        except BaseException:
            self._hold_changed(parent)
            raise

    def _check_folders(self, directory: CourseDirectory) -> None:
        ours = str(self._course.submission(self._homework_id, "x").parent)
        theirs = directory.format_path(directory.submitted_directory, "x", self._homework_id)
        if os.path.normpath(theirs) != os.path.normpath(ours):
            raise CourseError(f"nbgrader_config.py: submissions in {theirs}, expected {ours}")

    def _judge(self, parent: Autograde) -> dict[str, Mark]:
        """Judge every submission of this run; a wrongly named notebook has its old mark held."""
        expected = f"{self._homework_id}.ipynb"
        submissions = []
        for folder, notebooks in sorted(parent.assignments.items()):
            student = Path(folder).parent.name
            _check_timestamp(Path(folder) / "timestamp.txt")
            if expected in {Path(name).name for name in notebooks}:
                submissions.append(look(student, Path(folder) / expected))
            else:
                hold(self._db_url, self._homework_id, student)
        grader = Grader(self._course, self._homework, self.judge, self.require)
        judged = grader.judge_all(submissions, jobs=self.jobs or os.cpu_count() or 1)
        return {name: mark(outcome, self._homework) for name, outcome in judged.outcomes.items()}

    def _hold_changed(self, parent: Autograde) -> None:
        """No judge: a mark must still not outlive the submission it was given for."""
        for folder in parent.assignments:
            student = Path(folder).parent.name
            graded = self._course.graded(self._homework_id, student)
            stamp = read_skeleton(graded).metadata.get("kit", {}) if graded.is_file() else {}
            submission = look(student, Path(folder) / f"{self._homework_id}.ipynb")
            if stamp.get("submission") != submission.sha256:
                hold(self._db_url, self._homework_id, student)

    def from_filename(
        self, filename: str, resources: dict[str, Any] | None = None, **kwargs: Any
    ) -> tuple[Any, dict[str, Any]]:
        """Rebuild a submission, or grade a rebuilt one; on any failure the mark is held."""
        assert resources is not None, "nbgrader always names student and notebook"
        try:
            if self._converter._sanitizing:
                student = resources["nbgrader"]["student"]
                notebook = rebuilt_submission(
                    self._course,
                    self._homework_id,
                    self._skeleton,
                    student,
                    self._marks[student].submission_sha256,
                )
            else:
                self._check_preprocessors()
                notebook = read_skeleton(Path(filename))
            result: tuple[Any, dict[str, Any]] = self.from_notebook_node(  # type: ignore[no-untyped-call]
                notebook, resources=resources, **kwargs
            )
            return result
        except BaseException:
            hold(self._db_url, self._homework_id, resources["nbgrader"]["student"])
            raise

    def mark_for(self, student: str, notebook: NotebookNode) -> Mark:
        """The mark of the submission this notebook was rebuilt from; raises CourseError if not."""
        stamp = notebook.metadata.get("kit", {})
        found = self._marks.get(student)
        if found is None or (student, found.submission_sha256) != (
            stamp.get("student"),
            stamp.get("submission"),
        ):
            raise CourseError(f"{student}: no mark for this notebook; run: kit grade")
        return found

    def _check_preprocessors(self) -> None:
        names = [type(step).__name__ for step in self._preprocessors if step.enabled]
        places = [names.index(name) for name in _ORDER if name in names]
        runs_code = any(isinstance(step, ExecutePreprocessor) for step in self._preprocessors)
        if len(places) != len(_ORDER) or places != sorted(places) or runs_code:
            raise CourseError(
                f"nbgrader_config.py: Autograde.autograde_preprocessors is {names}; expected "
                f"{', '.join(_ORDER)} in this order, and nothing that executes; no mark was given"
            )


def _check_timestamp(path: Path) -> None:
    """nbgrader opens this file blindly: a fifo would hang it."""
    if not os.path.lexists(path):
        return
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > 1000:
        raise CourseError(f"{path}: not a plain time stamp; remove it and grade again")


def _copying_nothing(directory: CourseDirectory) -> CourseDirectory:
    """The same course directory, but nbgrader copies no file that lies beside a notebook."""
    values = {name: getattr(directory, name) for name in directory.trait_names(config=True)}
    return CourseDirectory(**{**values, "ignore": ["*"]})
