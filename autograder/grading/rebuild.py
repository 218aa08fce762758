"""Build the notebook that people look at: the release skeleton with the student's sources in it.

Of a submission only cell sources survive, as plain text in code cells. Markdown, outputs, metadata
and grade cells of the student do not: HTML cannot run in the instructor's browser, and a copied or
deleted grade cell changes nothing. Layer: grading.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from autograder.grading.course import CourseError
from autograder.intake import SubmittedCell

__all__ = ["clean", "read_skeleton", "rebuild"]

_MAX_CELL_CHARS = 40_000
_MAX_ADDED = 200
_BLANKS = re.compile(r"\s{200,}")  # highlighters take seconds over a cell full of them
# bidirectional overrides make shown code differ from run code ("trojan source")
_HIDDEN = {*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x2028, 0x2029, 0xFEFF}


def read_skeleton(path: Path) -> NotebookNode:
    """Read the released notebook; raises CourseError if it is missing or not a notebook."""
    try:
        notebook: NotebookNode = nbformat.read(str(path), as_version=4)
    except FileNotFoundError as error:
        raise CourseError(f"{path}: no released notebook; run: kit build") from error
    except (OSError, ValueError) as error:
        raise CourseError(f"{path}: not a notebook ({error}); run: kit build") from error
    return notebook


def clean(text: str, limit: int = _MAX_CELL_CHARS) -> str:
    """Make control and direction characters visible; cap length and runs of blanks, saying so."""
    shown = "".join(_visible(char) for char in text[:limit])
    shown = _BLANKS.sub(lambda m: f"\n# ... {len(m[0])} blanks are not shown\n", shown)
    if len(text) > limit:
        shown += f"\n# ... {len(text) - limit} more characters are not shown"
    return shown


def _visible(char: str) -> str:
    code = ord(char)
    if char in "\n\t" or (0x20 <= code < 0x7F):
        return char
    if code < 0x20 or 0x7F <= code < 0xA0 or code in _HIDDEN or 0xD800 <= code < 0xE000:
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    return char


def rebuild(skeleton: NotebookNode, cells: Sequence[SubmittedCell]) -> NotebookNode:
    """Return a new notebook: every skeleton cell in place, solution sources from ``cells``.

    Where a grade id occurs twice the last one is shown in place, as the loader would let it win,
    and the others as added. Cells that are not of the skeleton follow the skeleton cell they stood
    behind, and so do changed demonstrations.
    """
    known = {_grade_id(cell): cell for cell in skeleton.cells}
    last: dict[str, SubmittedCell] = {}
    added: dict[str, list[SubmittedCell]] = {}
    behind = ""
    for cell in cells:
        if cell.id in known:
            behind = cell.id
            if cell.id in last:  # it was run as well
                added.setdefault(behind, []).append(last[cell.id])
            last[cell.id] = cell
        if cell.source.strip() and not _is_in_place(cell, known.get(cell.id)):
            added.setdefault(behind, []).append(cell)
    notebook = copy.deepcopy(skeleton)
    sources = {name: cell.source for name, cell in last.items()}
    notebook.cells = list(_woven(notebook.cells, sources, added))
    return notebook


def _is_in_place(cell: SubmittedCell, ours: NotebookNode | None) -> bool:
    """Whether the skeleton's cell stands for it. A demonstration that lost its tag would be run."""
    if ours is None:
        return False
    is_locked = bool(ours.metadata.get("nbgrader"))  # or a solution, and shown as such
    return is_locked or cell.kind != "code" or cell.source.split() == ours.source.split()


def _woven(
    frame: Sequence[NotebookNode],
    sources: dict[str, str],
    added: dict[str, list[SubmittedCell]],
) -> Iterator[NotebookNode]:
    number = 0
    for cell in (None, *frame):
        name = "" if cell is None else _grade_id(cell)
        if cell is not None:
            if cell.metadata.get("nbgrader", {}).get("solution") and name in sources:
                cell.source = clean(sources[name])
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
            yield cell
        for extra in added.pop(name, []) if name or cell is None else []:
            number += 1
            if number <= _MAX_ADDED:
                yield _added(extra, number)


def _added(cell: SubmittedCell, number: int) -> NotebookNode:
    title = "# cell added or changed by the student" + ("" if cell.kind == "code" else " (text)")
    node: NotebookNode = nbformat.v4.new_code_cell(f"{title}\n{clean(cell.source)}")
    node.id = f"added-{number}"
    node.metadata["kit"] = {"added": True}
    return node


def _grade_id(cell: NotebookNode) -> str:
    return str(cell.metadata.get("nbgrader", {}).get("grade_id") or cell.get("id", ""))
