"""`kit doctor`: which protections hold on this machine, and what to do about the others.

Nothing is taken on trust: a probe runs in a locked worker, as before every grading run, and the
table says what it found. Layer: sandbox.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from autograder.sandbox.errors import SandboxError
from autograder.sandbox.sandbox import Sandbox

__all__ = ["Finding", "doctor", "findings", "measure"]

_ENGINE = Path(__file__).resolve().parent.parent.parent / "tinyflow"
_CONTAINER = "grade in the course's Docker image, or on a Linux machine"
_LANDLOCK = (
    "use Linux 5.13 or newer with CONFIG_SECURITY_LANDLOCK and 'landlock' in the boot option lsm=; "
    "in Docker, version 23 or newer. Until then files cannot be opened at all after the imports"
)
_SECCOMP = "use a kernel with CONFIG_SECCOMP_FILTER on x86_64 or aarch64; or " + _CONTAINER
_OWN_USER = (
    "fine for a class: student code runs as you, locked. For 'full', run the grader as root "
    "(in a container): workers then run as a user that owns nothing"
)
_ADVICE = {"full": "nothing to do", "kernel": "nothing to do", "weak": _CONTAINER}


@dataclass(frozen=True, slots=True)
class Finding:
    """One row: a protection, whether it holds, what was seen, and what to do if it does not."""

    protection: str
    holds: bool
    seen: str
    advice: str


def doctor() -> RenderableType:
    """The table of protections on this machine, measured now; takes a few seconds."""
    report = measure()
    table = Table(title="Protections of the sandbox on this machine", title_justify="left")
    for column in ("protection", "holds", "seen", "what to do"):
        table.add_column(column, overflow="fold")
    for finding in findings(report):
        mark = Text("yes", "green") if finding.holds else Text("NO", "bold red")
        table.add_row(
            finding.protection, mark, Text(finding.seen), "" if finding.holds else finding.advice
        )
    grade = str(report["grade"])
    accepted = "graded runs are accepted" if grade != "weak" else "graded runs are refused"
    return Group(table, Text(f"isolation: {grade} ({accepted}; {_ADVICE[grade]})"))


def measure() -> Mapping[str, Any]:
    """The isolation report of a sandbox made for this purpose; of grade "weak" if none starts."""
    with tempfile.TemporaryDirectory(prefix="doctor-") as folder:
        engine = Path(folder)
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(_ENGINE, engine / "tinyflow", ignore=ignore)
        try:
            with Sandbox(engine, require="weak") as sandbox:
                return sandbox.isolation
        except SandboxError as error:
            return {"grade": "weak", "failure": str(error), "tried": {}}


def findings(report: Mapping[str, Any]) -> list[Finding]:
    """The rows for an isolation report."""
    abi, uid = int(report.get("landlock_abi", 0)), report.get("uid")
    system = f"{platform.system()} {platform.release()}, {platform.machine()}"
    own_user = uid not in (None, 0, os.getuid())
    rows = [
        Finding("a kernel that can lock", sys.platform == "linux", system, _CONTAINER),
        Finding(
            "a locked worker starts",
            "failure" not in report,
            str(report.get("failure", "it started"))[-400:],
            "read the message; install the pinned environment (`make demo` does) and try again",
        ),
        Finding("Landlock (files)", abi > 0, f"version {abi}" if abi else "missing", _LANDLOCK),
        Finding(
            "seccomp (system calls)",
            bool(report.get("seccomp")),
            "allow-list in force" if report.get("seccomp") else "missing",
            _SECCOMP,
        ),
        Finding("a user of its own", own_user, f"worker runs as user {uid}", _OWN_USER),
    ]
    allowed = [what for what, result in report["tried"].items() if result == "allowed"]
    rows += [
        Finding(f"cannot {what}", result != "allowed", result, _cure(what, allowed))
        for what, result in report["tried"].items()
    ]
    return rows


def _cure(what: str, allowed: list[str]) -> str:
    if what.startswith("import"):
        return "uninstall it from the standard library's folder; it may hold ready-made answers"
    if len(allowed) == 1 and what.startswith("read"):
        return "move that file out of the folders of Python, numpy and torch"
    return f"see the missing protections above; or {_CONTAINER}"
