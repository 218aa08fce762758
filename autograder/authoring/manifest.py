"""The list of homeworks, tasks and points. Layer: authoring; imports nothing of the engine.

``course/manifest.toml`` is the one place where weights live. One function = one task = one
solution cell + one locked score cell; the integration bucket has a score cell of its own.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

__all__ = [
    "INTEGRATION",
    "Homework",
    "ManifestError",
    "Task",
    "load_homework",
    "load_manifest",
    "withheld_functions",
]

INTEGRATION = "integration"


class ManifestError(ValueError):
    """The manifest is unreadable or contradicts itself; the message names file and entry."""


@dataclass(frozen=True, slots=True)
class Task:
    """One graded function "module:name"; ``buckets`` maps an idea to its points."""

    name: str
    title: str
    function: str | None  # None for the integration score, which has no solution cell
    buckets: Mapping[str, float]

    @property
    def points(self) -> float:
        """Points of the task: the sum of its buckets."""
        return sum(self.buckets.values())

    @property
    def symbol(self) -> str:
        """Name of the function in its module and in the notebook."""
        assert self.function is not None, f"task {self.name!r} has no function"
        return self.function.partition(":")[2]


@dataclass(frozen=True, slots=True)
class Homework:
    """One homework: its id, title and tasks, the integration score last."""

    id: str
    title: str
    order: int  # homeworks are released in this order; later bodies are stripped too
    tasks: tuple[Task, ...]
    void: frozenset[str] = frozenset()  # hidden tests that no longer count, by name
    closes: datetime | None = None  # accepts work until then; None: until someone says otherwise

    @property
    def points(self) -> float:
        """Points of the whole homework."""
        return sum(task.points for task in self.tasks)

    def task(self, name: str) -> Task:
        """Return the task called ``name``; raises ManifestError if there is none."""
        for task in self.tasks:
            if task.name == name:
                return task
        known = ", ".join(t.name for t in self.tasks)
        raise ManifestError(f"{self.id}: no task {name!r}; known tasks: {known}")


def load_manifest(path: Path) -> dict[str, Homework]:
    """Read ``manifest.toml``; raises ManifestError naming the file, what was got and expected."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ManifestError(f"{path}: no such file; run inside the course folder") from error
    except tomllib.TOMLDecodeError as error:
        raise ManifestError(f"{path}: not valid TOML: {error}") from error
    planned = raw.pop("planned", {})
    if repeated := planned.keys() & raw.keys():
        raise ManifestError(f"{path}: {sorted(repeated)[0]} is both planned and written; drop one")
    homeworks = [_homework(f"{path}: [{key}", key, table) for key, table in raw.items()]
    return {h.id: h for h in sorted(homeworks, key=lambda h: h.order)}


def load_homework(root: Path, homework_id: str) -> Homework:
    """Read one homework of the course at ``root``; raises ManifestError listing the known ones."""
    manifest = load_manifest(root / "course" / "manifest.toml")
    if homework_id not in manifest:
        raise ManifestError(f"no homework {homework_id!r}; known: {', '.join(manifest)}")
    return manifest[homework_id]


def withheld_functions(root: Path, homework: Homework) -> tuple[str, ...]:
    """Functions "module:name" whose bodies a release of ``homework`` must not contain.

    They are the tasks of this homework and of all later ones, planned ones included. A name
    "module:*" stands for a whole module.
    """
    path = root / "course" / "manifest.toml"
    later = [hw for hw in load_manifest(path).values() if hw.order >= homework.order]
    tasks = [task.function for hw in later for task in hw.tasks if task.function is not None]
    planned = tomllib.loads(path.read_text(encoding="utf-8")).get("planned", {})
    for key, table in planned.items():
        try:
            if table["order"] >= homework.order:
                tasks += [str(name) for name in table["functions"]]
        except KeyError as error:
            raise ManifestError(f"{path}: [planned.{key}] lacks {error}") from error
    return tuple(dict.fromkeys(tasks))


def _homework(where: str, key: str, table: Mapping[str, Any]) -> Homework:
    """``where`` opens the messages: file, bracket and key, so that a task can add its own."""
    try:
        tasks = [_task(f"{where}.tasks.{name}]", name, t) for name, t in table["tasks"].items()]
        whole = _buckets(f"{where}]", table[INTEGRATION])
        tasks.append(Task(INTEGRATION, "The whole", None, whole))
        void = frozenset(str(name) for name in table.get("void", ()))
        closes = table.get("closes")
        if closes is not None and not (isinstance(closes, datetime) and closes.tzinfo):
            raise ManifestError(
                f"{where}] closes = {closes!r}; expected a date, a time and an offset, "
                "such as 2026-11-01T23:59:00Z"
            )
        return Homework(key, table["title"], int(table["order"]), tuple(tasks), void, closes)
    except KeyError as error:
        raise ManifestError(f"{where}] lacks {error}") from error


def _task(where: str, name: str, table: Mapping[str, Any]) -> Task:
    function = str(table["function"])
    module, _, symbol = function.partition(":")
    if not (module and symbol.isidentifier()):
        raise ManifestError(f"{where} function {function!r}: expected 'module:name'")
    buckets = _buckets(where, table)
    task = Task(name, str(table.get("title", name)), function, buckets)
    if "points" in table and abs(task.points - table["points"]) > 1e-9:
        said = f"{where} points = {table['points']} but its buckets add up to {task.points}"
        raise ManifestError(f"{said}; make them equal")
    return task


def _buckets(where: str, table: Mapping[str, Any]) -> dict[str, float]:
    buckets = {name: float(points) for name, points in table["buckets"].items()}
    if not buckets or min(buckets.values()) <= 0:
        raise ManifestError(f"{where} buckets {buckets}: expected positive points each")
    return buckets
