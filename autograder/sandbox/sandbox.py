"""Sandbox: one zygote, its workers, and the measured isolation. Layer: sandbox.

with Sandbox(engine) as sandbox:
    worker = sandbox.worker(Limits())
    worker.load(notebook, skeleton)
    dx, dy = worker.call("mul_adjoint", node, dy)
"""

from __future__ import annotations

import importlib.util
import os
import platform
import pwd
import sys
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from autograder.sandbox.client import Worker, Zygote
from autograder.sandbox.errors import SandboxError
from autograder.sandbox.fallback import Protections, isolation_grade, require_isolation
from autograder.sandbox.limits import Limits

__all__ = ["Sandbox"]

_FIRST_UID, _UIDS = 61_184, 4_000  # nobody's: the range that systemd keeps for dynamic users
_CHECKOUT = Path(__file__).resolve().parent.parent.parent
_PRIVATE = ("autograder/suites", "autograder/mutants", "course", "solutions", "tinyflow")
_PRIVATE_DATA = ("gradebook.db", "submitted", "autograded", "feedback", ".kit", "pyproject.toml")


class Sandbox:
    """Runs student code, and graphs, in locked processes.

    ``engine``: a directory that holds the stripped ``tinyflow``. ``require``: the least isolation
    accepted, "full", "kernel" or "weak". ``private``: files or folders of this course that must be
    unreadable, beside those of the checkout. ``isolation``: the report of a probe. Raises
    SandboxError if no zygote starts or isolation is too weak.
    """

    def __init__(
        self,
        engine: Path,
        *,
        require: str = "kernel",
        private: Mapping[str, Path] | None = None,
        protections: Protections | None = None,
    ) -> None:
        if sys.platform != "linux":
            raise SandboxError(
                f"the sandbox needs Linux; this is {sys.platform}. Use the course's Dockerfile, or "
                "WSL2 on Windows: `kit doctor` says more."
            )
        self._temporary = tempfile.TemporaryDirectory(prefix="sandbox-")
        folder = Path(self._temporary.name)
        folder.chmod(0o755)  # workers, who are another user, may read it
        self._granted = folder / "file"
        self._granted.write_text("for the probe: to be read, and not to be changed")
        self._settings = {
            "engine": _checked(engine),
            "granted": str(folder),
            "site_dirs": _site_dirs(),
            "uid": _spare_uid() if os.getuid() == 0 else None,
            "protections": asdict(protections or Protections()),
        }
        self._private = _private_files(private or {})
        self._zygote: Zygote | None = None
        try:
            self.isolation = self._measure()
            require_isolation(self.isolation, require)
        except BaseException:
            self.close()
            raise

    def worker(self, limits: Limits | None = None) -> Worker:
        """A fresh locked worker for one notebook."""
        return self._running().worker("student", limits or Limits())

    def runner(self, limits: Limits | None = None) -> Worker:
        """A fresh locked worker that executes graphs; it never sees student code."""
        return self._running().worker("runner", limits or Limits())

    @property
    def zygote_pid(self) -> int:
        """Process id of the zygote; it is replaced when it dies."""
        return int(self._running().info["ready"])

    def _running(self) -> Zygote:
        if self._zygote is None or not self._zygote.alive:
            self._zygote = Zygote(self._settings)
        return self._zygote

    def _measure(self) -> dict[str, Any]:
        """Let a worker try everything forbidden; returns the report with its grade."""
        with closing(self._running().worker("probe", Limits())) as prober:
            tried = prober.try_forbidden(self._private, str(self._granted), os.getpid())
        report = {
            **prober.report,
            "judge_uid": os.getuid(),
            "kernel": platform.release(),
            "python": platform.python_version(),
            "forgotten": self._running().info["forgotten"],
            "tried": tried,
        }
        return {"grade": isolation_grade(report), **report}

    def close(self) -> None:
        """End the zygote and every worker."""
        if self._zygote is not None:
            self._zygote.close()
        self._temporary.cleanup()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _checked(engine: Path) -> str:
    if not (engine / "tinyflow" / "__init__.py").is_file():
        raise SandboxError(f"{engine}: expected a folder that holds the package tinyflow")
    return str(engine.resolve())


def _spare_uid() -> int:
    """A user id that nobody has; different for judges that run side by side."""
    for offset in range(_UIDS):
        uid = _FIRST_UID + (os.getpid() + offset) % _UIDS
        try:
            pwd.getpwuid(uid)
        except KeyError:
            return uid
    raise SandboxError(f"no spare user id between {_FIRST_UID} and {_FIRST_UID + _UIDS}")


def _site_dirs() -> list[str]:
    """Where numpy and torch are installed, without importing them here."""
    found = {}  # an ordered set
    for name in ("numpy", "torch"):
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise SandboxError(f"{name} is not installed here; run `make` or pip install it")
        found[str(Path(spec.origin).resolve().parent.parent)] = True
    return list(found)


def _private_files(private: Mapping[str, Path]) -> dict[str, str]:
    """What must be unreadable, of what exists here; of a folder, one file inside."""
    places = {f"{name} of the checkout": _CHECKOUT / name for name in (*_PRIVATE, *_PRIVATE_DATA)}
    places["another package of site-packages"] = Path(_site_dirs()[0]) / "pytest" / "__init__.py"
    places["the users of this machine"] = Path("/etc/passwd")
    places |= private
    found = {label: _first_file(place) for label, place in places.items() if place.exists()}
    home = os.path.expanduser("~")
    return {**found, **({"the home folder": home} if os.path.isdir(home) else {})}


def _first_file(place: Path) -> str:
    for folder, folders, files in os.walk(place):
        folders.sort()
        if files:
            return os.path.join(folder, min(files))
    return str(place)
