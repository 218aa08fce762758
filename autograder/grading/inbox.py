"""List the files of a folder or a zip without trusting any of them. Layer: grading.

An item is a relative path and a way to read it, bounded; or a path and why it must not be read.
"""

from __future__ import annotations

import os
import stat
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from autograder.grading.course import CourseError
from autograder.intake import MAX_BYTES, IntakeError, take

__all__ = ["Item", "read_inbox"]

_MAX_ENTRIES = 50_000
_MAX_DEPTH = 8
_MAX_TOTAL_BYTES = 4 << 30


@dataclass(frozen=True, slots=True)
class Item:
    """One file of the inbox; ``read`` raises IntakeError when ``problem`` says so, or later."""

    path: PurePosixPath
    modified_s: float
    fetch: Callable[[], bytes]
    problem: str | None = None

    def read(self) -> bytes:
        """The bytes, at most MAX_BYTES; raises IntakeError with a reason for the instructor."""
        if self.problem is not None:
            raise IntakeError(str(self.path), self.problem)
        return self.fetch()


def read_inbox(path: Path) -> list[Item]:
    """Every file under a folder or in a zip, by path; raises CourseError if it is neither."""
    if path.is_dir():
        items = list(_walk(path, PurePosixPath(), 0))
    elif path.is_file():
        items = _zip_items(path)
    else:
        raise CourseError(f"{path}: no such folder or zip file")
    if not items:
        raise CourseError(f"{path}: nothing in it; expected one file or folder per student")
    if len(items) > _MAX_ENTRIES:
        raise CourseError(f"{path}: {len(items)} files, above {_MAX_ENTRIES}; split it")
    return sorted(items, key=lambda item: str(item.path))


def _walk(folder: Path, inside: PurePosixPath, depth: int) -> Iterator[Item]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            where = inside / entry.name
            fetch = partial(take, Path(entry.path))
            modified_s = entry.stat(follow_symlinks=False).st_mtime
            if entry.is_symlink():
                yield Item(where, modified_s, fetch, "is a link; links are not followed")
            elif entry.is_dir(follow_symlinks=False):
                if depth >= _MAX_DEPTH:
                    yield Item(where, modified_s, fetch, f"lies deeper than {_MAX_DEPTH} folders")
                else:
                    yield from _walk(Path(entry.path), where, depth + 1)
            else:
                yield Item(where, modified_s, fetch)


def _zip_items(path: Path) -> list[Item]:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise CourseError(f"{path}: not a zip file ({error}); give a folder or a zip") from error
    entries = [info for info in archive.infolist() if not info.is_dir()]
    total_bytes = sum(min(info.file_size, MAX_BYTES) for info in entries)
    if len(entries) > _MAX_ENTRIES or total_bytes > _MAX_TOTAL_BYTES:
        raise CourseError(
            f"{path}: {len(entries)} files, {total_bytes} bytes unpacked; above {_MAX_ENTRIES} "
            f"files or {_MAX_TOTAL_BYTES} bytes; split it"
        )
    prefix = _class_folder([info.filename for info in entries])
    return [_zip_item(archive, info, prefix) for info in entries]


def _class_folder(names: list[str]) -> str:
    """The one folder that wraps a whole class ("class/alice.ipynb", "class/bob/..."), or ""."""
    tops = {name.split("/", 1)[0] for name in names}
    inner = [name.split("/", 1)[1] for name in names if "/" in name]
    if len(tops) != 1 or len(inner) != len(names):
        return ""
    folders = {name.split("/", 1)[0] for name in inner if "/" in name}
    notebooks = [name for name in inner if "/" not in name and name.endswith(".ipynb")]
    return f"{tops.pop()}/" if len(notebooks) > 1 or (folders and not notebooks) else ""


def _zip_item(archive: zipfile.ZipFile, info: zipfile.ZipInfo, prefix: str) -> Item:
    name = info.filename.removeprefix(prefix)
    path = PurePosixPath(name)
    try:
        modified_s = time.mktime((*info.date_time, 0, 0, -1))
    except (ValueError, OverflowError):
        modified_s = time.time()
    return Item(path, modified_s, partial(_zip_bytes, archive, info), _zip_problem(info, path))


def _zip_problem(info: zipfile.ZipInfo, path: PurePosixPath) -> str | None:
    mode = info.external_attr >> 16
    if path.is_absolute() or ".." in path.parts or "\\" in info.filename or ":" in info.filename:
        return "has an unsafe path; it was not read"
    if mode and not stat.S_ISREG(mode) and stat.S_IFMT(mode):
        return "is a link or special file; it was not read"
    if info.flag_bits & 0x1:
        return "is encrypted; unlock the archive first"
    if info.file_size > MAX_BYTES:
        return f"unpacks to {info.file_size} bytes, above {MAX_BYTES}; it was not read"
    return None


def _zip_bytes(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(info) as handle:
            data = handle.read(MAX_BYTES + 1)  # the declared size may lie
    except (zipfile.BadZipFile, zlib.error, OSError, RuntimeError, NotImplementedError) as error:
        raise IntakeError(info.filename, f"is damaged in the archive ({error})") from error
    if len(data) > MAX_BYTES:
        raise IntakeError(info.filename, f"unpacks to more than {MAX_BYTES} bytes")
    return data
