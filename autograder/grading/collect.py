"""Bring what a class handed in into ``submitted/``: one notebook per student. Layer: grading.

PATH is a folder or a zip holding one file or one folder per student. Nothing in it is trusted:
names only ever become canonical student ids, links and special files are refused, archives are read
entry by entry in memory and never unpacked. What cannot be placed is said, never guessed.
"""

from __future__ import annotations

import hashlib
import re
import time
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from autograder.grading.course import Course, write_atomically
from autograder.grading.inbox import Item, read_inbox
from autograder.intake import IntakeError, check_size, parse_cells

__all__ = ["Collection", "Placed", "Unplaced", "canonical_id", "collect"]

_EDITOR_FOLDERS = {".ipynb_checkpoints", "__MACOSX", "__pycache__"}
_LMS_SUFFIX = re.compile(r"(_\d+_assignsubmission_file_?.*|(_late)?_\d{3,}_\d{3,}.*)$", re.I)
_COPY_SUFFIX = re.compile(r"([ _-]*\(\d+\)|[ _-]+copy\d*)$", re.I)
_MAX_ID_CHARS = 64


@dataclass(frozen=True, slots=True)
class Placed:
    """One notebook that was taken. ``change`` is "new", "replaced" or "unchanged"."""

    student: str
    source: str
    change: str


@dataclass(frozen=True, slots=True)
class Unplaced:
    """Something that was left where it was, and why."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class Collection:
    """The result of one ``kit collect``."""

    placed: tuple[Placed, ...]
    unplaced: tuple[Unplaced, ...]
    ignored: tuple[str, ...]  # files beside a notebook: never graded, never copied


@dataclass(frozen=True, slots=True)
class _Choice:
    """The notebook chosen for one source name, or the reason why there is none."""

    name: str
    item: Item | None
    data: bytes
    reason: str


def canonical_id(name: str) -> str:
    """A student id of letters, digits and ``_.@-`` only; nbgrader silently skips other names.

    Accents are dropped ("Zoë O'Brien" is Zoe_O_Brien); a name without any such letter gets a
    stable id made from its hash.
    """
    folded = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9_.@-]+", "_", folded).strip("._-")[:_MAX_ID_CHARS]
    if re.search(r"[A-Za-z0-9]", plain):
        return plain
    return f"student-{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:8]}"


def collect(
    course: Course,
    homework_id: str,
    path: Path,
    on_replace: Callable[[str], None] | None = None,
) -> Collection:
    """Place every notebook found under ``path``; raises CourseError if it cannot be read at all.

    ``on_replace`` is called with the student before a different notebook takes an old one's place:
    a mark must not outlive the submission it was given for.
    """
    groups, unplaced = _by_student(read_inbox(path), homework_id)
    ignored: list[str] = []
    choices: dict[str, list[_Choice]] = {}
    for name, items in sorted(groups.items()):
        choice = _choose(name, items, homework_id)
        choices.setdefault(canonical_id(name).lower(), []).append(choice)
        ignored += [str(i.path) for i in items if choice.item is not None and i is not choice.item]
    placed = []
    for same in choices.values():
        good = [choice for choice in same if choice.item is not None]
        unplaced += [Unplaced(c.name, c.reason) for c in same if c.item is None]
        if len(good) > 1:
            names = ", ".join(repr(choice.name) for choice in good)
            reason = f"the same student id {canonical_id(good[0].name)!r} as {names}; rename one"
            unplaced += [Unplaced(str(c.item.path), reason) for c in good if c.item]
        elif good:
            placed.append(_place(course, homework_id, good[0], on_replace))
    placed.sort(key=lambda entry: entry.student)
    return Collection(tuple(placed), tuple(unplaced), tuple(ignored))


def _by_student(
    items: Sequence[Item], homework_id: str
) -> tuple[dict[str, list[Item]], list[Unplaced]]:
    """Group by the name that stands for a student: the top folder, or the file's own name."""
    groups: dict[str, list[Item]] = {}
    unplaced = []
    for item in items:
        if _EDITOR_FOLDERS & set(item.path.parts) or item.path.name.startswith("."):
            continue
        name = _student_name(item, homework_id)
        if name:
            groups.setdefault(name, []).append(item)
        else:
            reason = item.problem or "the name does not say whose it is; rename it to the student"
            unplaced.append(Unplaced(str(item.path), reason))
    return groups, unplaced


def _student_name(item: Item, homework_id: str) -> str:
    if len(item.path.parts) > 1:
        return _LMS_SUFFIX.sub("", item.path.parts[0]).strip()
    stem = _COPY_SUFFIX.sub("", item.path.name.partition(".ipynb")[0])
    stem = _LMS_SUFFIX.sub("", stem) if item.path.suffix == ".ipynb" else item.path.stem
    return re.sub(rf"[ _.-]*{re.escape(homework_id)}[ _.-]*", "", stem, flags=re.I).strip()


def _choose(name: str, items: Sequence[Item], homework_id: str) -> _Choice:
    """The one notebook among a student's files: by name, then by what is inside."""
    found: dict[int, list[tuple[Item, bytes]]] = {}
    problems = []
    for item in items:
        try:
            data = check_size(item.read(), item.path.name)
        except IntakeError as error:
            problems.append(error.reason)
            continue
        rank = _rank(item, data, homework_id)
        if rank is not None:
            found.setdefault(rank, []).append((item, data))
    if not found:
        reason = "; ".join(dict.fromkeys(problems)) or "no notebook (.ipynb) among its files"
        return _Choice(name, None, b"", reason)
    best = found[min(found)]
    if len({data for _, data in best}) > 1:
        names = ", ".join(sorted(str(item.path) for item, _ in best))
        return _Choice(name, None, b"", f"several notebooks ({names}); keep one")
    return _Choice(name, best[0][0], best[0][1], "")


def _rank(item: Item, data: bytes, homework_id: str) -> int | None:
    """0: the expected name; 1: our cells inside; 2: a .ipynb; 3: a notebook by another name."""
    is_notebook_name = item.path.suffix == ".ipynb"
    if item.path.name == f"{homework_id}.ipynb":
        return 0
    try:
        cells = parse_cells(data)
    except IntakeError:
        return 2 if is_notebook_name else None
    if any(cell.id.startswith("solution-") for cell in cells):
        return 1 if is_notebook_name else 3
    return 2 if is_notebook_name else None


def _place(
    course: Course, homework_id: str, choice: _Choice, on_replace: Callable[[str], None] | None
) -> Placed:
    assert choice.item is not None
    student = canonical_id(choice.name)
    target = course.submission(homework_id, student)
    source = str(choice.item.path)
    before = target.read_bytes() if target.is_file() and not target.is_symlink() else None
    if before == choice.data:
        return Placed(student, source, "unchanged")
    if before is not None and on_replace is not None:
        on_replace(student)
    archive = course.private(course.kit / "submissions" / homework_id / student)
    digest = hashlib.sha256(choice.data).hexdigest()
    write_atomically(archive / f"{digest[:24]}.ipynb", choice.data)  # every version ever handed in
    course.private(target.parent)
    stamp = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(choice.item.modified_s))
    write_atomically(target.parent / "timestamp.txt", stamp.encode())
    write_atomically(target, choice.data)
    return Placed(student, source, "new" if before is None else "replaced")
