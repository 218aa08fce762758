"""Compose a class of N students and write what they hand in. Deterministic. Layer: demonstration.

Of every 36 notebooks, 20 are right but unusual or untidy, 4 partly done, 2 the stub, 4 wrong
solutions of the bank, 6 hostile; and somebody hands in a link.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path

from autograder.authoring.manifest import Homework
from autograder.demo.hostile import shown_attacks
from autograder.demo.untidy import untidy_habits
from autograder.mutants.bank import Variant, load_bank, replace_cells

__all__ = ["Pupil", "hand_in", "simulate"]

# one letter a student
_KINDS = {"F": "full", "P": "partial", "S": "stub", "W": "wrong", "H": "hostile"}
_PATTERN = "FWFHFPFFFHFWFSFFHFPFWFHFPFFHFPFSHWFF"
# fmt: off
_NAMES = (
    "ada", "ben", "cleo", "dan", "eli", "fay", "gus", "hana", "ida", "jon", "kim", "leo", "mia",
    "ned", "olga", "pat", "qi", "rosa", "sam", "tess", "uma", "vic", "wen", "xena", "yuri",
    "zoe", "amir", "bela", "chen", "dora", "emil", "finn", "gita", "hugo", "inga", "jude",
)
# fmt: on


@dataclass(frozen=True, slots=True)
class Pupil:
    """One simulated student: ``kind`` (full, partial, stub, wrong, hostile), story, notebook."""

    student: str
    kind: str
    story: str
    notebook: bytes


_Recipe = tuple[str, Callable[[], bytes]]  # the story, and how such a notebook comes about


def simulate(root: Path, homework: Homework, count: int) -> list[Pupil]:
    """The class: ``count`` students, the same ones every time; raises BankError without a bank."""
    solved = (root / "solutions" / homework.id / f"{homework.id}.ipynb").read_bytes()
    stub = (root / "assignments" / homework.id / f"{homework.id}.ipynb").read_bytes()
    bank = load_bank(homework.id)
    recipes: dict[str, Iterator[_Recipe]] = {
        "F": cycle(_full(homework.id, bank, solved)),
        "P": cycle(_partly(homework, solved, stub)),
        "S": cycle([("handed in untouched", partial(bytes, stub))]),
        "W": cycle(_wrong(bank, solved)),
        "H": cycle(_hostile(root, stub)),
    }
    pupils = []
    for number, letter in enumerate(islice(cycle(_PATTERN), count)):
        story, make = next(recipes[letter])
        name = _NAMES[number % len(_NAMES)]
        student = name if number < len(_NAMES) else f"{name}{number // len(_NAMES) + 1}"
        pupils.append(Pupil(student, _KINDS[letter], story, _signed(make(), student)))
    return pupils


def _signed(notebook: bytes, student: str) -> bytes:
    """The notebook with the student's name in a cell: no two hand in the same bytes."""
    content = json.loads(notebook)
    cell = {"cell_type": "markdown", "metadata": {}, "source": f"Homework of {student.title()}"}
    if "id" in content["cells"][0]:
        cell["id"] = "my-name"
    content["cells"].insert(1, cell)
    return json.dumps(content).encode()


def _full(homework_id: str, bank: Sequence[Variant], solved: bytes) -> Sequence[_Recipe]:
    """Unusual solutions and untidy notebooks by turns."""
    right = [(v.title, partial(v.notebook, solved)) for v in bank if v.is_right]
    untidy = [(u.title, partial(u.edit, solved)) for u in untidy_habits(homework_id)]
    return [r for pair in zip(cycle(right), untidy) for r in pair] + right[len(untidy) :]


def _wrong(bank: Sequence[Variant], solved: bytes) -> Sequence[_Recipe]:
    """First one of each task, the gradient first, then the second ones, and so on."""
    rounds: Counter[str] = Counter()
    keyed = []
    for variant in bank:
        if not variant.is_right:
            rounds[variant.task] += 1
            keyed.append((rounds[variant.task], variant.task != "gradient", variant.id, variant))
    ordered = [entry[-1] for entry in sorted(keyed, key=lambda entry: entry[:3])]
    return [(f"{v.task}: {v.title}", partial(v.notebook, solved)) for v in ordered]


def _partly(homework: Homework, solved: bytes, stub: bytes) -> Sequence[_Recipe]:
    ids = [f"solution-{task.name}" for task in homework.tasks if task.function is not None]
    sources = {cell["id"]: cell["source"] for cell in json.loads(solved)["cells"]}
    recipes: list[_Recipe] = []
    for done in (5, 8, 10, 2):
        cells = {name: sources[name] for name in ids[:done]}
        make = partial(replace_cells, stub, cells, before=ids[0])
        recipes.append((f"{done} of {len(ids)} tasks done", make))
    return recipes


def _hostile(root: Path, stub: bytes) -> Sequence[_Recipe]:
    places = {"ROOT": str(root), "PRIVATE": str(root / ".demo")}
    return [(h.title, partial(h.notebook, stub, stub, places)) for h in shown_attacks(root)]


def hand_in(pupils: Sequence[Pupil], homework: Homework, inbox: Path) -> None:
    """Write the class into ``inbox`` as it comes from a learning platform: every name differs."""
    for number, pupil in enumerate(pupils):
        places = (
            inbox / f"{pupil.student}.ipynb",
            inbox / f"{pupil.student}_{homework.id}.ipynb",
            inbox / pupil.student / f"{homework.id}.ipynb",
            inbox / pupil.student / "final version (2).ipynb",
            inbox / f"{pupil.student}_{40_000 + number}_assignsubmission_file_" / "Untitled3.ipynb",
            inbox / pupil.student / "homework" / "hw.ipynb.txt",
        )
        path = places[number % len(places)]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pupil.notebook)
    link = inbox / "mallory.ipynb"
    link.unlink(missing_ok=True)
    link.symlink_to("/etc/passwd")
