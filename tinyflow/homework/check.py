"""Run the public tests of one task on a live notebook, or on the saved one. Layer: homework.

The tests lie beside the notebook and ask for a fixture ``student``. Plain ``pytest`` gives them
the *saved* notebook, loaded as a grader loads it; ``check("gradient")`` gives them the functions
of the running one. Each test carries the name of its task as a pytest mark.
"""

from __future__ import annotations

import linecache
import os
import sys
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from tinyflow.homework.cell import NotebookError
from tinyflow.homework.load import Notebook, is_loading, load

if TYPE_CHECKING:
    import pytest

__all__ = ["check", "student"]

_LIVE: ContextVar[Notebook | None] = ContextVar("live", default=None)
_PYTEST_MARKS = frozenset({"parametrize", "usefixtures", "filterwarnings", "skip", "skipif"})
_PYTEST_OPTIONS = (
    "--import-mode=importlib --capture=sys -p no:terminal -p no:cacheprovider -p no:faulthandler "
    f"-c {os.devnull}"
).split()
MESSAGE_LINES = 12  # of a failed test's message are shown


@dataclass(slots=True)
class _Result:
    """One public test: what it says it tests, and its failure if it failed."""

    title: str
    failure: str = ""
    missing: bool = False  # the task is still a stub


@dataclass(slots=True)
class _Collector:
    """A pytest plugin that keeps the tests of one task and records how each ended."""

    task: str
    known: dict[str, None] = field(default_factory=dict)
    results: dict[str, _Result] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep the tests marked with the task."""
        for item in items:
            marks = (mark.name for mark in item.iter_markers())
            self.known.update((name, None) for name in marks if name not in _PYTEST_MARKS)
        items[:] = [item for item in items if item.get_closest_marker(self.task)]
        self.results = {item.nodeid: _Result(_title(item)) for item in items}

    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        """Record the first failure of a test."""
        result = self.results[item.nodeid]
        if call.excinfo is not None and not result.failure:
            error = call.excinfo.value
            result.missing = isinstance(error, NotImplementedError)
            result.failure = _explain(error)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Record a test file that cannot be read."""
        if report.failed:
            self.broken.append(str(report.longrepr))


def check(task: str) -> None:
    """Run the public tests of ``task`` on the functions of this notebook and print the result.

    Nothing is raised, so "Run All" goes on. While a grader loads the notebook it does nothing.
    """
    if is_loading():
        return
    live = Notebook("this notebook", sys._getframe(1).f_globals)
    print(_check(task, live, Path.cwd()))


def student(folder: Path | str) -> Notebook:
    """Return the notebook under test: the running one inside ``check``, else the saved one.

    A saved notebook is searched for in ``folder``: the one named like the test file's homework,
    or the only one there is. Raises NotebookError if there is none, or if several might be meant.
    """
    live = _LIVE.get()
    if live is not None:
        return live
    folder = Path(folder)
    notebooks = sorted(folder.glob("*.ipynb"))
    homeworks = {path.stem.removeprefix("test_") for path in folder.glob("test_*.py")}
    named = [path for path in notebooks if path.stem in homeworks] or notebooks
    if len(named) == 1:
        return load(named[0])
    found = ", ".join(path.name for path in named) or "none"
    raise NotebookError(f"{folder}: expected one notebook beside the tests, found {found}")


def _check(task: str, live: Notebook, folder: Path) -> str:
    """Run the tests in ``folder`` on ``live`` and return the text to print."""
    files = [str(path) for path in sorted(folder.glob("test_*.py"))]
    if not files:
        return (
            f"{task}: no public tests in {folder}. Put the test file of the homework beside the "
            "notebook, and start Jupyter so that the notebook's folder is the working directory."
        )
    import pytest

    collector = _Collector(task)
    token = _LIVE.set(live)
    try:
        pytest.main([*files, "--rootdir", str(folder), *_PYTEST_OPTIONS], plugins=[collector])
    finally:
        _LIVE.reset(token)
        for name, module in list(sys.modules.items()):  # read an edited test file next time
            if getattr(module, "__file__", None) in files:
                del sys.modules[name]
    if collector.broken:
        return f"{task}: the public tests cannot be read\n" + _indent(collector.broken[0], 4)
    if not collector.results:
        return f"{task}: no such task; the tests know {', '.join(collector.known) or 'none'}"
    return _summary(task, list(collector.results.values()))


def _summary(task: str, results: list[_Result]) -> str:
    passed = sum(not result.failure for result in results)
    if all(result.missing for result in results):
        return f"{task}: not written yet; {len(results)} public tests are waiting for it"
    lines = [f"{task}: {passed} of {len(results)} public tests pass"]
    if len({result.failure for result in results}) == 1 < len(results) and not passed:
        lines[0] += ", all for the same reason:"
        return "\n".join([*lines, _indent(results[0].failure, 8)])
    for result in results:
        lines.append(f"  {'FAIL' if result.failure else 'ok':4}  {result.title}")
        if result.failure:
            lines.append(_indent(result.failure, 8))
    return "\n".join(lines)


def _title(item: pytest.Item) -> str:
    """First line of the test's docstring, or its name in words; parameters in brackets."""
    document = (getattr(getattr(item, "function", None), "__doc__", "") or "").strip()
    name, _, parameters = item.name.partition("[")
    words = name.removeprefix("test_").replace("_", " ")
    title = document.splitlines()[0].rstrip(".") if document else words
    return f"{title} [{parameters}" if parameters else title


def _explain(error: BaseException) -> str:
    """Message of a failed test: what the test says, or the student's error and its line."""
    message = str(error).partition("\nassert ")[0].strip()  # pytest adds the comparison; no news
    if isinstance(error, NotImplementedError):
        message = message or "not written yet: the line that raises NotImplementedError is there"
    elif not isinstance(error, AssertionError) and type(error).__name__ != "Failed":
        message = f"{type(error).__name__}: {message}"
    line = _student_line(error.__traceback__)
    kept = message.splitlines()[:MESSAGE_LINES]
    return "\n".join([*kept, line] if line else kept) or type(error).__name__


def _student_line(traceback: TracebackType | None) -> str:
    """Quote the innermost line of the student's code in ``traceback``; empty if there is none."""
    live = _LIVE.get()
    found = ""
    while live is not None and traceback is not None:
        frame, number = traceback.tb_frame, traceback.tb_lineno
        if frame.f_globals is live.namespace:
            text = linecache.getline(frame.f_code.co_filename, number).strip()
            found = f"in {frame.f_code.co_name}, line {number} of its cell: {text}"
        traceback = traceback.tb_next
    return found


def _indent(text: str, width: int) -> str:
    return "\n".join(" " * width + line for line in text.splitlines()[: MESSAGE_LINES + 1])
