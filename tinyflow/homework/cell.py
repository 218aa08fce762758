"""Choose which cells of a notebook are run. Layer: homework; reads plain data, runs nothing.

A homework notebook has set-up cells (ours, locked), solution cells (the student's), score cells,
public checks and demonstrations (training, plots). Only the first two, and whatever the student
added, say what the student's program *is*; the rest is skipped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Cell", "NotebookError", "select_cells"]

SETUP, SOLUTION, ADDED = "setup", "solution", "added"
SKIPPED_TAGS = frozenset({"check", "demo"})


class NotebookError(ValueError):
    """The data is not a notebook of format 4; the message says what was found and expected."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One code cell that is to be run.

    ``index`` counts the code cells of the notebook from 1, which is the ``In [..]`` number after
    "Restart and Run All". ``kind`` is ``setup``, ``solution`` or ``added`` (by the student).
    """

    index: int
    id: str
    source: str
    kind: str

    @property
    def name(self) -> str:
        """File name under which the cell is compiled, such as ``cell 12``."""
        return f"cell {self.index}"


def select_cells(
    notebook: Mapping[str, object], skeleton: Sequence[Cell] | None = None
) -> list[Cell]:
    """Return the cells to run, in the order of the notebook.

    ``notebook`` is the parsed JSON of an ``.ipynb``. ``skeleton`` holds trusted copies of the
    set-up cells: each takes the place of the notebook's cell with the same id, and the ones that
    the notebook lacks run first. Without it the notebook's own set-up cells are used. Raises
    NotebookError if the data is not a notebook.
    """
    trusted = {cell.id: cell for cell in skeleton} if skeleton is not None else None
    chosen: list[Cell] = []
    index = 0
    for raw in _cells(notebook):
        if raw.get("cell_type") != "code":
            continue
        index += 1
        cell = _classify(index, raw)
        if cell is None:
            continue
        if trusted is not None and (cell.id in trusted or cell.kind == SETUP):
            ours = trusted.pop(cell.id, None)
            if ours is None:  # a second copy of a set-up cell, or a forged one
                continue
            cell = Cell(index, ours.id, ours.source, SETUP)
        chosen.append(cell)
    missing = [Cell(0, cell.id, cell.source, SETUP) for cell in (trusted or {}).values()]
    return missing + chosen


def _cells(notebook: Mapping[str, object]) -> list[Mapping[str, object]]:
    if not isinstance(notebook, Mapping):
        raise NotebookError(f"not a notebook: got {type(notebook).__name__}, expected an object")
    cells = notebook.get("cells")
    if not isinstance(cells, list):
        found = f"nbformat {notebook['nbformat']!r:.20}" if "nbformat" in notebook else "no cells"
        raise NotebookError(
            f"not a notebook of format 4: got {found}; open it in Jupyter and save it again"
        )
    for position, raw in enumerate(cells, 1):
        if not isinstance(raw, Mapping):
            raise NotebookError(
                f"entry {position} of the notebook is {type(raw).__name__}, no cell"
            )
    return cells


def _classify(index: int, raw: Mapping[str, object]) -> Cell | None:
    """Return the cell with its kind, or None if it is not to be run."""
    metadata = _mapping(raw.get("metadata"))
    nbgrader = _mapping(metadata.get("nbgrader"))
    tags = metadata.get("tags")
    labels = {tag for tag in tags if isinstance(tag, str)} if isinstance(tags, list) else set()
    identity = nbgrader.get("grade_id") or raw.get("id") or metadata.get("id") or ""
    cell = Cell(index, str(identity)[:100], _source(index, raw), ADDED)
    if nbgrader.get("solution") is True or cell.id.startswith("solution-"):
        return Cell(cell.index, cell.id, cell.source, SOLUTION)
    if nbgrader.get("grade") is True or cell.id.startswith("score-") or labels & SKIPPED_TAGS:
        return None
    if "setup" in labels:
        return Cell(cell.index, cell.id, cell.source, SETUP)
    return cell


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _source(index: int, raw: Mapping[str, object]) -> str:
    source = raw.get("source", "")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        return "".join(source)
    if isinstance(source, str):
        return source
    raise NotebookError(f"code cell {index}: source is {type(source).__name__}, expected text")
