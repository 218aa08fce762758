"""The judge with its locked workers: what one function does is paid by its own task."""

from __future__ import annotations

from collections import Counter

from autograder.judge import Judge
from autograder.mutants.bank import replace_cells
from autograder.outcome import Outcome, State

TASKS = {"mul_adjoint", "tanh_adjoint", "accumulate", "integration"}


def replaced(solved: bytes, **sources: str) -> bytes:
    cells = {name.replace("__", "-"): source for name, source in sources.items()}
    return replace_cells(solved, cells, before="solution-mul_adjoint")


def judged(judge: Judge, notebook: bytes, tasks: set[str] | None = None) -> Outcome:
    return judge.judge(notebook, "ann", b"a secret", 3, tasks=tasks)


def lost(outcome: Outcome) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for test in outcome.tests:
        if test.state is not State.PASSED:
            found.setdefault(test.task, Counter())[test.state.value] += 1
    return found


def test_the_solved_notebook_earns_everything(judge, solved):
    outcome = judged(judge, solved)
    assert lost(outcome) == {}
    assert len(outcome.tests) >= 40
    assert (outcome.secret_index, outcome.notes) == (3, ())
    assert outcome.isolation["grade"] in ("full", "kernel")


def test_the_same_secret_replays_the_same_inputs(judge, solved):
    wrong = replaced(solved, solution__mul_adjoint="def mul_adjoint(node, dy):\n    return dy, dy")
    first, second = (judged(judge, wrong, {"mul_adjoint"}) for _ in range(2))
    assert [test.detail for test in first.tests] == [test.detail for test in second.tests]
    assert any("numbers" in test.detail for test in first.tests)


def test_an_endless_loop_costs_its_own_task(judge, solved):
    loop = "def tanh_adjoint(node, dy):\n    while True:\n        pass"
    outcome = judged(judge, replaced(solved, solution__tanh_adjoint=loop), TASKS)
    assert set(lost(outcome)) == {"tanh_adjoint", "integration"}
    assert set(lost(outcome)["tanh_adjoint"]) == {"timeout"}


def test_leaving_the_process_costs_its_own_task(judge, solved):
    leave = "import os\ndef mul_adjoint(node, dy):\n    os._exit(0)"
    outcome = judged(judge, replaced(solved, solution__mul_adjoint=leave), TASKS)
    assert set(lost(outcome)) == {"mul_adjoint", "integration"}
    assert set(lost(outcome)["mul_adjoint"]) == {"crashed"}


def test_a_cell_that_fails_is_noted_and_the_others_count(judge, solved):
    notebook = replaced(solved, untidy="import sys\nprint('hello')\nsys.exit('enough')")
    outcome = judged(judge, notebook, {"mul_adjoint"})
    assert lost(outcome) == {}
    assert any("failed: SystemExit" in note for note in outcome.notes)
    assert "hello" in outcome.output_tail


def test_an_answer_that_is_no_answer_is_the_students(judge, solved):
    answers = {
        "return 3": "failed",
        "return object()": "malformed",
        "raise ValueError(str(dy))": "error",
        "raise NotImplementedError": "not_implemented",
        "return bytearray(1 << 40)": "out_of_memory",
        "return dy, ops.zeros(shape=(1 << 35,))": "out_of_memory",
        "return dy, ops.placeholder(dtype='float64')": "failed",
    }
    for body, state in answers.items():
        source = f"def mul_adjoint(node, dy):\n    {body}"
        outcome = judged(judge, replaced(solved, solution__mul_adjoint=source), {"mul_adjoint"})
        assert {test.state.value for test in outcome.tests} == {state}, body


def test_error_names_are_of_the_allow_list_and_lines_are_of_the_notebook(judge, solved):
    source = "class Leak(Exception): pass\ndef mul_adjoint(node, dy):\n    raise Leak(repr(node))"
    outcome = judged(judge, replaced(solved, solution__mul_adjoint=source), {"mul_adjoint"})
    assert {test.error_name for test in outcome.tests} == {"Exception"}
    assert all(test.line and test.line.endswith("line 3") for test in outcome.tests)


def test_a_notebook_that_is_none_is_the_students_error(judge):
    for data in (b"", b"[]", b"{}", b"\xff\xfe", b'{"cells": 3}'):
        outcome = judged(judge, data, {"mul_adjoint"})
        assert {test.state for test in outcome.tests} == {State.ERROR}
