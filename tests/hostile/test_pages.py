"""Feedback pages of notebooks that are made to keep whoever writes the page busy."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from autograder.authoring.manifest import load_homework
from autograder.grading.marks import mark, uniform_outcome
from autograder.outcome import State
from tests.hostile.pages import assert_harmless, page_of
from tests.hostile.world import HOMEWORK, ROOT

STUB = json.loads((ROOT / "assignments" / HOMEWORK / f"{HOMEWORK}.ipynb").read_bytes())
COURSE = load_homework(ROOT, HOMEWORK)


def page(*sources: str, cells: Sequence[Mapping[str, object]] = STUB["cells"]) -> str:
    """The page of the stub, or of ``cells``, with cells of these sources added."""
    added = [{"cell_type": "code", "id": f"a{i}", "source": s} for i, s in enumerate(sources)]
    notebook = json.dumps({**STUB, "cells": [*cells, *added]}).encode()
    outcome = uniform_outcome(COURSE, "eve", "0" * 64, State.FAILED, "no")
    made = page_of(notebook, mark(outcome, COURSE))
    assert_harmless(made)
    return made


def test_thousands_of_blanks_are_named_and_not_highlighted() -> None:
    for blanks in (" \n" * 10_000, "\t\n" * 10_000, "\u3000" * 20_000):
        made = page(f"x = 1\n{blanks}y = 2")
        assert f"{len(blanks)} blanks are not shown" in made.replace("20001", "20000")
        assert "y" in made.rpartition("blanks are not shown")[2]


def test_only_so_much_added_code_is_coloured() -> None:
    coloured = page(*["def f(x): return x + 1"] * 3).count("<span")
    assert page(*["def f(x): return x + 1\n" * 200] * 100).count("<span") < 1_000 * coloured
    assert "f(x)" in page(*["x" * 30_000, "def f(x): return x + 1"])


def test_code_under_the_name_of_a_demonstration_is_shown() -> None:
    """Without its tag such a cell is run, so a reader must see it."""
    cells = [dict(cell) for cell in STUB["cells"]]
    demo = next(cell for cell in cells if "demo" in cell["metadata"].get("tags", ()))
    demo |= {"metadata": {}, "source": "hidden_code = 1"}
    assert "hidden_code" in page(cells=cells)


def test_code_under_the_name_of_a_solution_that_comes_again_is_shown() -> None:
    cells = [dict(cell) for cell in STUB["cells"]]
    place = next(i for i, cell in enumerate(cells) if cell["id"].startswith("solution-"))
    cells.insert(place, {**cells[place], "source": "hidden_code = 1"})
    assert "hidden_code" in page(cells=cells)
