"""The bank of wrong and of right but unusual solutions, and its format."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from autograder.authoring.manifest import load_homework
from autograder.mutants.bank import BankError, load_bank, replace_cells

ROOT = Path(__file__).parents[2]
BASE = json.dumps(
    {
        "cells": [
            {"cell_type": "code", "id": "setup", "source": "x = 1", "metadata": {}},
            {"cell_type": "code", "id": "solution-f", "source": "pass", "metadata": {}},
        ]
    }
).encode()
HEADER = '# /// variant\n# title = "t"\n# task = "f"\n# loses = ["values"]\n# ///\n'


def write(folder: Path, text: str, kind: str = "wrong") -> None:
    (folder / "hw" / kind).mkdir(parents=True, exist_ok=True)
    (folder / "hw" / kind / "one.py").write_text(text)


def test_the_bank_of_hw2_is_large_enough_and_names_real_buckets():
    homework = load_homework(ROOT, "hw2_autodiff")
    bank = load_bank("hw2_autodiff")
    wrong = [variant for variant in bank if not variant.is_right]
    assert len(wrong) >= 24
    assert len(bank) - len(wrong) >= 12
    assert len({variant.id for variant in bank}) == len(bank)
    for variant in bank:
        assert set(variant.loses) <= set(homework.task(variant.task).buckets), variant.id
        for source in variant.cells.values():
            ast.parse(source)


def test_a_solution_takes_the_place_of_its_cell(tmp_path):
    write(tmp_path, HEADER + "def f():\n    return 2\n")
    (variant,) = load_bank("hw", tmp_path)
    assert (variant.id, variant.task, variant.loses) == ("one", "f", ("values",))
    cells = json.loads(variant.notebook(BASE))["cells"]
    assert [cell["id"] for cell in cells] == ["setup", "solution-f"]
    assert cells[1]["source"] == "def f():\n    return 2\n"


def test_a_helper_cell_is_added_before_the_solution(tmp_path):
    text = HEADER.replace('# loses = ["values"]\n', "")
    write(tmp_path, text + "# %% helper\ny = 1\n# %% solution-f\nz = 2\n", "right")
    (variant,) = load_bank("hw", tmp_path)
    assert variant.is_right
    cells = json.loads(variant.notebook(BASE))["cells"]
    assert [(cell["id"], cell["source"]) for cell in cells[1:]] == [
        ("helper", "y = 1\n"),
        ("solution-f", "z = 2\n"),
    ]


@pytest.mark.parametrize(
    ("text", "kind", "reason"),
    [
        ("def f(): pass\n", "wrong", "expected a block"),
        (HEADER.replace('"t"', '"t'), "wrong", "needs title and task"),
        (HEADER.replace('# task = "f"\n', ""), "wrong", "'task'"),
        (HEADER, "right", "a wrong solution names what it loses"),
        (HEADER.replace('"values"', ""), "wrong", "a wrong solution names what it loses"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, text, kind, reason):
    write(tmp_path, text, kind)
    with pytest.raises(BankError, match=reason) as caught:
        load_bank("hw", tmp_path)
    assert "one.py" in str(caught.value)


def test_an_empty_bank_and_a_notebook_without_the_cell_are_errors(tmp_path):
    with pytest.raises(BankError, match="no solutions"):
        load_bank("hw", tmp_path)
    with pytest.raises(BankError, match="no cell 'solution-g'"):
        replace_cells(BASE, {}, before="solution-g")
