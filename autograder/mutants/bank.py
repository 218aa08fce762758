"""Read the bank of wrong and of right but unusual solutions. Layer: authoring; runs nothing.

A solution is one file ``<homework>/wrong/<id>.py`` or ``<homework>/right/<id>.py``: a TOML block
between ``# /// variant`` and ``# ///``, then the code of the solution cell of its task. A line
``# %% <cell id>`` begins another cell: a known id replaces that cell, a new one is a cell added
before the solution.
"""

from __future__ import annotations

import copy
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["BankError", "Variant", "load_bank", "read_cells", "replace_cells"]

_HEADER = re.compile(r"# /// variant\n((?:# .*\n)+?)# ///\n")
_CELL = re.compile(r"^# %% (\S+)\n", re.M)


class BankError(ValueError):
    """A file of the bank cannot be read; the message names it."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One solution: ``cells`` (source by cell id) take the place of those of the solved notebook.

    ``loses``: buckets of ``task`` that it must lose; a right solution loses none.
    """

    id: str
    title: str
    task: str
    loses: tuple[str, ...]
    cells: Mapping[str, str]

    @property
    def is_right(self) -> bool:
        """Whether it must keep full marks."""
        return not self.loses

    def notebook(self, solved: bytes) -> bytes:
        """The solved notebook with this solution in it."""
        return replace_cells(solved, self.cells, before=f"solution-{self.task}")


def load_bank(homework_id: str, folder: Path | None = None) -> tuple[Variant, ...]:
    """All solutions of a homework, wrong ones first; raises BankError."""
    base = (folder or Path(__file__).parent) / homework_id
    files = [(p, kind) for kind in ("wrong", "right") for p in sorted((base / kind).glob("*.py"))]
    found = [_read(path, kind) for path, kind in files]
    if not found:
        raise BankError(f"{base}: no solutions; expected files wrong/*.py and right/*.py")
    return tuple(found)


def replace_cells(notebook: bytes, cells: Mapping[str, str], *, before: str) -> bytes:
    """``notebook`` with the sources of ``cells``; unknown ids are added before cell ``before``.

    Raises BankError if there is no cell ``before``.
    """
    content = copy.deepcopy(json.loads(notebook))
    known = {cell.get("id"): cell for cell in content["cells"]}
    if before not in known:
        raise BankError(f"the notebook has no cell {before!r}")
    for cell_id, source in cells.items():
        if cell_id in known:
            known[cell_id]["source"] = source
        else:
            content["cells"].insert(content["cells"].index(known[before]), _added(cell_id, source))
    return json.dumps(content).encode()


def _added(cell_id: str, source: str) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": cell_id,
        "metadata": {},
        "outputs": [],
        "source": source,
    }


def read_cells(path: Path) -> tuple[dict[str, Any], str, dict[str, str]]:
    """The facts of a file's TOML block, the code of its first cell, the other cells by id.

    Raises BankError for a file without a good block.
    """
    text = path.read_text(encoding="utf-8")
    header = _HEADER.match(text)
    if header is None:
        raise BankError(f"{path}: expected a block '# /// variant' ... '# ///' at the top")
    try:
        facts = tomllib.loads(re.sub(r"^# ", "", header[1], flags=re.M))
    except tomllib.TOMLDecodeError as error:
        raise BankError(f"{path}: the block needs title and task as TOML: {error}") from error
    first, *rest = _CELL.split(text[header.end() :])
    cells = {name: source.strip("\n") + "\n" for name, source in zip(rest[::2], rest[1::2])}
    return facts, first.strip("\n") + "\n" if first.strip() else "", cells


def _read(path: Path, kind: str) -> Variant:
    facts, first, cells = read_cells(path)
    try:
        title, task = str(facts["title"]), str(facts["task"])
    except KeyError as error:
        raise BankError(f"{path}: the block needs title and task as TOML: {error}") from error
    loses = tuple(str(name) for name in facts.get("loses", ()))
    if bool(loses) != (kind == "wrong"):
        raise BankError(f"{path}: a wrong solution names what it loses, a right one does not")
    if first:
        cells[f"solution-{task}"] = first
    return Variant(path.stem, title, task, loses, cells)
