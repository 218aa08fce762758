"""What students and instructors are shown: complete, escaped, and no more than they may know."""

import csv
import io
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import nbformat
import pytest
from roads import Roads
from small_course import HOMEWORK, submission

from autograder.grading.course import CourseError
from autograder.grading.gradebook import course_directory, load_config, open_gradebook
from autograder.grading.marks import mark, uniform_outcome
from autograder.grading.store import Store
from autograder.outcome import State
from autograder.report.class_report import class_report
from autograder.report.export import csv_text, marks_csv
from autograder.report.exporter import write_feedback
from autograder.report.histogram import histogram
from autograder.report.page import page

HOSTILE = "</pre><script>alert(1)</script><img src=x onerror=alert(2)>\x1b[2J\u202e"


class Tags(HTMLParser):
    """Collects the tags and attributes of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes = set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


@pytest.fixture
def graded(course, homework, students):
    """A class of four, graded; returns the feedback page of a student."""
    students.submit("ann", submission())
    students.submit("bob", submission(mul="HALF_both PASS", gradient="TIMEOUT"))
    code = nbformat.v4.new_code_cell(HOSTILE)
    students.submit("eve", submission(mul=HOSTILE, extra=[code]))
    students.submit("zed", b"{broken")
    roads = Roads(course, homework)
    roads.kit()
    write_feedback(course, homework)
    roads.page = lambda name: (course.feedback / name / HOMEWORK / f"{HOMEWORK}.html").read_text(
        encoding="utf-8"
    )
    return roads


def text_of(html):
    body = html.partition("</head>")[2]
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", body)))


def test_a_page_says_per_task_and_test_what_passed_its_points_and_a_hint(graded):
    shown = text_of(graded.page("bob"))
    assert "bob · submission" in shown and "4.5 / 12.5" in shown
    assert "Product rule failed 2 / 5" in shown
    assert "values passed tests 1–2 2 / 2" in shown
    assert "both passed test 1 failed test 2 gave a wrong result Think about both. 0 / 3" in shown
    assert "timeout tests 1–2 took too long and was stopped Think about diamonds." in shown


def test_a_full_page_shows_no_hints(graded):
    shown = text_of(graded.page("ann"))
    assert "12.5 / 12.5" in shown and "Think about" not in shown


def test_an_unreadable_submission_says_what_to_do(graded):
    shown = text_of(graded.page("zed"))
    assert "0 / 12.5" in shown
    assert "the submitted file is not valid JSON (line 1); save the notebook again" in shown


def test_a_page_names_no_hidden_test_and_shows_no_detail(graded):
    for name in ("ann", "bob", "eve"):
        assert "test_mul_adjoint" not in graded.page(name)
        assert "script>detail" not in text_of(graded.page(name))


def test_student_text_is_shown_escaped_and_visible(graded):
    html = graded.page("eve")
    found = Tags(html)
    assert not found.tags & {"script", "img", "iframe", "object", "link", "form"}
    assert not any(name.startswith("on") for name in found.attributes)
    assert "alert(1)" in html and "\x1b" not in html and "\u202e" not in html
    assert "\\x1b[2J\\u202e" in text_of(html).replace(" ", "")


def test_pages_have_a_content_security_policy_and_no_outside_resource(graded):
    html = graded.page("ann")
    assert "Content-Security-Policy\" content=\"default-src 'none'" in html
    assert "http://" not in html and "https://" not in html


def test_feedback_through_nbgrader_is_the_same_page(graded, course):
    ours = {name: graded.page(name) for name in ("ann", "bob", "eve", "zed")}
    from nbgrader.apps.api import NbGraderAPI

    config = load_config(course)
    directory = course_directory(course, config, HOMEWORK)
    result = NbGraderAPI(directory, config=config).generate_feedback(HOMEWORK)
    assert result["success"], result
    assert {name: graded.page(name) for name in ours} == ours


def test_manual_scores_and_comments_are_on_the_page(graded, course, homework):
    with open_gradebook(graded.url) as gradebook:
        notebook = gradebook.find_submission_notebook(HOMEWORK, HOMEWORK, "bob")
        grade = next(g for g in notebook.grades if g.name == "score-gradient")
        grade.manual_score, grade.extra_credit = 3.0, 0.5
        comment = next(c for c in notebook.comments if c.name == "solution-gradient")
        comment.manual_comment = "I let this <b>pass</b>"
        gradebook.db.commit()
    write_feedback(course, homework, "bob")
    html = graded.page("bob")
    assert "by your instructor" in html and "I let this &lt;b&gt;pass&lt;/b&gt;" in html
    assert "8 / 12.5" in text_of(html)


def test_a_held_task_is_shown_as_held(graded, course, homework, students):
    students.submit("ann", submission(mul="GRADER_ERROR"))
    graded.kit()
    write_feedback(course, homework)
    shown = text_of(graded.page("ann"))
    assert "held / 12.5" in shown and "could not be judged; your instructor" in shown


def test_feedback_without_outcome_is_refused(graded, course, homework):
    for path in (Store.open(course, HOMEWORK).folder / "ann").iterdir():
        path.unlink()
    with pytest.raises(CourseError, match="ann: the graded notebook has no outcome"):
        write_feedback(course, homework, "ann")


def test_feedback_before_grading_is_refused(course, homework):
    with pytest.raises(CourseError, match="nothing graded; run: kit grade"):
        write_feedback(course, homework)


def test_csv_is_quoted_and_never_a_formula():
    rows = [["=cmd|' /C calc'!A0", "+1", "-1", "@x", "\ttab", 'say "hi", you', 1.5, None]]
    [row] = csv.reader(io.StringIO(csv_text(rows)))
    assert row[:5] == ["'=cmd|' /C calc'!A0", "'+1", "'-1", "'@x", "'\ttab"]
    assert row[5:] == ['say "hi", you', "1.5", ""]


def test_marks_csv_leaves_a_held_score_empty(homework):
    held = mark(uniform_outcome(homework, "ann", "0" * 64, State.GRADER_ERROR, ""), homework)
    zero = mark(uniform_outcome(homework, "bob", "0" * 64, State.MALFORMED, ""), homework)
    header, ann, bob = csv.reader(io.StringIO(marks_csv({"ann": held, "bob": zero})))
    assert header == [
        "student", "score", "max_score", "state", "submission",
        "mul_adjoint", "gradient", "integration",
    ]  # fmt: skip
    assert ann[:4] == ["ann", "", "12.5", "grader_error"]
    assert bob[:4] == ["bob", "0.0", "12.5", "malformed"]


def test_nbgrader_export_is_quoted(graded, course):
    with open_gradebook(graded.url) as gradebook:
        gradebook.update_or_create_student("ann", last_name="=1+1", first_name='O"Neil, Ann')
    result = graded.shell("export", "--to", "out.csv")
    assert result.returncode == 0, result.stderr
    rows = list(csv.DictReader((course.work / "out.csv").open()))
    ann = next(row for row in rows if row["student_id"] == "ann")
    assert (ann["last_name"], ann["first_name"]) == ("'=1+1", 'O"Neil, Ann')
    assert (float(ann["score"]), ann["needs_manual_grade"]) == (12.5, "no")


def test_the_class_report_is_one_safe_page(homework):
    outcome = uniform_outcome(homework, "ann", "0" * 64, State.FAILED, "")
    marks = {HOSTILE: replace(mark(outcome, homework), student=HOSTILE)}
    html = class_report(homework, marks, isolation={"grade": HOSTILE}, remarks={HOSTILE: HOSTILE})
    found = Tags(html)
    assert "svg" in found.tags and not found.tags & {"script", "img", "link"}
    assert "alert(1)" in html


def test_an_empty_class_has_a_report(homework):
    assert "students" in class_report(homework, {})


def test_histograms_count_each_student_once_and_are_reproducible():
    first = histogram("gradient", [0.0, 2.0, 5.0, 5.0], 5.0)
    assert first == histogram("gradient", [0.0, 2.0, 5.0, 5.0], 5.0)
    assert first.startswith("<svg") and "<script" not in first


def test_titles_are_escaped():
    assert "<title>&lt;b&gt;</title>" in page("<b>", "")
