"""Feedback pages for nbgrader's road and for ours. Layer: report.

``nbgrader generate_feedback`` and the formgrader's button use ``FeedbackExporter``, and
``kit feedback`` uses ``write_feedback``. Both read the gradebook (so manual scores and comments
count), the outcome and the rebuilt notebook, and write the same bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nbconvert.exporters import Exporter
from nbgrader.api import Gradebook, MissingEntry

from autograder.authoring.manifest import Homework, load_homework
from autograder.grading.course import Course, CourseError, write_atomically
from autograder.grading.gradebook import course_directory, load_config, open_gradebook
from autograder.grading.marks import mark
from autograder.grading.rebuild import read_skeleton
from autograder.grading.score_cells import task_name
from autograder.grading.store import Store
from autograder.report.feedback import Score, Sheet, feedback_page

__all__ = ["FeedbackExporter", "student_page", "write_feedback"]


class FeedbackExporter(Exporter):
    """Turns a graded notebook into its feedback page; raises CourseError for any other notebook."""

    file_extension = ".html"
    output_mimetype = "text/html"

    def from_filename(
        self, filename: str, resources: dict[str, Any] | None = None, **kwargs: Any
    ) -> tuple[Any, dict[str, Any]]:
        """Return (page, resources) for one file of ``autograded/``."""
        assert resources is not None and self.parent is not None, "only nbgrader makes one"
        names = resources["nbgrader"]
        work = Path(self.parent.coursedir.root).resolve()
        course = Course(root=Course.find(work).root, work=work)
        homework = load_homework(course.root, names["assignment"])
        with open_gradebook(names["db_url"]) as gradebook:
            text = student_page(course, homework, gradebook, names["student"])
        return text, {**resources, "output_extension": self.file_extension}


def write_feedback(course: Course, homework: Homework, student: str = "*") -> list[Path]:
    """Write the feedback page of every graded student; raises CourseError when there is none."""
    directory = course_directory(course, load_config(course), homework.id)
    folders = sorted(course.autograded.glob(f"*/{homework.id}/{homework.id}.ipynb"))
    students = [path.parts[-3] for path in folders if student in ("*", path.parts[-3])]
    if not students:
        raise CourseError(f"{course.autograded}: nothing graded; run: kit grade {homework.id}")
    written = []
    with open_gradebook(directory.db_url) as gradebook:
        for name in students:
            text = student_page(course, homework, gradebook, name)
            folder = course.private(course.feedback / name / homework.id)
            write_atomically(folder / f"{homework.id}.html", text.encode())
            written.append(folder / f"{homework.id}.html")
    return written


def student_page(course: Course, homework: Homework, gradebook: Gradebook, student: str) -> str:
    """The feedback page of one graded student as HTML."""
    notebook = read_skeleton(course.graded(homework.id, student))
    stamp = notebook.metadata.get("kit", {})
    outcome = Store.open(course, homework.id).load(student, str(stamp.get("outcome", "")))
    if outcome is None or outcome.submission_sha256 != stamp.get("submission"):
        raise CourseError(
            f"{student}: the graded notebook has no outcome; run: kit grade --student {student}"
        )
    scores, penalty = _scores(gradebook, homework.id, student)
    return feedback_page(Sheet(homework, mark(outcome, homework), notebook, scores, penalty))


def _scores(gradebook: Gradebook, homework_id: str, student: str) -> tuple[dict[str, Score], float]:
    try:
        entry = gradebook.find_submission_notebook(homework_id, homework_id, student)
    except MissingEntry as error:
        raise CourseError(f"{student}: not in the gradebook; run: kit grade") from error
    comments = {task_name(c.name): c.manual_comment or "" for c in entry.comments}
    scores = {}
    for grade in entry.grades:
        name, by_hand = task_name(grade.name), grade.manual_score is not None
        earned = grade.manual_score if by_hand else grade.auto_score
        extra = grade.extra_credit or 0.0
        scores[name] = Score(earned, by_hand, extra, comments.get(name, ""))
    return scores, float(entry.late_submission_penalty or 0.0)
