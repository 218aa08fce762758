"""Derive the notebooks of a homework from its text and the engine. Layer: authoring.

``course/<hw>.md`` (MyST) tells the story and has one slot per task; the reference body is taken
from the engine. The result is ``solutions/<hw>/``, from which nbgrader's own generator makes
``assignments/<hw>/``. Both are committed; nothing in them depends on the machine or the day.
"""

from __future__ import annotations

import difflib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbgrader.converters import GenerateAssignment
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config

from autograder.authoring.body import bound_names, find, free_names
from autograder.authoring.manifest import Homework, Task, load_homework

__all__ = ["BuildError", "build", "derive", "solved_notebook"]

BEGIN, END = "    ### BEGIN SOLUTION\n", "    ### END SOLUTION"
IGNORED = frozenset({"__pycache__", ".ipynb_checkpoints", ".pytest_cache"})
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
}
SCORE = """\
# Locked. After grading, your points for this part (at most {points:g}) stand here.
import os

assert os.environ.get("NBGRADER_EXECUTION") != "autograde", "points are given by kit grade only"
0.0"""


class BuildError(ValueError):
    """The homework cannot be built; the message names the file, what is wrong and what to do."""


def build(root: Path, homework_id: str, check: bool = False) -> tuple[str, ...]:
    """Write the derived folders of a homework, or with ``check`` only compare them.

    Returns one unified diff per file that differs from what is on disk (empty: all up to date).
    Raises BuildError if the text, the manifest or the engine are at odds, or if a folder holds a
    file that is not derived: nbgrader would release it.
    """
    derived = derive(root, load_homework(root, homework_id))
    diffs: list[str] = []
    for path in sorted(set(_on_disk(root, homework_id)) - derived.keys()):
        problem = f"{path}: not derived, and nbgrader would release it; delete it"
        if not check:
            raise BuildError(problem)
        diffs.append(f"{problem}\n")
    for path, content in sorted(derived.items()):
        file = root / path
        old = file.read_bytes() if file.is_file() else b""
        if old == content:
            continue
        diffs.append(_diff(path, old, content))
        if not check:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    return tuple(diffs)


def derive(root: Path, homework: Homework) -> dict[str, bytes]:
    """Contents of both folders by path below ``root``. Raises BuildError."""
    notebook = nbformat.writes(solved_notebook(root, homework)).rstrip("\n") + "\n"
    with tempfile.TemporaryDirectory() as name:
        course = Path(name)
        folder = course / "solutions" / homework.id
        folder.mkdir(parents=True)
        (folder / f"{homework.id}.ipynb").write_text(notebook, encoding="utf-8")
        for test in sorted((root / "course" / "public" / homework.id).glob("*.py")):
            (folder / test.name).write_bytes(test.read_bytes())
        _generate(course, homework.id)
        return {path: (course / path).read_bytes() for path in _on_disk(course, homework.id)}


def solved_notebook(root: Path, homework: Homework) -> nbformat.NotebookNode:
    """The homework text with every slot filled by the reference body. Raises BuildError."""
    source = root / "course" / f"{homework.id}.md"
    if not source.is_file():
        raise BuildError(f"{source}: no such file; every homework has a text")
    text = jupytext.reads(source.read_text(encoding="utf-8"), fmt="md:myst")
    writer = _Writer(root, homework, source)
    cells = [cell for raw in text.cells for cell in writer.cells(raw)]
    if missing := [task.name for task in homework.tasks if task.name not in writer.written]:
        raise BuildError(f"{source}: no slot for task {missing[0]!r} of the manifest; add one")
    notebook: nbformat.NotebookNode = nbformat.v4.new_notebook(cells=cells, metadata=METADATA)
    nbformat.validate(notebook)
    return notebook


@dataclass(slots=True)
class _Writer:
    """Turns the cells of the text into cells of the notebook, one after the other."""

    root: Path
    homework: Homework
    file: Path
    written: set[str] = field(default_factory=set)  # tasks that had their slot
    known: set[str] = field(default_factory=set)  # names that set-up and solution cells bind
    counts: dict[str, int] = field(default_factory=dict)

    def cells(self, raw: nbformat.NotebookNode) -> Iterator[nbformat.NotebookNode]:
        """The notebook cells for one cell of the text."""
        tags = list(raw.metadata.get("tags", []))
        if raw.cell_type == "markdown":
            yield nbformat.v4.new_markdown_cell(raw.source, id=self._count("text"))
        elif "task" in raw.metadata:
            yield from self._task(str(raw.metadata["task"]), raw.source)
        elif tags == ["setup"]:
            self.known |= bound_names(raw.source)
            yield _code(self._count("setup"), raw.source, tags, locked=True)
        elif tags == ["demo"]:
            yield _code(self._count("demo"), raw.source, tags)
        else:
            raise BuildError(
                f"{self.file}: code cell {raw.source[:40]!r} has tags {tags}; expected "
                "[setup], [demo] or a task, so that the grader knows what to do with it"
            )

    def _task(self, name: str, source: str) -> Iterator[nbformat.NotebookNode]:
        task = self.homework.task(name)
        if name in self.written or source.strip():
            raise BuildError(f"{self.file}: task {name!r}: expected one empty slot")
        self.written.add(name)
        if task.function is not None:
            yield _code(f"solution-{name}", self._solution(task), solution=True)
        yield _code(f"check-{name}", f'check("{name}")', ["check"])
        points = int(task.points) if task.points == int(task.points) else task.points
        score = SCORE.format(points=points)
        yield _code(f"score-{name}", score, locked=True, grade=True, points=points)

    def _solution(self, task: Task) -> str:
        function = find(self.root, str(task.function))
        if unknown := free_names(function.source) - self.known - {function.name}:
            raise BuildError(
                f"{self.file}: task {task.name!r} uses {', '.join(sorted(unknown))}, which no "
                "set-up cell above it imports; import it there"
            )
        self.known.add(function.name)
        return function.head + BEGIN + function.body + END

    def _count(self, kind: str) -> str:
        """Cell id: ``setup``, ``setup-2``, ..."""
        self.counts[kind] = number = self.counts.get(kind, 0) + 1
        return kind if number == 1 else f"{kind}-{number}"


def _code(
    identity: str, source: str, tags: list[str] | None = None, **nbgrader: Any
) -> nbformat.NotebookNode:
    """A code cell; with keywords it is one that nbgrader knows."""
    metadata: dict[str, Any] = {"tags": tags} if tags else {}
    if nbgrader:
        plain = {"grade": False, "locked": False, "solution": False, "task": False}
        metadata["nbgrader"] = {"grade_id": identity, "schema_version": 3, **plain, **nbgrader}
    cell: nbformat.NotebookNode = nbformat.v4.new_code_cell(source, id=identity, metadata=metadata)
    return cell


def _generate(course: Path, homework_id: str) -> None:
    """Run nbgrader's generator without a database, as ``generate_assignment --no-db --force``."""
    coursedir = CourseDirectory(
        root=str(course),
        source_directory="solutions",
        release_directory="assignments",
        assignment_id=homework_id,
    )
    config = Config(SaveCells={"enabled": False}, GenerateAssignment={"no_database": True})
    try:
        GenerateAssignment(coursedir=coursedir, config=config).start()
    except NbGraderException as error:
        raise BuildError(f"nbgrader cannot generate {homework_id}: {error}") from error


def _on_disk(root: Path, homework_id: str) -> list[str]:
    """Files of both derived folders, as paths below ``root``; caches do not count."""
    return [
        path.relative_to(root).as_posix()
        for folder in ("solutions", "assignments")
        for path in sorted((root / folder / homework_id).rglob("*"))
        if not path.is_dir() and not IGNORED & set(path.parts)
    ]


def _diff(path: str, old: bytes, new: bytes) -> str:
    before, after = (
        content.decode("utf-8", "replace").splitlines(keepends=True) for content in (old, new)
    )
    return "".join(difflib.unified_diff(before, after, f"{path} (on disk)", f"{path} (derived)"))
