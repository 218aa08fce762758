"""Submissions that are not files, or whose names and neighbours attack: collected and looked at."""

from __future__ import annotations

import io
import os
import re
import shutil
import socket
import stat
from pathlib import Path

import pytest
from rich.console import Console

from autograder.authoring.manifest import load_homework
from autograder.grading.collect import Collection, collect
from autograder.grading.course import Course
from autograder.grading.marks import mark, uniform_outcome
from autograder.grading.plan import find_submissions
from autograder.outcome import State
from autograder.report.export import marks_csv
from autograder.report.terminal import mark_table, plain
from tests.hostile.pages import assert_harmless, page_of
from tests.hostile.world import HOMEWORK, ROOT, TRAP, TRAPS

STUB = (ROOT / "assignments" / HOMEWORK / f"{HOMEWORK}.ipynb").read_bytes()
NAMES = (
    "\x1b[2J\x1b]0;title\x07eve",
    "<script>alert(1)<",
    '"><img src=x onerror=alert(1)>',
    "=cmd|' !A0",
    "@SUM(1+1)",
    "-2+3",
    "[red]bold[",
    "..",
    "a\nb",
    "\u202egnp.eve",
    "$(touch x)",
    "_reference",
    "{0.__class__}",
    "%s%n",
)


@pytest.fixture
def course(tmp_path: Path) -> Course:
    """A course whose work lies in a folder of its own."""
    work = tmp_path / "work"
    work.mkdir()
    return Course(root=ROOT, work=work)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """Where hostile submissions are handed in; a secret lies beside it."""
    (tmp_path / "secret.ipynb").write_bytes(STUB.replace(b"mul", b"canary"))
    folder = tmp_path / "inbox"
    folder.mkdir()
    (folder / "honest.ipynb").write_bytes(STUB)
    return folder


def collected(course: Course, inbox: Path) -> tuple[Collection, dict[str, bytes]]:
    """What ``collect`` says, and the notebooks that it wrote, by student."""
    found = collect(course, HOMEWORK, inbox)
    files = {}
    for path in course.submitted.rglob("*"):
        assert path.is_dir() or stat.S_ISREG(path.lstat().st_mode), path
        student, *inside = path.relative_to(course.submitted).parts
        assert inside in ([], [HOMEWORK], [HOMEWORK, path.name])
        assert path.is_dir() or path.name in (f"{HOMEWORK}.ipynb", "timestamp.txt")
        if path.suffix == ".ipynb":
            files[student] = path.read_bytes()
    return found, files


def test_what_is_no_file_is_not_collected_and_nobody_waits(
    course: Course, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = inbox.parent / "secret.ipynb"
    (inbox / "link.ipynb").symlink_to(secret)
    (inbox / "folder").symlink_to(inbox.parent)
    (inbox / "loop").symlink_to(inbox)
    os.link(secret, inbox / "hard.ipynb")
    os.mkfifo(inbox / "fifo.ipynb")
    (inbox / "device.ipynb").symlink_to("/dev/zero")
    (inbox / "deep").joinpath(*"abcdefghijkl").mkdir(parents=True)
    monkeypatch.chdir(inbox)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.ipynb")
        found, files = collected(course, inbox)
    assert files == {"honest": STUB}
    refused = {entry.source for entry in found.unplaced}
    assert refused >= {"link", "folder", "loop", "hard", "fifo", "device", "socket"}


def test_what_lies_beside_a_notebook_is_neither_collected_nor_run(
    course: Course, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = inbox / "eve"
    for name in (*TRAPS, "tinyflow/__init__.py", ".git/hooks/post-checkout", "nbgrader_config.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(TRAP)
    (folder / f"{HOMEWORK}.ipynb").write_bytes(STUB)
    monkeypatch.chdir(folder)
    _, files = collected(course, inbox)
    assert files == {"honest": STUB, "eve": STUB}
    assert not list(inbox.rglob("imported"))


def test_names_become_plain_and_what_is_said_about_them_too(course: Course, inbox: Path) -> None:
    for number, name in enumerate(NAMES):
        place = inbox / f"{name}{number}"
        place.mkdir()
        (place / f"{HOMEWORK}.ipynb").write_bytes(STUB)
    found, files = collected(course, inbox)
    assert len(files) == len(NAMES) + 1
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.@-]*|@[A-Za-z0-9_.@-]+", n) for n in files)
    homework = load_homework(ROOT, HOMEWORK)
    outcomes = [uniform_outcome(homework, n, "0" * 64, State.FAILED, "no") for n in sorted(files)]
    marks = {outcome.student: mark(outcome, homework) for outcome in outcomes}
    console = Console(width=200, file=io.StringIO())
    console.print(mark_table(marks), *[plain(entry.source) for entry in found.placed])
    assert "\x1b" not in console.file.getvalue()  # type: ignore[attr-defined]
    assert not re.search(r'(^|,)"?[=+@-]', marks_csv(marks), re.M)
    for result in marks.values():
        assert_harmless(page_of(STUB, result))


@pytest.mark.parametrize("kind", ["link", "fifo", "folder", "device", "hard link", "giant", "text"])
def test_a_collected_file_that_was_replaced_is_refused_and_earns_nothing(
    course: Course, inbox: Path, kind: str
) -> None:
    collected(course, inbox)
    path, secret = course.submission(HOMEWORK, "honest"), inbox.parent / "secret.ipynb"
    path.unlink()
    {
        "link": lambda: path.symlink_to(secret),
        "fifo": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "device": lambda: path.symlink_to("/dev/zero"),
        "hard link": lambda: os.link(secret, path),
        "giant": lambda: shutil.copyfile(secret, path) and os.truncate(path, 1 << 40),
        "text": lambda: path.write_text("[" * 10**6),
    }[kind]()
    (submission,) = find_submissions(course, HOMEWORK)
    assert submission.problem and not submission.ours
    assert "canary" not in submission.problem and str(inbox.parent) not in submission.problem
