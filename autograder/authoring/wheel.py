"""The engine that leaves the building, without bodies of this and later homeworks.

Layer: authoring.

The same files serve as a folder (the sandbox worker imports it) and as a wheel (students install
it). Both are made from the same bytes, and those depend on the sources alone.
"""

from __future__ import annotations

import base64
import hashlib
import io
import tomllib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from autograder.authoring.body import BodyError, module_path, remove
from autograder.authoring.manifest import Homework, withheld_functions

__all__ = ["Engine", "build_engine", "build_wheel", "pack", "strip_engine"]

PACKAGE = "tinyflow"
SUFFIXES = frozenset({".py", ".typed", ".npz", ".md", ".txt"})  # sources and data; nothing compiled
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold
METADATA = """\
Metadata-Version: 2.4
Name: {name}
Version: {version}
Summary: The engine of {homework.id}: {homework.title}
License-Expression: {project[license]}
License-File: LICENSE
Requires-Python: {project[requires-python]}
"""
WHEEL = b"Wheel-Version: 1.0\nGenerator: kit\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@dataclass(frozen=True, slots=True)
class Engine:
    """``files``: contents by path; ``removed``: ("module:name", body) of what is not in them."""

    files: Mapping[str, bytes]
    removed: tuple[tuple[str, str], ...]


def strip_engine(homework: Homework, root: Path) -> Engine:
    """Read the engine at ``root`` and take the bodies out. Raises BodyError naming the file."""
    files: dict[str, bytes] = {}
    for path in sorted((root / PACKAGE).rglob("*")):
        if path.suffix not in SUFFIXES or path.is_dir() or "__pycache__" in path.parts:
            continue
        if path.is_symlink():
            raise BodyError(f"{path}: a link; a release holds plain files only")
        files[path.relative_to(root).as_posix()] = path.read_bytes()
    removed: list[tuple[str, str]] = []
    withheld: dict[str, list[str]] = {}
    for function in withheld_functions(root, homework):
        module, _, name = function.partition(":")
        withheld.setdefault(module, []).append(name)
    for module, names in withheld.items():
        path = module_path(root, module)
        key = path.relative_to(root).as_posix()
        reason = f"not in the engine of {homework.id}: write it, or pass your own as a parameter"
        text, bodies = remove(path, files[key].decode("utf-8"), names, reason)
        files[key] = text.encode("utf-8")
        removed += [(f"{module}:{name}", body) for name, body in bodies]
    return Engine(files, tuple(removed))


def build_engine(homework: Homework, root: Path, out_dir: Path) -> Path:
    """Write the stripped engine below ``out_dir`` and return ``out_dir``, to be put on the path.

    ``root`` holds the reference engine and course/manifest.toml. Raises BodyError.
    """
    for name, content in strip_engine(homework, root).files.items():
        path = out_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return out_dir


def build_wheel(homework: Homework, root: Path, out_dir: Path) -> Path:
    """Write ``tinyflow-X+hwN-py3-none-any.whl`` into ``out_dir`` and return its path.

    The version marks it as the engine of this homework, so pip never takes it for the real one.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version = f"{project['version']}+{homework.id.partition('_')[0]}"
    info = f"{PACKAGE}-{version}.dist-info"
    metadata = METADATA.format(name=PACKAGE, version=version, homework=homework, project=project)
    metadata += "".join(f"Requires-Dist: {needed}\n" for needed in project["dependencies"])
    scripts = project.get("scripts", {}).items()
    commands = "".join(f"{k} = {v}\n" for k, v in scripts if v.startswith(f"{PACKAGE}."))
    files = {
        **strip_engine(homework, root).files,
        f"{info}/entry_points.txt": f"[console_scripts]\n{commands}".encode(),
        f"{info}/licenses/LICENSE": (root / "LICENSE").read_bytes(),
        f"{info}/METADATA": metadata.encode(),
        f"{info}/WHEEL": WHEEL,
    }
    files[f"{info}/RECORD"] = _record(files, f"{info}/RECORD")
    out_dir.mkdir(parents=True, exist_ok=True)
    path = out_dir / f"{PACKAGE}-{version}-py3-none-any.whl"
    path.write_bytes(pack(files))
    return path


def pack(files: Mapping[str, bytes]) -> bytes:
    """A zip of ``files`` whose bytes depend on them alone: stored, sorted, without a date.

    Nothing is compressed, because two versions of zlib may compress differently.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system = 3  # Unix, also when made elsewhere
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, files[name])
    return buffer.getvalue()


def _record(files: Mapping[str, bytes], own_name: str) -> bytes:
    """The wheel's list of contents: path, SHA-256 and size of each file."""
    lines = []
    for name, content in sorted(files.items()):
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(content)}\n")
    return "".join([*lines, f"{own_name},,\n"]).encode()
