"""The rebuilt notebook: the release skeleton, and of the student only source text."""

import nbformat
import pytest
from small_course import skeleton, submission

from autograder.grading.course import CourseError
from autograder.grading.rebuild import clean, read_skeleton, rebuild
from autograder.intake import SubmittedCell, parse_cells


def sources(notebook):
    return [(cell.id, cell.source.splitlines()[-1]) for cell in notebook.cells]


def test_solutions_take_their_place_and_locked_cells_stay(tmp_path):
    cells = [
        SubmittedCell(0, "setup", "code", "import evil"),
        SubmittedCell(1, "solution-gradient", "code", "def gradient(): 'mine'"),
        SubmittedCell(2, "score-gradient", "code", "5.0"),
    ]
    got = {cell.id: cell.source for cell in rebuild(skeleton(), cells).cells}
    frame = {cell.id: cell.source for cell in skeleton().cells}
    assert got == {**frame, "solution-gradient": "def gradient(): 'mine'"}


def test_added_cells_follow_the_cell_they_stood_behind():
    cells = [
        SubmittedCell(0, "", "text", "hello"),
        SubmittedCell(1, "solution-mul_adjoint", "code", "one"),
        SubmittedCell(2, "x", "code", "helper = 1"),
        SubmittedCell(3, "x", "code", "helper = 2"),
        SubmittedCell(4, "x", "code", "   "),
    ]
    got = sources(rebuild(skeleton(), cells))
    assert got[0] == ("added-1", "hello")
    place = got.index(("solution-mul_adjoint", "one"))
    assert got[place + 1 : place + 3] == [("added-2", "helper = 1"), ("added-3", "helper = 2")]
    assert len(got) == len(skeleton().cells) + 3


def test_the_last_copy_of_a_solution_is_shown():
    cells = [SubmittedCell(n, "solution-gradient", "code", f"try {n}") for n in range(3)]
    assert ("solution-gradient", "try 2") in sources(rebuild(skeleton(), cells))


def test_a_rebuilt_notebook_is_valid_and_has_no_outputs_but_ours():
    notebook = rebuild(skeleton(), parse_cells(submission()))
    nbformat.validate(notebook)
    assert all(not cell.get("outputs") for cell in notebook.cells)


def test_thousands_of_added_cells_are_capped():
    cells = [SubmittedCell(n, "", "code", "x = 1") for n in range(4_000)]
    assert len(rebuild(skeleton(), cells).cells) == len(skeleton().cells) + 200


def test_control_and_direction_characters_become_visible():
    assert clean("a\x00b\x1b[31mc\u202ed\ne\tf é 漢") == "a\\x00b\\x1b[31mc\\u202ed\ne\tf é 漢"
    assert clean("\ud800") == "\\ud800"


def test_long_text_is_cut_and_says_so():
    assert clean("x" * 30, limit=10) == "x" * 10 + "\n# ... 20 more characters are not shown"


def test_a_skeleton_that_is_no_notebook_is_named(tmp_path):
    path = tmp_path / "hw.ipynb"
    path.write_text("{")
    with pytest.raises(CourseError, match=r"hw\.ipynb: not a notebook .* run: kit build"):
        read_skeleton(path)
