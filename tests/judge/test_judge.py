"""Judging with suites of our own: states, seeds, and what is the grader's fault."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import pytest

from autograder.authoring.manifest import Homework, Task
from autograder.judge import Judge
from autograder.judge.judge import notes, try_runner
from autograder.judge.plugin import SuiteError
from autograder.outcome import Outcome, State
from tests.judge.fake import FakeSandbox, notebook
from tinyflow.homework import CellFailure, LoadReport

HOMEWORK = Homework(
    "hwx",
    "A homework of these tests",
    1,
    (Task("double", "Double", "m:double", {"small": 1, "large": 2}),),
)
HEAD = "from autograder.judge import check\nfrom autograder.judge.plugin import bucket\n"
SUITE = (
    HEAD
    + """
@bucket("double", "small", hint="Two and two.")
def test_small(student, rng):
    x = int(rng.integers(100))
    check.equal(student.double(x), 2 * x, "the double")

@bucket("double", "large", hint="Larger.")
def test_large(student, rng):
    x = int(rng.integers(10**6))
    check.equal(student.double(x), 2 * x, "the double")
"""
)


class JudgeWithoutWalls(Judge):
    """Runs notebooks written here in this process."""

    def __init__(self, suite: Path, homework: Homework = HOMEWORK) -> None:
        super().__init__(homework, suite, suite=suite)
        self._sandbox = FakeSandbox()


@pytest.fixture
def judged(tmp_path):
    def run(source, suite=SUITE, secret=b"s", student="ann", homework=HOMEWORK) -> Outcome:
        (tmp_path / "test_double.py").write_text(textwrap.dedent(suite))
        judge = JudgeWithoutWalls(tmp_path, homework)
        return judge.judge(notebook(source), student, secret, 0)

    return run


def states(outcome: Outcome) -> dict[str, str]:
    return {test.bucket: test.state.value for test in outcome.tests}


def test_a_right_answer_passes_and_keeps_the_hints(judged):
    outcome = judged("def double(x):\n    return 2 * x")
    assert states(outcome) == {"small": "passed", "large": "passed"}
    assert [test.hint for test in outcome.tests] == ["Two and two.", "Larger."]
    assert [test.test for test in outcome.tests] == [
        "test_double::test_small",
        "test_double::test_large",
    ]
    assert Outcome.from_json(outcome.to_json()) == outcome


def test_a_wrong_answer_fails_and_tells_only_the_instructor(judged):
    outcome = judged("def double(x):\n    return 3 * x")
    assert states(outcome) == {"small": "failed", "large": "failed"}
    assert "the double: got" in outcome.tests[0].detail
    assert outcome.tests[0].error_name is None


def test_an_exception_is_an_error_with_name_and_line(judged):
    test = judged("def double(x):\n    return x / 0").tests[0]
    assert (test.state, test.error_name, test.line) == (
        State.ERROR,
        "ZeroDivisionError",
        "cell 1, line 2",
    )


def test_an_exception_of_a_made_up_name_loses_its_name(judged):
    source = "def double(x):\n    raise type(f'x{x}', (Exception,), {})"
    assert judged(source).tests[0].error_name == "Exception"


def test_the_stub_is_not_implemented(judged):
    assert set(states(judged("x = 1")).values()) == {"not_implemented"}


def test_inputs_depend_on_secret_student_notebook_and_test_and_on_nothing_else(judged):
    def seen(**key):
        source = key.pop("source", "def double(x):\n    return [x]")
        return [test.detail for test in judged(source, **key).tests]

    first = seen()
    assert seen() == first
    assert first[0] != first[1]
    for key in ({"secret": b"t"}, {"student": "bob"}, {"source": "def double(x): return [x]"}):
        assert seen(**key)[1] != first[1]


@pytest.mark.parametrize("body", ["1 / 0", "import nothing_like_this"])
def test_an_error_in_a_test_is_the_graders(judged, body):
    suite = SUITE.replace("x = int(rng.integers(100))", body)
    outcome = judged("def double(x):\n    return 2 * x", suite)
    assert states(outcome) == {"small": "grader_error", "large": "passed"}
    assert "Error" in outcome.tests[0].detail


@pytest.mark.parametrize(
    ("suite", "reason"),
    [
        ("", "buckets without a test"),
        ("this is no python", "SyntaxError"),
        ("import nothing_like_this", "nothing_like_this"),
        (HEAD + SUITE + "\ndef test_unmarked(): pass", "needs @bucket"),
        (SUITE.replace('"small"', '"tiny"'), "no bucket ('double', 'tiny')"),
        (SUITE.replace('hint="Larger."', 'hint=""'), "needs @bucket"),
        (SUITE.replace('@bucket("double", "large", hint="Larger.")', ""), "needs @bucket"),
    ],
)
def test_a_suite_that_is_not_in_order_passes_nobody_and_fails_nobody(judged, suite, reason):
    outcome = judged("def double(x):\n    return 2 * x", suite)
    assert set(states(outcome).values()) == {"grader_error"}
    assert {(test.task, test.bucket) for test in outcome.tests} == {
        ("double", "small"),
        ("double", "large"),
    }
    assert any(reason in test.detail for test in outcome.tests)


def test_an_empty_suite_is_an_error_and_not_a_pass(judged, tmp_path):
    judge = JudgeWithoutWalls(tmp_path)
    outcome = judge.judge(notebook("def double(x): return 2 * x"), "ann", b"s", 0)
    assert set(states(outcome).values()) == {"grader_error"}


def test_pytest_settings_from_outside_change_nothing(judged, monkeypatch, tmp_path):
    (tmp_path / "conftest.py").write_text("raise RuntimeError('never read')")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-k nothing")
    monkeypatch.setenv("CI", "true")
    assert set(states(judged("def double(x): return 2 * x")).values()) == {"passed"}
    assert os.environ["PYTEST_ADDOPTS"] == "-k nothing"


def test_chosen_tasks_are_judged_alone(tmp_path):
    both = Homework(
        "hwx",
        "",
        1,
        (*HOMEWORK.tasks, Task("triple", "", "m:triple", {"small": 1, "large": 1})),
    )
    (tmp_path / "test_double.py").write_text(SUITE)
    (tmp_path / "test_triple.py").write_text(SUITE.replace("double", "triple"))
    judge = JudgeWithoutWalls(tmp_path, both)
    outcome = judge.judge(notebook("x = 1"), "ann", b"s", 0, tasks={"triple"})
    assert {test.task for test in outcome.tests} == {"triple"}


def test_digests_name_suite_and_environment(tmp_path):
    (tmp_path / "test_double.py").write_text(SUITE)
    first = JudgeWithoutWalls(tmp_path)
    assert len(first.suite_sha256) == 64
    (tmp_path / "test_double.py").write_text(SUITE + "\n")
    second = JudgeWithoutWalls(tmp_path)
    assert first.suite_sha256 != second.suite_sha256
    assert first.environment_sha256 == second.environment_sha256


def test_a_judge_outside_its_with_block_says_so():
    with pytest.raises(RuntimeError, match="context manager"):
        Judge(HOMEWORK, Path(".")).judge(b"", "ann", b"s", 0)


def test_a_course_without_a_suite_or_a_released_notebook_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="no hidden suite for hwx"):
        Judge(HOMEWORK, tmp_path).__enter__()
    with pytest.raises(FileNotFoundError, match="kit build hwx"):
        Judge(HOMEWORK, tmp_path, suite=tmp_path).__enter__()


def test_a_runner_that_cannot_run_stops_the_judge_and_blames_nobody():
    class Broken(FakeSandbox):
        def runner(self, limits=None):
            worker = super().worker()
            worker.run = lambda graph, feeds: [feeds[next(iter(feeds))]]
            return worker

    try_runner(FakeSandbox())
    with pytest.raises(SuiteError, match="cannot execute the judge's own graph"):
        try_runner(Broken())


def test_notes_hold_no_text_of_the_student():
    failure = CellFailure(4, "c", 2, "ValueError", "<b>hello</b>")
    told = notes(LoadReport((failure,), ("gradient",), ()))
    assert told == (
        "cell 4, line 2 failed: ValueError",
        "gradient is defined more than once; the last one counts",
    )
    assert notes(None) == ("the notebook could not be loaded, so no test could run",)
