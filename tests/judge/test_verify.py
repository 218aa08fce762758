"""Verification of a suite notices each thing it is for; `make test` runs it on hw2_autodiff."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from autograder.authoring import verify as verification
from autograder.authoring.manifest import Homework, Task
from autograder.authoring.reach import Reach
from autograder.authoring.verify import Case, Finding, Verification, examine
from autograder.outcome import Outcome, State, TestOutcome

HOMEWORK = Homework(
    "hw",
    "t",
    1,
    (
        Task("f", "f", "m:f", {"values": 1, "shape": 1}),
        Task("g", "g", "m:g", {"values": 1}),
        Task("integration", "all", None, {"net": 1}),
    ),
)
EVERYTHING = ("f/values", "f/shape", "g/values", "integration/net")


def outcome(*lost: str, state: State = State.FAILED) -> Outcome:
    tests = tuple(
        TestOutcome(name, *name.split("/"), state if name in lost else State.PASSED, "hint", 0.0)
        for name in EVERYTHING
    )
    return Outcome("hw", "s", "a", "b", "c", 0, tests, 0.0)


def problems(kind: str, *lost: str, loses: tuple[str, ...] = (), state: State = State.FAILED):
    task = "f" if kind in ("wrong", "right") else None
    finding = Finding(Case("c", kind, "t", b"", task, loses))
    examine(HOMEWORK, finding, outcome(*lost, state=state))
    return finding.problems


def test_reference_and_right_solutions_must_lose_nothing():
    for kind in ("reference", "right"):
        assert problems(kind) == []
        assert problems(kind, "f/values") == ["loses f/values"]


def test_the_stub_must_earn_nothing():
    assert problems("stub", *EVERYTHING) == []
    assert problems("stub", "f/values", "f/shape", "g/values") == ["earns points"]


def test_a_wrong_solution_loses_its_bucket_its_task_and_perhaps_the_integration():
    assert problems("wrong", "f/values", loses=("values",)) == []
    assert problems("wrong", "f/values", "f/shape", "integration/net", loses=("values",)) == []
    assert problems("wrong", "f/shape", loses=("values",)) == ["keeps f/values"]
    assert problems("wrong", "f/values", "g/values", loses=("values",)) == ["loses g/values too"]


def test_a_grader_error_is_a_problem_of_every_case():
    found = problems("wrong", "f/values", loses=("values",), state=State.GRADER_ERROR)
    assert found[0].startswith("f/values: grader_error")


def test_a_bucket_that_no_wrong_solution_loses_and_a_ready_made_answer_are_problems():
    finding = Finding(Case("c", "wrong", "t", b"", "f", ("values",)))
    reach = Reach(10, (("g", "numpy:sin"),), (("g", "numpy:sin"),))
    found = list(verification._all_problems(HOMEWORK, [finding], reach))
    assert found == [
        "f/shape: no wrong solution says that it loses this bucket",
        "g/values: no wrong solution says that it loses this bucket",
        "numpy:sin solves g",
    ]


@pytest.mark.parametrize("problem", ["", "c: keeps f/values"])
def test_the_result_prints_itself(problem):
    finding = Finding(Case("c", "wrong", "t", b"", "f", ("values",)), 1, {("f", "values"): 1})
    result = Verification("hw", 1, (finding,), None, (problem,) if problem else ())
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(result)
    text = console.export_text()
    assert result.ok == (not problem)
    assert (problem or "the suite may ship") in text
    assert "values" in text
