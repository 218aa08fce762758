"""Where a course keeps its files, and how the grader writes them. Layer: grading.

``root`` holds what the course is made of (manifest, suites, assignments); ``work`` holds what a
class produces (submissions, marks, secrets). They are the same folder unless told otherwise.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Course", "CourseError", "write_atomically"]


class CourseError(ValueError):
    """Something about the course folder stops the command; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Course:
    """The two folders of a course and the paths inside them."""

    root: Path
    work: Path

    @classmethod
    def find(cls, start: Path) -> Course:
        """Find the course around ``start``: the nearest folder upwards with course/manifest.toml.

        ``start`` itself is the working folder if it has an nbgrader_config.py, else the course is.
        """
        start = start.resolve()
        for folder in (start, *start.parents):
            if (folder / "course" / "manifest.toml").is_file():
                own_config = (start / "nbgrader_config.py").is_file()
                return cls(root=folder, work=start if own_config else folder)
        raise CourseError(
            f"{start}: no course here (looked for course/manifest.toml in it and above); "
            "change into the course folder or give --course PATH"
        )

    @property
    def submitted(self) -> Path:
        """One folder per student, holding the collected notebooks."""
        return self.work / "submitted"

    @property
    def autograded(self) -> Path:
        """One folder per student, holding the rebuilt notebooks with scores."""
        return self.work / "autograded"

    @property
    def feedback(self) -> Path:
        """One folder per student, holding the pages they get."""
        return self.work / "feedback"

    @property
    def kit(self) -> Path:
        """Secrets, outcomes and journal: git-ignored, mode 0700."""
        return self.work / ".kit"

    def skeleton(self, homework_id: str) -> Path:
        """The released notebook of a homework: the trusted frame of everything shown later."""
        return self.root / "assignments" / homework_id / f"{homework_id}.ipynb"

    def submission(self, homework_id: str, student: str) -> Path:
        """Where the notebook of one student lies once collected."""
        return self.submitted / student / homework_id / f"{homework_id}.ipynb"

    def graded(self, homework_id: str, student: str) -> Path:
        """Where the rebuilt notebook of one student lies once graded."""
        return self.autograded / student / homework_id / f"{homework_id}.ipynb"

    def private(self, folder: Path) -> Path:
        """Create ``folder`` and every missing parent below ``work`` with mode 0700; return it."""
        for part in reversed([folder, *folder.parents]):
            if part.is_relative_to(self.work) and part != self.work and not part.is_dir():
                part.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lock of the one writer; raises CourseError if another grader has it."""
        path = self.private(self.kit) / "lock"
        with path.open("a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise CourseError(
                    f"{path}: another grader is running on this course; wait for it to end"
                ) from error
            yield


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` with mode 0600 so that a reader sees the old file or the whole new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "wb") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())
    os.replace(temporary, path)
