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
import tomllib
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
    for row in findings(report):
        mark = Text("yes", "green") if row.holds else Text("NO", "bold red")
        table.add_row(row.protection, mark, Text(row.seen), "" if row.holds else row.advice)
    grade = str(report["grade"])
    return Group(table, Text(f"isolation: {grade} ({_advice()[grade]})"))


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
    advice = _advice()
    abi, uid = int(report.get("landlock_abi", 0)), report.get("uid")
    seccomp = bool(report.get("seccomp"))
    system = f"{platform.system()} {platform.release()}, {platform.machine()}"
    started = str(report.get("failure", "it started"))[-400:]
    own_user = uid not in (None, 0, os.getuid())
    rows = [
        ("a kernel that can lock", sys.platform == "linux", system),
        ("a locked worker starts", "failure" not in report, started),
        ("Landlock (files)", abi > 0, f"version {abi}" if abi else "missing"),
        ("seccomp (system calls)", seccomp, "allow-list in force" if seccomp else "missing"),
        ("a user of its own", own_user, f"worker runs as user {uid}"),
    ]
    found = [Finding(name, holds, seen, advice[name]) for name, holds, seen in rows]
    allowed = [what for what, result in report["tried"].items() if result == "allowed"]
    for what, result in report["tried"].items():
        verb = what.partition(" ")[0]
        alone = verb == "import" or (verb == "read" and len(allowed) == 1)
        cure = advice[f"cannot {verb}" if alone else "cannot"]
        found.append(Finding(f"cannot {what}", result != "allowed", result, cure))
    return found


def _advice() -> dict[str, str]:
    return tomllib.loads(Path(__file__).with_name("doctor.toml").read_text("utf-8"))
