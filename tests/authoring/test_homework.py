"""The loader: which cells run, what a failing one costs, and what the student is told."""

import json
import sys
import textwrap

import pytest

from tinyflow.homework import (
    Cell,
    NotebookError,
    check,
    load,
    locate,
    run_cells,
    select_cells,
    student,
)
from tinyflow.homework.stub import STUBBED, Stub, remove_stubs


@pytest.fixture(autouse=True)
def real_modules():
    yield
    remove_stubs()


def code(source, identity="", *tags, **nbgrader):
    metadata = {"tags": list(tags)} if tags else {}
    if nbgrader:
        metadata["nbgrader"] = {"grade_id": identity, **nbgrader}
    return {"cell_type": "code", "id": identity, "metadata": metadata, "source": source}


def notebook(*cells):
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(cells)}


SETUP = code("import math\nlimit = 3", "setup", "setup", locked=True, solution=False, grade=False)
TEXT = {"cell_type": "markdown", "metadata": {}, "source": "# Title"}


def run(*cells):
    space = {}
    return space, run_cells(select_cells(notebook(*cells)), space)


def test_only_set_up_solutions_and_what_the_student_added_run():
    chosen = select_cells(
        notebook(
            TEXT,
            SETUP,
            code("f = 1", "solution-f", solution=True, grade=False),
            code("check('f')", "check-f", "check"),
            code("raise SystemExit", "score-f", grade=True, solution=False),
            code("train()", "demo-1", "demo"),
            code("helper = 2", "a1b2c3"),
        )
    )
    assert [(cell.index, cell.id, cell.kind) for cell in chosen] == [
        (1, "setup", "setup"),
        (2, "solution-f", "solution"),
        (6, "a1b2c3", "added"),
    ]


def test_ids_survive_tools_that_drop_cell_ids_or_metadata():
    dropped = code("f = 1", "solution-f", solution=True)
    del dropped["id"]
    bare = {**code("g = 1", "solution-g"), "metadata": {}}
    colab = {**code("h = 1", ""), "metadata": {"id": "XyZ"}}
    chosen = select_cells(notebook(dropped, bare, colab))
    assert [(c.id, c.kind) for c in chosen] == [
        ("solution-f", "solution"),
        ("solution-g", "solution"),
        ("XyZ", "added"),
    ]


def test_a_solution_cell_tagged_demo_still_runs():
    assert len(select_cells(notebook(code("f = 1", "solution-f", "demo", solution=True)))) == 1


def test_trusted_set_up_replaces_the_notebooks_own_and_returns_when_deleted():
    trusted = [Cell(1, "setup", "limit = 10", "setup"), Cell(2, "more", "other = 1", "setup")]
    forged = code("limit = -1", "setup", "setup")
    chosen = select_cells(
        notebook(forged, forged, code("f = limit", "x"), code("1", "z", "setup")), trusted
    )
    assert [(c.index, c.id, c.source) for c in chosen] == [
        (0, "more", "other = 1"),
        (1, "setup", "limit = 10"),
        (3, "x", "f = limit"),
    ]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "got list, expected an object"),
        ({"nbformat": 3, "worksheets": []}, "got nbformat 3"),
        ({}, "got no cells"),
        ({"cells": [1]}, "entry 1 of the notebook is int"),
        ({"cells": [{"cell_type": "code", "source": {"a": 1}}]}, "code cell 1: source is dict"),
    ],
)
def test_what_is_not_a_notebook_is_named(data, words):
    with pytest.raises(NotebookError, match=words):
        select_cells(data)


def test_a_failing_cell_is_recorded_and_the_next_one_runs():
    space, report = run(code("a = 1\nb = 1 / 0\nc = 3"), code("d = a + 1"))
    assert (space["d"], "c" in space) == (2, False)
    (failure,) = report.failures
    assert str(failure) == "cell 1, line 2: ZeroDivisionError: division by zero"


def test_a_syntax_error_names_its_line():
    _, report = run(code("x = 1\ny = (\n"))
    assert str(report.failures[0]).startswith("cell 1, line 2: SyntaxError: '(' was never closed")


@pytest.mark.parametrize("source", ["import sys; sys.exit(0)", "raise KeyboardInterrupt", "quit()"])
def test_leaving_the_interpreter_ends_only_the_cell(source):
    space, report = run(code(source), code("after = 1"))
    assert space["after"] == 1 and len(report.failures) == 1


def test_an_exception_that_lies_about_itself_is_still_recorded():
    source = """
        class Meta(type):
            __name__ = property(lambda cls: 1 / 0)
        class Lie(Exception, metaclass=Meta):
            def __str__(self): raise SystemExit
        raise Lie
    """
    _, report = run(code(textwrap.dedent(source)))
    assert (report.failures[0].error, report.failures[0].message) == (
        "Lie",
        "its message could not be read",
    )


def test_the_last_definition_wins_and_is_reported():
    space, report = run(
        SETUP,
        code("def f():\n    return 1\nx = 1", "solution-f", solution=True),
        code("x = 2"),
        code("def f():\n    return 2\ndef g(): pass"),
    )
    assert space["f"]() == 2
    assert (report.redefined, report.defined) == (("f",), ("f", "g"))


def test_a_traceback_quotes_the_line_of_the_cell():
    space, _ = run(SETUP, code("def f(x):\n    # explain\n    return 1 / x\n"))
    with pytest.raises(ZeroDivisionError) as caught:
        space["f"](0)
    assert locate(caught.tb) == "cell 2, line 3"
    assert "return 1 / x" in str(caught.getrepr())


def test_top_level_await_and_future_imports_work_as_in_jupyter():
    space, report = run(
        code("from __future__ import annotations"),
        code("import asyncio\nx = await asyncio.sleep(0, 5)\ndef f(a: Undefined): return a"),
    )
    assert report.failures == () and space["x"] == 5
    assert space["f"].__annotations__ == {"a": "Undefined"}


def test_magics_and_display_do_nothing():
    space, report = run(
        code("%matplotlib inline\n!rm -rf /nowhere\nget_ipython().run_line_magic('a', 'b')"),
        code("display(1)\nimport os?\nfiles = !ls"),
    )
    assert report.failures == () and space["files"] == []


def test_plots_and_colab_are_stubbed_when_asked(tmp_path, monkeypatch):
    source = """
        from google.colab import drive
        import matplotlib.pyplot as plt
        from tqdm.auto import tqdm
        from IPython.display import SVG, display
        drive.mount("/content")
        fig, ax = plt.subplots(figsize=(4, 3))
        (line,) = ax.plot([1, 2], label="loss")
        plt.rcParams["figure.dpi"] = 120
        with plt.style.context("dark"):
            ax.legend()
        total = sum(tqdm([1, 2, 3]))
        @plt.interact(x=1)
        def f(x):
            return x
    """
    for name in [name for name in sys.modules if name.partition(".")[0] in STUBBED]:
        monkeypatch.delitem(sys.modules, name)  # a module that is loaded is used as it is
    path = tmp_path / "hw.ipynb"
    path.write_text(json.dumps(notebook(code(textwrap.dedent(source)))))
    module = load(path)
    assert module.report.failures == ()
    assert module.total == 6 and module.f(4) == 4


def test_a_real_module_is_found_again_when_stubs_are_removed():
    run_cells([Cell(1, "a", "import seaborn.objects as so", "added")], {}, stub_imports=True)
    assert type(sys.modules["seaborn"]) is Stub
    remove_stubs()
    assert "seaborn" not in sys.modules and "seaborn.objects" not in sys.modules


def test_a_missing_function_says_which_cells_failed(tmp_path):
    path = tmp_path / "hw.ipynb"
    path.write_text(json.dumps(notebook(code("import networkx_x\ndef gradient(): pass"))))
    with pytest.raises(
        AttributeError, match=r"hw.ipynb defines no 'gradient'(.|\n)*cell 1, line 1"
    ):
        _ = load(path).gradient


@pytest.mark.parametrize("content", [None, "", "[1, 2", "[]", "\udcff"])
def test_a_file_that_is_no_notebook_is_named(tmp_path, content):
    path = tmp_path / "hw.ipynb"
    if content is not None:
        path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(NotebookError, match=r"hw\.ipynb"):
        load(path)


PUBLIC = '''
import pytest
from tinyflow.homework import student as notebook

@pytest.fixture
def student():
    return notebook(__file__.rpartition("/")[0])

@pytest.mark.double
def test_twice(student):
    """Doubling four gives eight."""
    assert student.double(4) == 8, "double(4) must be 8: add x to itself"

@pytest.mark.double
@pytest.mark.parametrize("x", [0, 1])
def test_small_numbers(student, x):
    assert student.double(x) == 2 * x

@pytest.mark.half
def test_half(student):
    assert student.half(4) == 2
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "test_hw0.py").write_text(PUBLIC)
    (tmp_path / "hw0.ipynb").write_text(json.dumps(notebook(code("def half(x): return x / 2"))))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def say(capsys, source, task="double"):
    space = {"check": check}
    exec(compile(textwrap.dedent(source), "live cell", "exec"), space)
    exec(f"check({task!r})", space)
    return capsys.readouterr().out


def test_check_runs_the_tests_of_one_task_on_the_live_functions(folder, capsys):
    assert say(capsys, "def double(x): return 2 * x") == (
        "double: 3 of 3 public tests pass\n"
        "  ok    Doubling four gives eight\n"
        "  ok    small numbers [0]\n"
        "  ok    small numbers [1]\n"
    )


def test_check_shows_the_message_of_a_failed_test(folder, capsys):
    text = say(capsys, "def double(x): return x * x")
    assert "double: 1 of 3 public tests pass" in text
    assert "FAIL  Doubling four gives eight\n        double(4) must be 8: add x to itself\n" in text


def test_check_shows_an_error_with_the_students_line(folder, capsys):
    text = say(capsys, "def double(x):\n    y = x\n    return y.size\n")
    assert text == (
        "double: 0 of 3 public tests pass, all for the same reason:\n"
        "        AttributeError: 'int' object has no attribute 'size'\n"
        "        in double, line 3 of its cell: \n"
    )


def test_check_says_so_when_nothing_is_written_yet(folder, capsys):
    text = say(capsys, "def double(x):\n    raise NotImplementedError()")
    assert text == "double: not written yet; 3 public tests are waiting for it\n"


def test_check_of_an_unknown_task_lists_the_known_ones(folder, capsys):
    assert say(capsys, "", "dubble") == "dubble: no such task; the tests know double, half\n"


def test_check_without_test_files_says_where_it_looked(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert f"no public tests in {tmp_path}" in say(capsys, "")


def test_check_reports_a_test_file_that_cannot_be_read(folder, capsys):
    (folder / "test_hw0.py").write_text("def broken(:\n")
    assert "the public tests cannot be read" in say(capsys, "")


def test_check_does_nothing_while_a_notebook_is_loaded(capsys):
    space = {"check": check}
    run_cells([Cell(1, "x", "check('double')", "added")], space)
    assert capsys.readouterr().out == ""


def test_plain_pytest_loads_the_saved_notebook(folder):
    assert student(folder).half(8) == 4
    (folder / "hw0.ipynb").rename(folder / "hw0 (1).ipynb")
    assert student(folder).half(8) == 4
    (folder / "copy.ipynb").write_bytes((folder / "hw0 (1).ipynb").read_bytes())
    with pytest.raises(NotebookError, match="expected one notebook beside the tests, found copy"):
        student(folder)
