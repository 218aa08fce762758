"""nbgrader's gradebook through every road, and each thing that goes wrong with it as shipped."""

import subprocess
import sys
import textwrap
from pathlib import Path

import nbformat
import pytest
from roads import FULL, HELD, ZERO
from small_course import HOMEWORK, REPOSITORY, submission

from autograder.grading.gradebook import ensure_assignment, open_gradebook, withdraw


def test_all_roads_give_the_same_marks_comments_and_notebooks(roads, students, empty_gradebook):
    students.submit("ann", submission())
    students.submit("bob", submission(mul="HALF_both PASS", gradient="TIMEOUT"))
    students.submit("eve", b"{broken")
    students.submit("gus", submission(mul="GRADER_ERROR"))
    seen = []
    for road in (roads.kit, roads.button, lambda: roads.shell("autograde", HOMEWORK)):
        (roads.course.work / "gradebook.db").write_bytes(empty_gradebook)
        road()
        books = {name: roads.notebook(name) for name in ("ann", "bob", "eve", "gus")}
        with open_gradebook(roads.url) as gradebook:
            comments = {
                name: sorted(
                    (c.name, c.auto_comment)
                    for c in gradebook.find_submission_notebook(HOMEWORK, HOMEWORK, name).comments
                )
                for name in books
            }
        texts = {name: nbformat.writes(book) for name, book in books.items()}
        seen.append((roads.scores(), comments, texts))
    assert seen[0][0]["ann"] == FULL
    assert seen[0][0]["bob"] == {"mul_adjoint": 2.0, "gradient": 0.0, "integration": 2.5}
    assert seen[0][0]["eve"] == ZERO
    assert seen[0][0]["gus"]["mul_adjoint"] is None
    assert seen[0] == seen[1] == seen[2]
    assert len(students.judged()) == 3 + 2  # only the grader error was judged again


def test_running_again_writes_nothing(roads, students):
    students.submit("ann", submission())
    assert (roads.kit().judged, roads.kit().judged) == (1, 0)
    assert roads.kit().written == 0


def test_a_lost_gradebook_is_filled_again_without_judging(roads, students, empty_gradebook):
    students.submit("ann", submission())
    roads.kit()
    (roads.course.work / "gradebook.db").write_bytes(empty_gradebook)
    assert (roads.kit().written, roads.scores()) == (1, {"ann": FULL})
    assert len(students.judged()) == 1


def test_a_grader_killed_while_writing_is_simply_run_again(roads, students, tmp_path):
    for name in ("ann", "bob", "cid", "dan"):
        students.submit(name, submission())
    script = textwrap.dedent(f"""
        import os, signal, sys
        sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(REPOSITORY)!r}]
        from pathlib import Path
        from autograder.authoring.manifest import load_homework
        from autograder.grading import bridge
        from autograder.grading.course import Course
        from autograder.grading.run import Options, grade_class
        calls, real = [], bridge.set_scores
        def dying(*arguments):
            calls.append(1)
            if len(calls) == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            real(*arguments)
        bridge.set_scores = dying
        if __name__ == "__main__":
            root = Path({str(roads.course.root)!r})
            grade_class(Course(root, root), load_homework(root, {HOMEWORK!r}),
                        Options(judge="fake_judge:FakeJudge"))
    """)
    (tmp_path / "run.py").write_text(script)
    killed = subprocess.run([sys.executable, str(tmp_path / "run.py")], check=False)
    assert killed.returncode == -9
    assert roads.scores()["cid"] == HELD
    roads.kit()
    assert roads.scores() == dict.fromkeys(("ann", "bob", "cid", "dan"), FULL)


def test_a_half_graded_student_is_not_skipped_by_plain_nbgrader(roads, students):
    students.submit("ann", submission())
    with open_gradebook(roads.url) as gradebook:
        ensure_assignment(roads.course, HOMEWORK, roads.url)
        gradebook.add_student("ann")
        gradebook.add_submission(HOMEWORK, "ann")
    roads.course.graded(HOMEWORK, "ann").parent.mkdir(parents=True)
    roads.course.graded(HOMEWORK, "ann").write_text("{torn")
    assert roads.button()["success"]
    assert roads.scores() == {"ann": FULL}


def test_a_crashing_resubmission_loses_the_old_mark(roads, students):
    for road in (roads.kit, roads.button):
        students.submit("ann", submission())
        road()
        assert roads.scores() == {"ann": FULL}
        students.submit("ann", b"\x00 not a notebook")
        road()
        assert roads.scores() == {"ann": ZERO}


def test_collecting_a_new_version_takes_the_old_mark_and_page_back(roads, students):
    students.submit("ann", submission())
    roads.kit()
    page = roads.course.feedback / "ann" / HOMEWORK / f"{HOMEWORK}.html"
    page.parent.mkdir(parents=True)
    page.write_text("12.5")
    withdraw(roads.course, HOMEWORK, "ann")
    assert roads.scores() == {"ann": HELD} and not page.exists()
    roads.kit()
    assert roads.scores() == {"ann": FULL}


def test_a_renamed_resubmission_does_not_keep_the_old_mark(roads, students):
    path = students.submit("ann", submission())
    roads.button()
    path.rename(path.with_name("other.ipynb"))
    assert not roads.button()["success"]
    assert roads.scores() == {"ann": HELD}


def test_manual_scores_extra_credit_and_comments_survive_a_regrade(roads, students):
    students.submit("ann", submission(gradient="FAIL"))
    roads.kit()
    with open_gradebook(roads.url) as gradebook:
        notebook = gradebook.find_submission_notebook(HOMEWORK, HOMEWORK, "ann")
        grade = next(g for g in notebook.grades if g.name == "score-gradient")
        grade.manual_score, grade.extra_credit = 4.0, 0.5
        comment = next(c for c in notebook.comments if c.name == "solution-gradient")
        comment.manual_comment = "nearly"
        gradebook.db.commit()
    for road in (lambda: roads.kit(force=True), roads.button):
        students.submit("ann", submission(mul="FAIL", gradient="PASS"))
        road()
        with open_gradebook(roads.url) as gradebook:
            notebook = gradebook.find_submission_notebook(HOMEWORK, HOMEWORK, "ann")
            grade = next(g for g in notebook.grades if g.name == "score-gradient")
            assert (grade.auto_score, grade.score) == (5.0, 4.5)
            assert grade.needs_manual_grade
            comment = next(c for c in notebook.comments if c.name == "solution-gradient")
            assert comment.comment == "nearly"


@pytest.mark.parametrize("road", ["kit", "button"])
def test_a_held_mark_waits_for_a_human(roads, students, road):
    students.submit("ann", submission(mul="GRADER_ERROR"))
    getattr(roads, road)()
    assert roads.scores()["ann"]["mul_adjoint"] is None
    with open_gradebook(roads.url) as gradebook:
        assert gradebook.find_submission(HOMEWORK, "ann").needs_manual_grade


@pytest.mark.parametrize("road", ["kit", "button"])
def test_late_penalties_of_the_course_apply(roads, students, road):
    roads.configure("c.LateSubmissionPlugin.penalty_method = 'zero'")
    folder = students.submit("ann", submission()).parent
    (folder / "timestamp.txt").write_text("2026-01-02 10:00:00 UTC")
    with open_gradebook(roads.url) as gradebook:
        gradebook.add_assignment(HOMEWORK, duedate="2026-01-01 10:00:00 UTC")
    getattr(roads, road)()
    with open_gradebook(roads.url) as gradebook:
        entry = gradebook.find_submission(HOMEWORK, "ann")
        assert (entry.score, entry.late_submission_penalty) == (12.5, 12.5)


def test_the_gradebook_is_private(roads, students):
    students.submit("ann", submission())
    roads.kit()
    assert (roads.course.work / "gradebook.db").stat().st_mode & 0o777 == 0o600
    assert roads.course.autograded.stat().st_mode & 0o777 == 0o700


def test_the_formgrader_can_grade_one_student(roads, students):
    students.submit("ann", submission())
    students.submit("bob", submission())
    assert roads.button("bob")["success"]
    assert roads.scores() == {"bob": FULL}


def test_a_regrade_reports_what_moved(roads, students):
    students.submit("ann", submission(mul="LAX PASS"))
    roads.kit()
    (roads.course.root / "suite.txt").write_text("strict mul_adjoint")
    moved = roads.kit().moved
    assert [(c.student, c.bucket, c.before, c.after) for c in moved] == [
        ("ann", "values", 2.0, 0.0),
        ("ann", "both", 3.0, 0.0),
    ]
