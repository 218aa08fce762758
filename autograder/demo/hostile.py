"""Read the corpus of hostile notebooks and choose some to show. Layer: demonstration.

A file ``tests/hostile/notebooks/<group>/<name>.py`` is one notebook in the form of the bank. Its
block says what it tries (``title``), which tasks it answers rightly (``has``), which of these it
ruins itself (``spoils``), and with ``[cell.<id>]`` how a cell of the notebook file is forged. Its
first code, and cells of unknown id, stand at the end of the notebook.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograder.mutants.bank import BankError, read_cells, replace_cells

__all__ = ["CORPUS", "Hostile", "load_corpus", "shown_attacks"]

CORPUS = Path("tests", "hostile", "notebooks")
_LAST = "score-integration"
_SHOWN = {
    "objects that equal everything": ("patches/always_equal",),
    "reads hidden tests, gradebook, other submissions and /proc": (
        "reading/tests",
        "reading/gradebook",
        "reading/proc",
    ),
    "kills the judge, crashes its process": (
        "judge/kills_the_judge",
        "exits/strange_exceptions",
        "exits/segfault",
    ),
    "process, network, disk, memory and endless-loop bombs": (
        "bombs/processes",
        "network/sockets",
        "bombs/disk",
        "bombs/memory",
        "time/one_long_instruction",
    ),
    "patches numpy, IPython and pytest; looks for ready answers": (
        "patches/numpy",
        "patches/ipython",
        "reading/ready_answers",
    ),
    "forges scores, points, HTML and terminal output": (
        "metadata/forged_scores",
        "metadata/html",
        "leaks/printed",
    ),
}


@dataclass(frozen=True, slots=True)
class Hostile:
    """One attack: ``cells`` are sources by cell id, ``forged`` what else to set in raw cells.

    ``facts`` is the whole block; tests read from it what must happen.
    """

    id: str
    title: str
    has: tuple[str, ...]
    cells: Mapping[str, str]
    forged: Mapping[str, Mapping[str, Any]]
    facts: Mapping[str, Any]

    def notebook(self, stub: bytes, solved: bytes, places: Mapping[str, str]) -> bytes:
        """The released notebook with right answers for ``has`` and the attack in it.

        ``places`` are paths by name: "@ROOT@" in a source becomes the one called "ROOT".
        """
        answers = {f"solution-{task}" for task in self.has}
        sources = {c["id"]: c["source"] for c in json.loads(solved)["cells"] if c["id"] in answers}
        for cell, source in self.cells.items():
            for name, place in places.items():
                source = source.replace(f"@{name}@", place)
            sources[cell] = source
        notebook = json.loads(replace_cells(stub, sources, before=_LAST))
        for cell in notebook["cells"]:
            cell.update(self.forged.get(cell["id"], {}))
        return json.dumps(notebook).encode()


def load_corpus(folder: Path) -> tuple[Hostile, ...]:
    """All hostile notebooks below ``folder``, by group and name; raises BankError."""
    paths = sorted(folder.glob("*/*.py"))
    if not paths:
        raise BankError(f"{folder}: no hostile notebooks; expected files <group>/<name>.py")
    return tuple(_read(path) for path in paths)


def shown_attacks(root: Path) -> tuple[Hostile, ...]:
    """The attacks of the demonstration, several in one notebook; raises BankError."""
    known = {hostile.id: hostile for hostile in load_corpus(root / CORPUS)}
    return tuple(_joined(title, (known[i] for i in ids)) for title, ids in _SHOWN.items())


def _read(path: Path) -> Hostile:
    facts, first, cells = read_cells(path)
    if "title" not in facts:
        raise BankError(f"{path}: the block needs a title that says what the notebook tries")
    name = f"{path.parent.name}/{path.stem}"
    cells = {f"attack-{path.stem}": first, **cells} if first else cells
    has = tuple(facts.get("has", ()))
    return Hostile(name, facts["title"], has, cells, facts.get("cell", {}), facts)


def _joined(title: str, parts: Iterable[Hostile]) -> Hostile:
    """Several attacks as one; none of them answers anything rightly."""
    cells: dict[str, str] = {}
    forged: dict[str, Mapping[str, Any]] = {}
    for part in parts:
        cells |= part.cells
        forged |= part.forged
    return Hostile(title, title, (), cells, forged, {})
