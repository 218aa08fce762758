"""nbgrader for this course: our reading and judging, its gradebook, exchange and formgrader.

Classes of ours are named as strings on purpose: if one cannot be imported, nbgrader stops. With a
class object a failing import would only be logged, and nbgrader would run student code itself.
"""

import os
import sys
from pathlib import Path

# nbgrader calls `alembic` by name; without this the first command of a fresh course fails
os.environ["PATH"] = os.pathsep.join(
    [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
)

c = get_config()  # noqa: F821  # provided by traitlets

c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "assignments"

c.Autograde.exporter_class = "autograder.grading.exporter.GradingExporter"
c.Autograde.force = True  # a run that was killed is graded again, not skipped
c.Autograde.sanitize_preprocessors = ["nbgrader.preprocessors.CheckCellMetadata"]
c.Autograde.autograde_preprocessors = [
    "autograder.grading.preprocessors.TrustedGrade",
    "nbgrader.preprocessors.LimitOutput",
    "nbgrader.preprocessors.SaveAutoGrades",
    "autograder.grading.preprocessors.TrustedComments",
    "nbgrader.preprocessors.AssignLatePenalties",
    "nbgrader.preprocessors.CheckCellMetadata",
]

c.GenerateFeedback.exporter_class = "autograder.report.exporter.FeedbackExporter"
c.GenerateFeedback.preprocessors = []
c.GenerateFeedback.force = True

c.ExportApp.plugin_class = "autograder.report.export.SafeCsvExporter"
