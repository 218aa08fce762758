"""Judging a class: reuse, death of judges, death of the grader."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from small_course import HOMEWORK, REPOSITORY, submission

from autograder.grading import plan
from autograder.grading.course import CourseError
from autograder.grading.marks import mark
from autograder.grading.plan import Grader, find_submissions
from autograder.grading.pool import Pool, PoolError, PoolSettings
from autograder.grading.store import Store

FAKE = "fake_judge:FakeJudge"


@pytest.fixture
def grade(course, homework):
    def run(**options):
        grader = Grader(course, homework, FAKE)
        judged = grader.judge_all(find_submissions(course, HOMEWORK), **options)
        return judged, {n: mark(o, homework).earned for n, o in judged.outcomes.items()}

    return run


def test_every_submission_is_judged_once_and_then_reused(students, grade):
    students.submit("ann", submission())
    students.submit("bob", submission(mul="FAIL"))
    first, scores = grade(jobs=2)
    assert scores == {"ann": 12.5, "bob": 5.0} and first.fresh == {"ann", "bob"}
    second, again = grade()
    assert again == scores and second.fresh == frozenset()
    assert len(students.judged()) == 2


def test_force_judges_again_with_the_same_secret(students, grade):
    students.submit("ann", submission())
    grade()
    grade(force=True)
    assert students.judged() == ["ann 0", "ann 0"]


def test_a_changed_submission_or_suite_is_judged_again(students, grade):
    students.submit("ann", submission(mul="LAX PASS"))
    grade()
    students.submit("ann", submission(mul="LAX PASS again"))
    grade()
    (students.course.root / "suite.txt").write_text("strict mul_adjoint")
    judged, scores = grade()
    assert len(students.judged()) == 3
    assert scores == {"ann": 7.5} and list(judged.before) == ["ann"]


def test_a_judge_that_dies_once_costs_nobody_a_mark(students, grade):
    students.submit("ann", submission(mul="PASS DIE_ONCE"))
    students.submit("bob", submission())
    assert grade(jobs=2)[1] == {"ann": 12.5, "bob": 12.5}


@pytest.mark.parametrize("word", ["DIE_ALWAYS", "RAISE"])
def test_a_submission_that_no_judge_survives_is_held_and_the_others_graded(students, grade, word):
    students.submit("mallory", submission(mul=f"PASS {word}"))
    students.submit("zoe", submission())
    assert grade()[1] == {"mallory": None, "zoe": 12.5}
    assert students.judged().count("mallory 0") == 3
    grade()
    assert students.judged().count("mallory 0") == 6  # held is not final
    assert students.judged().count("zoe 0") == 1


def test_a_judge_that_hangs_is_replaced(course, homework, students, monkeypatch):
    data = submission()
    settings = PoolSettings(
        HOMEWORK, course.root, course.private(course.kit) / "log", "slow_judge:SlowJudge",
        attempts=2, deadline_s=0.5,
    )  # fmt: skip
    module = course.root / "slow_judge.py"
    module.write_text(
        "import time\nfrom fake_judge import FakeJudge\n"
        "class SlowJudge(FakeJudge):\n"
        "    def judge(self, notebook, student, secret, k):\n"
        "        time.sleep(60 if student == 'slow' else 0)\n"
        "        return super().judge(notebook, student, secret, k)\n"
    )
    monkeypatch.syspath_prepend(str(course.root))
    import hashlib

    digest = hashlib.sha256(data).hexdigest()
    jobs = [plan.Job(name, data, digest, b"s" * 32, 0) for name in ("slow", "fast")]
    with Pool(settings) as pool:
        found = {verdict.job.student: verdict for verdict in pool.run(jobs)}
    assert found["slow"].outcome is None and "took longer" in found["slow"].problem
    assert found["fast"].outcome is not None


def test_a_judge_that_cannot_start_stops_the_run_with_its_words(students, grade):
    students.submit("ann", submission())
    (students.course.root / "broken.txt").touch()
    with pytest.raises(PoolError, match="isolation is weak, kernel is required"):
        grade()


def test_an_unknown_judge_is_named(course, homework, students):
    students.submit("ann", submission())
    with pytest.raises(PoolError, match="no_such_judge"):
        Grader(course, homework, "no_such_judge:Judge").judge_all(
            find_submissions(course, HOMEWORK)
        )


def test_a_solved_notebook_that_fails_stops_the_run_before_anybody_is_graded(students, grade):
    students.submit("ann", submission())
    solved = students.course.root / "solutions" / HOMEWORK / f"{HOMEWORK}.ipynb"
    solved.write_bytes(submission(mul="LAX PASS"))
    (students.course.root / "suite.txt").write_text("strict mul_adjoint")
    with pytest.raises(CourseError, match=r"fails 4 of 8 hidden tests .* nobody was graded"):
        grade()
    assert students.judged() == []
    solved.write_bytes(submission())
    assert grade()[1] == {"ann": 12.5}
    solved.unlink()
    with pytest.raises(CourseError, match="no such file"):
        grade(force=True)


def test_the_solved_notebook_is_judged_once(students, grade):
    students.submit("ann", submission())
    grade()
    students.submit("bob", submission())
    grade()
    log = (students.course.root / "judged.txt").read_text()
    assert log.count("_reference") == 1


def test_unreadable_submissions_get_zero_and_a_reason_without_a_judge(students, grade):
    students.submit("corrupt", b"{broken")
    path = students.submit("link", b"x")
    path.unlink()
    path.symlink_to("/etc/passwd")
    judged, scores = grade()
    assert scores == {"corrupt": 0.0, "link": 0.0} and students.judged() == []
    assert judged.outcomes["corrupt"].notes == (
        "the submitted file is not valid JSON (line 1); save the notebook again and check that "
        "it opens",
    )


def test_a_file_we_cannot_read_is_our_fault_and_held(students, grade, monkeypatch):
    students.submit("ann", submission())

    def broken_disk(path):
        raise plan.IntakeError("x", "cannot be read here (Input/output error)", ours=True)

    monkeypatch.setattr(plan, "take", broken_disk)
    assert grade()[1] == {"ann": None}


def test_nothing_collected_is_said(course):
    with pytest.raises(CourseError, match="kit collect hw2_autodiff PATH"):
        find_submissions(course, HOMEWORK)


def test_a_student_without_submission_is_named(students):
    students.submit("ann", submission())
    with pytest.raises(CourseError, match="by 'bob'"):
        find_submissions(students.course, HOMEWORK, "bob")


def test_judges_leave_when_the_grader_is_killed(students, grade, tmp_path):
    """Kill -9 at any moment: no judge stays behind, and the next run gives the same marks."""
    for number in range(6):
        students.submit(f"s{number}", submission(mul="PASS" if number % 2 else "FAIL"))
    script = textwrap.dedent(f"""
        import sys
        sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(REPOSITORY)!r}]
        from pathlib import Path
        from autograder.authoring.manifest import load_homework
        from autograder.grading.course import Course
        from autograder.grading.plan import Grader, find_submissions
        if __name__ == "__main__":
            root = Path({str(students.course.root)!r})
            course = Course(root, root)
            grader = Grader(course, load_homework(root, {HOMEWORK!r}), {FAKE!r})
            grader.judge_all(find_submissions(course, {HOMEWORK!r}), jobs=2)
    """)
    (tmp_path / "run.py").write_text(script)
    outcomes = Store.open(students.course, HOMEWORK).folder
    process = subprocess.Popen([sys.executable, str(tmp_path / "run.py")])
    while process.poll() is None and not list(outcomes.glob("*/*.json")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    expected = {f"s{n}": 12.5 if n % 2 else 5.0 for n in range(6)}
    assert grade()[1] == expected
    assert grade()[1] == expected


def test_judges_do_not_print_on_the_terminal(students, grade, capfd, monkeypatch):
    students.submit("ann", submission(mul="RAISE"))
    grade()
    shown = capfd.readouterr()
    assert "stumbled" not in shown.out + shown.err
    assert "stumbled" in (students.course.kit / "judge.log").read_text()
    assert os.stat(students.course.kit / "judge.log").st_mode & 0o777 == 0o600
