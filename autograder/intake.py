"""Is this file a notebook we can grade? A clear answer if not. Layer: grading, before the sandbox.

Everything here runs in a trusted process, so every step is bounded: the file is opened without
following links or blocking, its size is capped before it is read, and its JSON is only ever looked
at for cell sources, as text. Student code is never run here.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["MAX_BYTES", "IntakeError", "SubmittedCell", "check", "parse_cells", "take"]

MAX_BYTES = 5 * 1024 * 1024
MAX_CELLS = 5_000


class IntakeError(ValueError):
    """The file cannot be graded: ``reason`` names the fault and what to do, without the path."""

    def __init__(self, name: str, reason: str, *, ours: bool = False) -> None:
        super().__init__(f"{name}: {reason}")
        self.reason = reason
        self.ours = ours  # True: the fault is this machine's, so the mark must be held, not zero


@dataclass(frozen=True, slots=True)
class SubmittedCell:
    """One cell as the student left it: position, grade id (or ''), 'code' or other, source text."""

    index: int
    id: str
    kind: str
    source: str


def take(path: Path) -> bytes:
    """Return the bytes of one regular, unlinked file of at most MAX_BYTES; raises IntakeError."""
    name = path.name
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise IntakeError(name, "no such file; submit the notebook again") from error
    except OSError as error:
        if path.is_symlink():
            raise IntakeError(name, "is a link; submit the notebook itself") from error
        if path.exists() and not path.is_file():
            raise IntakeError(name, "is not a regular file; submit the notebook") from error
        raise IntakeError(name, f"cannot be opened here ({error.strerror})", ours=True) from error
    try:
        return _read(fd, name)
    except OSError as error:
        raise IntakeError(name, f"cannot be read here ({error.strerror})", ours=True) from error
    finally:
        os.close(fd)


def _read(fd: int, name: str) -> bytes:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise IntakeError(name, "is not a regular file; submit the notebook")
    if status.st_nlink != 1:
        raise IntakeError(name, f"has {status.st_nlink} hard links, expected 1; submit a copy")
    chunks, room = [], MAX_BYTES + 1
    while room > 0 and (chunk := os.read(fd, min(room, 1 << 20))):
        chunks.append(chunk)
        room -= len(chunk)
    return check_size(b"".join(chunks), name, at_least=status.st_size)


def check_size(data: bytes, name: str, at_least: int = 0) -> bytes:
    """Return ``data`` if it is not empty and not above MAX_BYTES; raises IntakeError."""
    size_bytes = max(len(data), at_least)
    if size_bytes > MAX_BYTES:
        limit = MAX_BYTES // (1024 * 1024)
        raise IntakeError(
            name, f"has {size_bytes} bytes, above {limit} MB; clear the outputs and submit again"
        )
    if not data:
        raise IntakeError(name, "is empty; submit the notebook again")
    return data


def check(data: bytes, name: str = "notebook") -> None:
    """Raise IntakeError unless ``data`` is JSON text with a list of cells."""
    parse_cells(data, name)


def parse_cells(data: bytes, name: str = "notebook") -> tuple[SubmittedCell, ...]:
    """Return the cells of a notebook as plain text; raises IntakeError if it is not one.

    The grade id is nbgrader's (kept by every notebook editor) and else the cell's own id.
    """
    check_size(data, name)
    try:
        raw = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise IntakeError(name, f"is not UTF-8 text (byte {error.start})") from error
    except (ValueError, RecursionError, MemoryError) as error:
        where = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise IntakeError(
            name, f"is not valid JSON{where}; save the notebook again and check that it opens"
        ) from error
    cells = raw.get("cells") if isinstance(raw, dict) else None
    if not isinstance(cells, list):
        raise IntakeError(name, 'is JSON without a list "cells": not a notebook (format 4)')
    if len(cells) > MAX_CELLS:
        raise IntakeError(name, f"has {len(cells)} cells, above {MAX_CELLS}")
    return tuple(_cell(i, cell) for i, cell in enumerate(cells) if isinstance(cell, dict))


def _cell(index: int, raw: dict[str, Any]) -> SubmittedCell:
    metadata = raw.get("metadata")
    marks = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    grade_id = marks.get("grade_id") if isinstance(marks, dict) else None
    cell_id = grade_id if isinstance(grade_id, str) else raw.get("id")
    source = raw.get("source", "")
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    return SubmittedCell(
        index=index,
        id=cell_id if isinstance(cell_id, str) else "",
        kind="code" if raw.get("cell_type") == "code" else "text",
        source=source if isinstance(source, str) else "",
    )
