"""Machine code kept on disk between processes, without trusting anybody. Layer: backends.

Code that is loaded runs with all rights of the user, so it is kept in a folder that belongs to the
user and that nobody else can enter. If it is not so, nothing is read or written: kernels are then
compiled anew in each process. Each file begins with a digest of its name and content, so that a
file that was cut off or changed is compiled again.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

__all__ = ["digest", "find", "keep", "private_folder"]

_DIGEST_BYTES = hashlib.sha256().digest_size


def digest(*parts: str) -> str:
    """Name of the machine code that is made of these texts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def private_folder(folder: Path | None = None) -> Path | None:
    """The folder of kernels, made if need be; None if it is not the user's alone.

    ``folder``: by default tinyflow/kernels in the user's cache (XDG base directory specification).
    """
    if folder is None:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        folder = Path(base, "tinyflow", "kernels")
    try:
        folder.mkdir(0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    return folder if stat.S_ISDIR(found.st_mode) and _is_mine(found, 0o077) else None


def find(name: str, folder: Path | None = None) -> bytes | None:
    """The code kept under ``name``; None if there is none, or none that can be trusted."""
    place = private_folder(folder)
    if place is None:
        return None
    try:
        handle = os.open(place / name, os.O_RDONLY | os.O_NOFOLLOW)
        with open(handle, "rb") as file:
            trusted = _is_mine(os.fstat(handle), 0o022)
            content = file.read() if trusted else b""
    except OSError:
        return None
    code = content[_DIGEST_BYTES:]
    return code if content and content[:_DIGEST_BYTES] == _seal(name, code) else None


def keep(name: str, code: bytes, folder: Path | None = None) -> None:
    """Keep ``code`` under ``name`` if there is a safe place; written elsewhere, then renamed."""
    place = private_folder(folder)
    if place is None:
        return
    try:
        handle, temporary = tempfile.mkstemp(dir=place)  # readable by the user alone
        with open(handle, "wb") as file:
            file.write(_seal(name, code) + code)
        os.replace(temporary, place / name)
    except OSError:
        return  # a full disk costs time, nothing else


def _is_mine(found: os.stat_result, forbidden: int) -> bool:
    mine = hasattr(os, "geteuid") and found.st_uid == os.geteuid()
    return mine and not found.st_mode & forbidden


def _seal(name: str, code: bytes) -> bytes:
    return hashlib.sha256(name.encode() + code).digest()
