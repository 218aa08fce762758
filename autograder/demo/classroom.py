"""Compose a class of N students and write what they hand in. Deterministic. Layer: demonstration.

Of every 36 notebooks, 20 are right but unusual or untidy, 4 partly done, 2 the stub, 4 wrong
solutions of the bank, 6 hostile; and somebody hands in a link.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from autograder.authoring.manifest import Homework
from autograder.demo.hostile import Hostile, shown_attacks
from autograder.demo.untidy import UNTIDY, Untidy, text_cell
from autograder.mutants.bank import Variant, load_bank

__all__ = ["Pupil", "hand_in", "simulate"]

# one letter a student: full, partial, stub, wrong, hostile
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


@dataclass(frozen=True, slots=True)
class _Recipe:
    """How notebooks of one kind come about."""

    story: str
    make: Callable[[], dict[str, Any]]


def simulate(root: Path, homework: Homework, count: int) -> list[Pupil]:
    """The class: ``count`` students, the same ones every time; raises BankError without a bank."""
    solved = _load(root / "solutions" / homework.id / f"{homework.id}.ipynb")
    stub = _load(root / "assignments" / homework.id / f"{homework.id}.ipynb")
    bank = load_bank(homework.id)
    recipes = {kind: cycle(found) for kind, found in _recipes(homework, solved, stub, bank)}
    attacks = [_Recipe(h.title, partial(_hostile, h, stub, root)) for h in shown_attacks(root)]
    recipes["hostile"] = cycle(attacks)
    kinds = {"F": "full", "P": "partial", "S": "stub", "W": "wrong", "H": "hostile"}
    pupils = []
    for number, letter in enumerate(islice(cycle(_PATTERN), count)):
        kind = kinds[letter]
        recipe = next(recipes[kind])
        name = _NAMES[number % len(_NAMES)]
        student = name if number < len(_NAMES) else f"{name}{number // len(_NAMES) + 1}"
        notebook = recipe.make()
        title = text_cell(f"Homework of {student.title()}", "my-name")
        notebook["cells"].insert(1, title if "id" in notebook["cells"][0] else _without_id(title))
        pupils.append(Pupil(student, kind, recipe.story, json.dumps(notebook).encode()))
    return pupils


def _load(path: Path) -> dict[str, Any]:
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return notebook


def _without_id(cell: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in cell.items() if key != "id"}


def _recipes(
    homework: Homework, solved: dict[str, Any], stub: dict[str, Any], bank: Sequence[Variant]
) -> Iterator[tuple[str, list[_Recipe]]]:
    text = json.dumps(solved).encode()
    right = [_Recipe(v.title, partial(_variant, v, text)) for v in bank if v.is_right]
    untidy = [_Recipe(u.title, partial(_untidied, u, solved)) for u in UNTIDY]
    yield "full", [r for pair in zip(cycle(right), untidy) for r in pair] + right[len(untidy) :]
    wrong = _one_of_each_task([v for v in bank if not v.is_right])
    yield "wrong", [_Recipe(f"{v.task}: {v.title}", partial(_variant, v, text)) for v in wrong]
    yield "stub", [_Recipe("handed in untouched", partial(copy.deepcopy, stub))]
    names = [task.name for task in homework.tasks if task.function is not None]
    yield (
        "partial",
        [
            _Recipe(
                f"{done} of {len(names)} tasks done", partial(_partly, names[:done], solved, stub)
            )
            for done in (5, 8, 10, 2)
        ],
    )


def _one_of_each_task(variants: Sequence[Variant]) -> list[Variant]:
    """The same variants, first one of each task, the gradient first, then the second ones."""
    rounds: dict[str, int] = {}
    keys = {}
    for variant in variants:
        rounds[variant.task] = rounds.get(variant.task, 0) + 1
        keys[variant.id] = (rounds[variant.task], variant.task != "gradient", variant.id)
    return sorted(variants, key=lambda variant: keys[variant.id])


def _variant(variant: Variant, solved: bytes) -> dict[str, Any]:
    notebook: dict[str, Any] = json.loads(variant.notebook(solved))
    return notebook


def _untidied(untidy: Untidy, solved: dict[str, Any]) -> dict[str, Any]:
    notebook = copy.deepcopy(solved)
    untidy.edit(notebook)
    return notebook


def _partly(done: Sequence[str], solved: dict[str, Any], stub: dict[str, Any]) -> dict[str, Any]:
    notebook = copy.deepcopy(stub)
    sources = {cell["id"]: cell["source"] for cell in solved["cells"]}
    for cell in notebook["cells"]:
        if cell["id"].removeprefix("solution-") in done:
            cell["source"] = sources[cell["id"]]
    return notebook


def _hostile(hostile: Hostile, stub: dict[str, Any], root: Path) -> dict[str, Any]:
    text = json.dumps(stub).encode()
    places = {"ROOT": str(root), "PRIVATE": str(root / ".demo")}
    notebook: dict[str, Any] = json.loads(hostile.notebook(text, text, places))
    return notebook


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
