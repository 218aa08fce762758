"""The keyring of seeds behind hidden inputs. Layer: grading.

Suites are public; only seeds are secret. Old secrets stay in the ring, so any mark given under
secret k can be replayed exactly. The judge derives HMAC(secret[k], student, submission, test).
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from autograder.grading.course import Course, CourseError, write_atomically

__all__ = ["Keyring"]

_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Keyring:
    """Secrets in the order they were made; the last one is used for new submissions."""

    path: Path
    ring: tuple[bytes, ...]

    @classmethod
    def open(cls, course: Course) -> Keyring:
        """Read the ring of a course, making the first secret if there is none yet."""
        path = course.private(course.kit) / "secrets.json"
        if not path.exists():
            return cls(path, ())._grown()
        try:
            ring = tuple(bytes.fromhex(text) for text in json.loads(path.read_text()))
        except (ValueError, TypeError) as error:
            raise CourseError(
                f"{path}: not a list of hexadecimal secrets ({error}); restore it from a backup: "
                "without it old marks cannot be replayed"
            ) from error
        if not ring or any(len(secret) != _SECRET_BYTES for secret in ring):
            raise CourseError(f"{path}: expected secrets of {_SECRET_BYTES} bytes; restore it")
        return cls(path, ring)

    @property
    def current(self) -> int:
        """The k of the newest secret."""
        return len(self.ring) - 1

    def secret(self, k: int) -> bytes:
        """Return secret ``k``; raises CourseError when the ring does not hold it."""
        if not 0 <= k < len(self.ring):
            raise CourseError(f"{self.path}: no secret {k}; the ring holds {len(self.ring)}")
        return self.ring[k]

    def rotate(self) -> Keyring:
        """Return the ring with one more secret; outcomes made before keep theirs."""
        return self._grown()

    def _grown(self) -> Keyring:
        ring = (*self.ring, secrets.token_bytes(_SECRET_BYTES))
        text = json.dumps([secret.hex() for secret in ring])
        write_atomically(self.path, text.encode())
        return Keyring(self.path, ring)
