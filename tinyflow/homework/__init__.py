"""The student's side of a homework: load a notebook as a grader would, and check a task.

Public tests, ``check`` in the notebook and the locked grading worker share this one loader, so a
notebook means the same thing everywhere. It needs the standard library only (``check`` also needs
pytest). Layer: homework, on top of everything.
"""

from tinyflow.homework.cell import Cell, NotebookError, select_cells
from tinyflow.homework.check import check, student
from tinyflow.homework.load import CellFailure, LoadReport, Notebook, load, locate, run_cells
from tinyflow.homework.magic import transform

__all__ = [
    "Cell",
    "CellFailure",
    "LoadReport",
    "Notebook",
    "NotebookError",
    "check",
    "load",
    "locate",
    "run_cells",
    "select_cells",
    "student",
    "transform",
]
