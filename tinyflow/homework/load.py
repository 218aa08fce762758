"""Run the chosen cells of a notebook and say what happened. Layer: homework.

A cell that fails is recorded and the next one runs, as in Jupyter; the last definition of a name
wins. Cell source is registered with ``linecache``, so a traceback quotes the student's own line
as ``cell 12, line 3``. Nothing here prints, and nothing trusts what a student's object says about
itself, so the locked grading worker can use it as it is.
"""

from __future__ import annotations
import __future__

import ast
import asyncio
import inspect
import json
import linecache
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, TracebackType

from tinyflow.homework.cell import SETUP, Cell, NotebookError, select_cells
from tinyflow.homework.magic import transform
from tinyflow.homework.stub import Stub, install_stubs

__all__ = ["CellFailure", "LoadReport", "Notebook", "is_loading", "load", "locate", "run_cells"]

MAX_TEXT = 500  # characters kept of a message
MAX_NAMES = 200  # names kept of a list
_FUTURES: int = sum(
    getattr(__future__, name).compiler_flag for name in __future__.all_feature_names
)
_LOADING: ContextVar[bool] = ContextVar("loading", default=False)
_type_name: Callable[[type], str] = type.__dict__["__name__"].__get__  # no metaclass has a say


@dataclass(frozen=True, slots=True)
class CellFailure:
    """A cell that raised: which one, where (None outside the notebook), and what."""

    cell: int
    id: str
    line: int | None
    error: str  # name of the exception type
    message: str

    def __str__(self) -> str:
        where = f"cell {self.cell}" + (f", line {self.line}" if self.line else "")
        return f"{where}: {self.error}" + (f": {self.message}" if self.message else "")


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What running the cells did.

    ``failures`` in the order of the notebook; ``redefined`` functions and classes that a later
    cell bound again; ``defined`` names of functions and classes that cells other than set-up left.
    """

    failures: tuple[CellFailure, ...]
    redefined: tuple[str, ...]
    defined: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Notebook:
    """A notebook that ran: its functions are attributes, ``report`` says how loading went."""

    name: str
    namespace: dict[str, object]
    report: LoadReport = LoadReport((), (), ())

    def __getattr__(self, name: str) -> object:
        if name in self.namespace and not name.startswith("__"):
            return self.namespace[name]
        failures = "".join(f"\n  {failure}" for failure in self.report.failures)
        because = f"these cells failed:{failures}" if failures else "run the cell that defines it"
        raise AttributeError(f"{self.name} defines no {name!r}; {because}")


def load(path: Path | str) -> Notebook:
    """Load a *saved* notebook, with plots and Colab imports stubbed, and return its functions.

    Raises NotebookError naming the file if it is missing or is not a notebook.
    """
    path = Path(path)
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        cells = select_cells(raw)
    except FileNotFoundError as error:
        raise NotebookError(f"{path}: no such notebook; save it, or give its name") from error
    except (OSError, ValueError, RecursionError) as error:
        raise NotebookError(f"{path}: {error}") from error
    namespace: dict[str, object] = {}
    report = run_cells(cells, namespace, stub_imports=True)
    return Notebook(path.name, namespace, report)


def run_cells(
    cells: Iterable[Cell], namespace: dict[str, object], *, stub_imports: bool = False
) -> LoadReport:
    """Run ``cells`` in order in ``namespace``, the globals of everything they define.

    With ``stub_imports`` plotting, display and Colab modules are stand-ins, from now on. Raises
    nothing that a cell raises, ``SystemExit`` and ``KeyboardInterrupt`` included.
    """
    if stub_imports:
        install_stubs()
    namespace.setdefault("__name__", "__main__")
    namespace.setdefault("display", Stub("display"))
    namespace.setdefault("get_ipython", Stub("get_ipython"))
    failures: list[CellFailure] = []
    defined: list[str] = []
    redefined: list[str] = []
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    token = _LOADING.set(True)
    for cell in cells:
        before = dict(namespace)
        try:
            flags |= _run(cell, namespace, flags)
        except BaseException as error:  # sys.exit() in a cell ends that cell only
            failures.append(_failure(cell, error))
        for name in _bound(before, namespace) if cell.kind != SETUP else ():
            seen = redefined if name in defined else defined
            if name not in seen:
                seen.append(name)
    _LOADING.reset(token)
    left = sorted(name for name in defined if name in namespace)
    return LoadReport(tuple(failures), tuple(redefined[:MAX_NAMES]), tuple(left[:MAX_NAMES]))


def is_loading() -> bool:
    """Whether a notebook is being loaded right now; ``check`` does nothing then."""
    return _LOADING.get()


def locate(traceback: TracebackType | None) -> str | None:
    """Return the innermost line of a notebook in ``traceback``: "cell 12, line 3", or None."""
    found = None
    while traceback is not None:
        name = traceback.tb_frame.f_code.co_filename
        if name.startswith("cell ") and name[5:].isdigit():
            found = f"{name}, line {traceback.tb_lineno}"
        traceback = traceback.tb_next
    return found


def _run(cell: Cell, namespace: dict[str, object], flags: int) -> int:
    """Run one cell; return the compiler flags of its ``from __future__`` lines."""
    source = transform(cell.source)
    lines = source.splitlines(keepends=True)
    linecache.cache[cell.name] = (len(source), None, lines, cell.name)
    code = compile(source, cell.name, "exec", flags, dont_inherit=True)
    result = eval(code, namespace)  # not exec: a top-level await makes the cell a coroutine
    if code.co_flags & inspect.CO_COROUTINE:
        asyncio.run(result)
    return int(code.co_flags & _FUTURES)


def _bound(before: dict[str, object], after: dict[str, object]) -> list[str]:
    """Names that a cell bound to a function or class, or bound anew where one was before."""
    kinds = (FunctionType, type)
    return [
        name
        for name, value in after.items()
        if type(name) is str
        and value is not before.get(name)
        and (type(value) in kinds or type(before.get(name)) in kinds)
    ]


def _failure(cell: Cell, error: BaseException) -> CellFailure:
    place = locate(error.__traceback__)
    line = int(place.rpartition(" ")[2]) if place and place.startswith(f"{cell.name},") else None
    if type(error) in {SyntaxError, IndentationError, TabError} and isinstance(error, SyntaxError):
        line = error.lineno
    try:
        message = str.__str__(str(error))[:MAX_TEXT]
    except BaseException:  # __str__ of a student's class may do anything
        message = "its message could not be read"
    name = str.__str__(_type_name(type(error)))[:MAX_TEXT]
    return CellFailure(cell.index, cell.id, line, name, message)
