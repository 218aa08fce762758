"""What replaces execution inside ``nbgrader autograde``. Layer: grading, called by nbgrader.

Both are named as *strings* in nbgrader_config.py: nbgrader refuses to start when a string cannot be
imported, whereas it would quietly run the notebook itself, unsandboxed, if the config failed.
"""

from __future__ import annotations

from typing import Any

from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor

from autograder.grading.course import CourseError
from autograder.grading.exporter import GradingExporter
from autograder.grading.gradebook import hold, set_scores
from autograder.grading.marks import Mark
from autograder.grading.score_cells import fill_scores

__all__ = ["TrustedComments", "TrustedGrade"]

Resources = dict[str, Any]


class _Trusted(NbGraderPreprocessor):  # type: ignore[misc]  # nbgrader is untyped
    """Gets the mark from our exporter; without it, holds the mark and refuses."""

    def _mark(self, nb: NotebookNode, resources: Resources) -> Mark:
        names = resources["nbgrader"]
        if not isinstance(self.parent, GradingExporter):
            hold(names["db_url"], names["assignment"], names["student"])
            raise CourseError(
                "nbgrader_config.py: Autograde.exporter_class is not "
                "'autograder.grading.exporter.GradingExporter'; no mark was given"
            )
        return self.parent.mark_for(names["student"], nb)


class TrustedGrade(_Trusted):
    """Writes the verdict into each score cell: a table for people, one number for nbgrader."""

    def preprocess(self, nb: NotebookNode, resources: Resources) -> tuple[NotebookNode, Resources]:
        """Fill every score cell; raises CourseError if points and manifest disagree."""
        fill_scores(nb, self._mark(nb, resources))
        return nb, resources


class TrustedComments(_Trusted):
    """Runs after SaveAutoGrades: comments per task, and held marks taken back for a human."""

    def preprocess(self, nb: NotebookNode, resources: Resources) -> tuple[NotebookNode, Resources]:
        """Write automatic comments and reset the score of every held task."""
        names = resources["nbgrader"]
        mark = self._mark(nb, resources)
        with Gradebook(names["db_url"]) as gradebook:
            set_scores(gradebook, names["assignment"], mark)
        return nb, resources
