"""What to do where a protection is missing, and how good the result is. Layer: sandbox.

With Landlock and seccomp the worker reads only what it was granted. Without Landlock, seccomp
refuses to open anything once the modules are loaded. With neither, only resource limits are left,
and such a run is called weak and refused unless forced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autograder.sandbox.errors import SandboxError

__all__ = ["GRADES", "Protections", "isolation_grade", "require_isolation"]

GRADES = ("weak", "kernel", "full")


@dataclass(frozen=True, slots=True)
class Protections:
    """Which kernel protections a sandbox uses. Turned off only to test the fallbacks."""

    landlock: bool = True
    seccomp: bool = True

    def opens(self, landlock_abi: int) -> bool:
        """May the worker open files at all? Only where Landlock says which."""
        return landlock_abi > 0 or not self.seccomp


def isolation_grade(report: Mapping[str, Any]) -> str:
    """Grade the report of a probe that ran in a locked worker.

    ``full``: everything it tried was refused, by Landlock and seccomp, and the worker had a user of
    its own. ``kernel``: everything was refused. ``weak``: something was allowed.
    """
    tried = report.get("tried", {})
    if not tried or any(result == "allowed" for result in tried.values()):
        return "weak"
    own_user = report.get("uid") not in (None, 0, report.get("judge_uid"))
    both = bool(report.get("landlock_abi")) and bool(report.get("seccomp"))
    return "full" if own_user and both else "kernel"


def require_isolation(report: Mapping[str, Any], wanted: str) -> None:
    """Raise SandboxError if the report's grade is below ``wanted`` ("weak", "kernel" or "full")."""
    if wanted not in GRADES:
        raise SandboxError(f"unknown isolation {wanted!r}; expected one of {', '.join(GRADES)}")
    grade = str(report["grade"])
    if GRADES.index(grade) >= GRADES.index(wanted):
        return
    allowed = [name for name, result in report["tried"].items() if result == "allowed"]
    what = f"a worker was allowed to: {', '.join(allowed)}" if allowed else "all refused"
    raise SandboxError(
        f"isolation is {grade!r} here; expected at least {wanted!r} ({what}). "
        f"Run `kit doctor` to see what is missing, or pass --require-isolation={grade} knowingly."
    )
