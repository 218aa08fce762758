"""The command line: what it prints, its exit codes, and errors without tracebacks."""

import csv

import pytest
from small_course import HOMEWORK, submission
from typer.testing import CliRunner

from autograder import cli
from autograder.grading import run


@pytest.fixture
def kit(course, monkeypatch):
    """Run ``kit`` on the course with the fake judge; returns (exit code, everything printed)."""
    real = run.Options
    monkeypatch.setattr(run, "Options", lambda *a: real(*a, judge="fake_judge:FakeJudge"))

    def call(*arguments):
        result = CliRunner().invoke(cli.app, ["--course", str(course.root), *map(str, arguments)])
        assert "Traceback" not in result.output
        return result.exit_code, " ".join(result.output.split())

    return call


@pytest.fixture
def inbox(tmp_path):
    folder = tmp_path / "inbox"
    folder.mkdir()
    (folder / "ann.ipynb").write_bytes(submission())
    (folder / "bob.ipynb").write_bytes(submission(mul="FAIL"))
    return folder


def test_from_collected_files_to_marks(kit, inbox, course, tmp_path):
    assert kit("collect", HOMEWORK, inbox) == (0, "2 new, 0 replaced, 0 unchanged")
    code, said = kit("marks", HOMEWORK)
    assert code == 3 and "not graded; run kit grade" in said
    code, said = kit("grade", HOMEWORK, "--jobs", 1)
    assert code == 0
    assert "ann │ 12.5 / 12.5 │ passed" in said and "2 judged" in said
    assert kit("feedback", HOMEWORK)[0] == 0
    assert (course.feedback / "ann" / HOMEWORK / f"{HOMEWORK}.html").exists()
    out, page = tmp_path / "marks.csv", tmp_path / "class.html"
    code, said = kit("marks", HOMEWORK, "--csv", out, "--report", page)
    assert code == 0 and "Class report" in page.read_text()
    assert [row["score"] for row in csv.DictReader(out.open())] == ["12.5", "5.0"]
    assert "0 judged" in kit("grade", HOMEWORK)[1]
    assert "1 judged" in kit("grade", HOMEWORK, "--student", "bob", "--force")[1]


def test_a_regrade_shows_what_changed(kit, inbox, course):
    (inbox / "ann.ipynb").write_bytes(submission(mul="LAX PASS"))
    kit("collect", HOMEWORK, inbox)
    kit("grade", HOMEWORK)
    (course.root / "suite.txt").write_text("strict mul_adjoint")
    said = kit("grade", HOMEWORK)[1]
    assert "changed by this regrade" in said and "ann │ mul_adjoint │ both │ 3 │ 0" in said


def test_collecting_again_withdraws_the_mark(kit, inbox):
    kit("collect", HOMEWORK, inbox)
    kit("grade", HOMEWORK)
    (inbox / "ann.ipynb").write_bytes(submission(gradient="FAIL"))
    assert "1 replaced" in kit("collect", HOMEWORK, inbox)[1]
    code, said = kit("marks", HOMEWORK)
    assert code == 3 and "ann │ - │ not graded" in said


def test_what_was_not_placed_is_said_and_needs_a_human(kit, inbox):
    (inbox / "eve.ipynb").symlink_to("/etc/passwd")
    (inbox / "ann.txt").write_text("notes")
    code, said = kit("collect", HOMEWORK, inbox)
    assert code == 3
    assert "not placed: eve: is a link" in said and "left aside" in said


def test_a_held_mark_needs_a_human(kit, inbox):
    (inbox / "bob.ipynb").write_bytes(submission(mul="RAISE"))
    kit("collect", HOMEWORK, inbox)
    code, said = kit("grade", HOMEWORK, "--jobs", 1)
    assert code == 3 and "held for a human: bob" in said
    assert kit("marks", HOMEWORK)[0] == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("grade", "hw9"), "no homework 'hw9'; known: hw2_autodiff"),
        (("grade", HOMEWORK), "nothing collected yet; run: kit collect hw2_autodiff PATH"),
        (("collect", HOMEWORK, "/no/such/folder"), "/no/such/folder: no such folder or zip file"),
        (("feedback", HOMEWORK), "nothing graded; run: kit grade"),
    ],
)
def test_an_error_is_one_message_and_exit_code_one(kit, arguments, said):
    code, output = kit(*arguments)
    assert code == 1 and output.startswith("error:") and said in output


def test_a_judge_that_does_not_start_is_a_message(kit, inbox, course):
    kit("collect", HOMEWORK, inbox)
    (course.root / "broken.txt").touch()
    code, said = kit("grade", HOMEWORK)
    assert code == 1 and "isolation is weak, kernel is required" in said


def test_outside_a_course_the_message_says_where_to_go(tmp_path):
    result = CliRunner().invoke(cli.app, ["--course", str(tmp_path), "grade", HOMEWORK])
    said = " ".join(result.output.split())  # long paths wrap
    assert result.exit_code == 1 and "no course here" in said


def test_wrong_usage_is_exit_code_two(kit):
    assert kit("grade")[0] == 2
    assert kit("grade", HOMEWORK, "--jobs", -1)[0] == 2


def test_debug_lets_the_traceback_through(tmp_path):
    arguments = ["--course", str(tmp_path), "--debug", "grade", HOMEWORK]
    result = CliRunner().invoke(cli.app, arguments)
    assert isinstance(result.exception, ValueError)


COMMANDS = ["collect", "grade", "feedback", "marks", "build", "release", "doctor", "demo"]


@pytest.mark.parametrize("command", [*COMMANDS, "suite"])
def test_every_command_explains_itself(command):
    result = CliRunner().invoke(cli.app, [command, "--help"])
    assert result.exit_code == 0 and len(result.output) > 200


def test_student_names_cannot_style_the_terminal(kit, tmp_path):
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "[red]x\x1b[2J.ipynb").write_bytes(submission())
    (folder / "\x1b[31mlink.ipynb").symlink_to("/etc/passwd")
    code, said = kit("collect", HOMEWORK, folder)
    assert code == 3 and "\x1b" not in said and "\\x1b[31mlink" in said
