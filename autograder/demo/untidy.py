"""Ways in which a right notebook looks odd: each must keep full marks. Layer: demonstration.

Added cells lie as files beside the bank, ``autograder/mutants/<homework>/untidy/*.py``; what
changes the notebook as a whole is a function here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from autograder.mutants.bank import read_cells, replace_cells

__all__ = ["Untidy", "untidy_habits"]

Notebook = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Untidy:
    """One habit: what the notebook looks like, and the edit that makes a solved one so."""

    title: str
    edit: Callable[[bytes], bytes]


def untidy_habits(homework_id: str) -> list[Untidy]:
    """All habits, the tidy one first; raises BankError for a file that cannot be read."""
    folder = Path(__file__).parents[1] / "mutants" / homework_id / "untidy"
    habits = [Untidy("tidy: the solved notebook as it is", lambda solved: solved)]
    for path in sorted(folder.glob("*.py")):
        facts, first, cells = read_cells(path)
        if first:
            cells[f"solution-{facts['task']}"] = first
        edit = partial(replace_cells, cells=cells, before=f"solution-{facts['task']}")
        habits.append(Untidy(str(facts["title"]), edit))
    return habits + [Untidy(title, partial(_edited, edit)) for title, edit in _WHOLE.items()]


def _edited(edit: Callable[[Notebook], None], solved: bytes) -> bytes:
    notebook = json.loads(solved)
    edit(notebook)
    return json.dumps(notebook).encode()


def _source(cell: Notebook) -> str:
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


def _outputs_left_in(notebook: Notebook) -> None:
    warning = {"output_type": "stream", "name": "stderr", "text": "UserWarning: slow\n"}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [warning] * 3, 7


def _locked_cells_deleted(notebook: Notebook) -> None:
    gone = ("score-", "check-", "setup", "demo")
    notebook["cells"] = [c for c in notebook["cells"] if not c["id"].startswith(gone)]


def _windows_lines(notebook: Notebook) -> None:
    for cell in notebook["cells"]:
        cell["source"] = _source(cell).replace("\n", "\r\n")


def _old_format(notebook: Notebook) -> None:
    notebook["nbformat_minor"] = 4
    for cell in notebook["cells"]:
        del cell["id"]
        cell["source"] = _source(cell).splitlines(keepends=True)


def _in_reverse(notebook: Notebook) -> None:
    places = [i for i, c in enumerate(notebook["cells"]) if c["id"].startswith("solution-")]
    cells = [notebook["cells"][i] for i in reversed(places)]
    for place, cell in zip(places, cells):
        notebook["cells"][place] = cell


_WHOLE = {
    "outputs and warnings left in": _outputs_left_in,
    "locked cells deleted": _locked_cells_deleted,
    "Windows line endings": _windows_lines,
    "an older notebook format without cell ids": _old_format,
    "solutions in reverse order": _in_reverse,
}
