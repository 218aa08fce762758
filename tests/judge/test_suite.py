"""The hidden suite of hw2_autodiff, looked at as text: enough tests, each with place and hint."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from autograder.authoring.manifest import load_homework

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "autograder" / "suites" / "hw2_autodiff").glob("test_*.py"))


def functions(path: Path) -> list[ast.FunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return [node for node in found if node.name.startswith("test_")]


def hints(path: Path) -> list[str]:
    return [
        ast.literal_eval(keyword.value)
        for function in functions(path)
        for call in function.decorator_list
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
        for keyword in call.keywords
        if call.func.id == "bucket" and keyword.arg == "hint"
    ]


def test_there_are_at_least_forty_hidden_tests_and_one_module_per_task():
    assert sum(len(functions(path)) for path in MODULES) >= 40
    tasks = {task.name for task in load_homework(ROOT, "hw2_autodiff").tasks}
    assert {path.stem.removeprefix("test_") for path in MODULES} == tasks


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_every_test_has_a_hint_that_is_a_sentence(path):
    assert len(hints(path)) == len(functions(path))
    for hint in hints(path):
        assert 15 <= len(hint) <= 90
        assert hint[-1] in ".?"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_inputs_are_random_in_every_test(path):
    for function in functions(path):
        assert "rng" in [argument.arg for argument in function.args.args], function.name


def test_gradient_is_the_largest_task_and_the_points_add_up_to_a_hundred():
    homework = load_homework(ROOT, "hw2_autodiff")
    assert homework.points == 100
    assert max(homework.tasks, key=lambda task: task.points).name == "gradient"
