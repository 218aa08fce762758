"""Make the archive that students receive, and register it with nbgrader. Layer: authoring.

An allow-list decides what goes in: the notebook, its public tests, the requirements with their
pins, and one wheel, the engine without the answers. Then a scan that knows nothing of that list
looks for leaks in the finished archive.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from autograder.authoring.build import build
from autograder.authoring.leak import LeakError, Secret, collect_secrets, scan
from autograder.authoring.manifest import Homework, load_homework, load_manifest
from autograder.authoring.wheel import build_wheel, pack

__all__ = [
    "ReleaseError",
    "refuse_leaks",
    "refuse_open_predecessors",
    "release",
    "released_files",
    "requirements",
]

PACKAGES = ("ipywidgets", "jupyterlab", "matplotlib", "numpy", "pytest", "torch")
NOTES = """\
# In this folder: python -m pip install -r requirements.txt && jupyter lab
# Every version is pinned, those of indirect requirements in constraints.txt.
-c constraints.txt
"""


class ReleaseError(ValueError):
    """The homework cannot be released; the message says why and what to do."""


def release(root: Path, homework_id: str, out: Path, *, now: datetime | None = None) -> Path:
    """Write ``out/<homework>.zip`` and register the homework in nbgrader's database.

    ``now`` is the time at which closing dates are compared (the current time unless given). Raises
    ReleaseError if the derived folders are out of date or a predecessor still accepts work, and
    LeakError if an answer, a hidden test, a hint or a path of this machine is found in the archive.
    Nothing is written then.
    """
    homework = load_homework(root, homework_id)
    if drift := build(root, homework_id, check=True):
        raise ReleaseError(f"{homework_id} is not up to date; run `kit build` first:\n{drift[0]}")
    refuse_open_predecessors(root, homework, out, now or datetime.now(UTC))
    archive = pack(released_files(root, homework))
    refuse_leaks(archive, collect_secrets(homework, root))
    _register(root, homework_id)
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{homework_id}.zip"
    path.write_bytes(archive)
    return path


def released_files(root: Path, homework: Homework) -> dict[str, bytes]:
    """Contents of the archive by path, all below one folder named like the homework."""
    folder = root / "assignments" / homework.id
    allowed = [folder / f"{homework.id}.ipynb", folder / "conftest.py", *folder.glob("test_*.py")]
    files = {path.name: path.read_bytes() for path in sorted(allowed) if path.is_file()}
    with tempfile.TemporaryDirectory() as name:
        wheel = build_wheel(homework, root, Path(name))
        files[wheel.name] = wheel.read_bytes()
    constraints = (root / "constraints.txt").read_text(encoding="utf-8")
    files["constraints.txt"] = constraints.encode("utf-8")
    files["requirements.txt"] = requirements(constraints, wheel.name).encode("utf-8")
    return {f"{homework.id}/{name}": content for name, content in files.items()}


def requirements(constraints: str, wheel: str) -> str:
    """The requirements file of a release: the wheel beside it, and each package with its pin."""
    pins = dict(re.findall(r"(?m)^([\w.-]+)==(\S+)", constraints))
    if missing := [name for name in PACKAGES if name not in pins]:
        raise ReleaseError(f"constraints.txt has no pin for {missing[0]}; add one")
    return NOTES + f"./{wheel}\n" + "".join(f"{name}=={pins[name]}\n" for name in PACKAGES)


def refuse_leaks(archive: bytes, secrets: tuple[Secret, ...]) -> None:
    """Raise LeakError, listing the places, if any secret is in the archive."""
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "release.zip").write_bytes(archive)
        leaks = list(scan(Path(name), secrets))
    if leaks:
        places = "\n".join(f"  {leak}" for leak in leaks[:20])
        raise LeakError(f"the release gives away what students must not have:\n{places}")


def refuse_open_predecessors(root: Path, homework: Homework, out: Path, now: datetime) -> None:
    """Raise ReleaseError if an earlier homework, whose answers the engine holds, is still open.

    It is open until it ``closes``; without a closing date, from its release on (its archive lies
    in ``out``).
    """
    for other in load_manifest(root / "course" / "manifest.toml").values():
        released = (out / f"{other.id}.zip").exists()
        still_open = now < other.closes if other.closes else released
        if other.order < homework.order and still_open:
            until = f"until {other.closes}" if other.closes else "without a closing date"
            raise ReleaseError(
                f"{homework.id} contains the answers of {other.id}, which accepts work {until}; "
                "wait, or set `closes` of that homework in course/manifest.toml"
            )


def _register(root: Path, homework_id: str) -> None:
    """Fill nbgrader's database as the formgrader's Generate does, and check that it agrees."""
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    command = [sys.executable, "-m", "nbgrader", "generate_assignment", homework_id, "--force"]
    environment = {**os.environ, "PATH": tools}  # nbgrader calls alembic by name
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        last = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise ReleaseError(f"nbgrader could not register {homework_id}:\n{last}")
    if drift := build(root, homework_id, check=True):
        raise ReleaseError(f"nbgrader generates other files than `kit build`:\n{drift[0]}")
