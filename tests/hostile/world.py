"""A judge among files that must stay secret, and what can be seen of it from outside."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy

from autograder.authoring.manifest import load_homework
from autograder.demo.hostile import Hostile
from autograder.judge import Judge
from autograder.outcome import Outcome
from autograder.sandbox import Limits

ROOT = Path(__file__).resolve().parents[2]
HOMEWORK = "hw2_autodiff"
SECRET = b"canary-of-the-keyring"
LIMITS = {"memory_bytes": 384 << 20}
PRIVATE = {
    "gradebook.db": "canary-of-the-gradebook",
    ".kit/secrets.json": SECRET.decode(),
    "submitted/bob/hw2_autodiff.ipynb": "canary-of-another-student",
}
TRAPS = ("numpy.py", "torch.py", "pytest.py", "conftest.py", "json.py", "sitecustomize.py")
TRAP = "from pathlib import Path\n(Path(__file__).parent / 'imported').touch()\n"
COMMON = ("/", "/tmp", "/var/tmp", "/dev/shm", "/run", "~", "/etc/cron.d")


class WatchedJudge(Judge):
    """A judge whose limits are those that each hostile notebook asks for: short ones."""

    def under(self, limits: Mapping[str, float]) -> WatchedJudge:
        """The same judge, for a submission under these limits."""
        asked = {**LIMITS, **limits}
        self._submission_s = asked.pop("submission_s", 60.0)
        self._limits = Limits(**asked)  # type: ignore[arg-type]
        return self


@dataclass(slots=True)
class World:
    """``judge`` works in ``folder``; ``untouched`` is what it looked like at first."""

    folder: Path
    judge: WatchedJudge
    stub: bytes
    solved: bytes
    untouched: dict[str, tuple[int, int, int]] = field(default_factory=dict)

    @property
    def places(self) -> dict[str, str]:
        """Paths that a hostile notebook may name."""
        return {
            "ROOT": str(ROOT),
            "SITE": str(Path(numpy.__file__).parents[1]),
            "PRIVATE": str(self.folder / "private"),
            "BESIDE": str(self.folder / "beside"),
        }

    def notebook(self, hostile: Hostile) -> bytes:
        """The notebook file of an attack, aimed at this world."""
        return hostile.notebook(self.stub, self.solved, self.places)

    def grade(self, hostile: Hostile, tasks: frozenset[str]) -> Outcome:
        """What the real judge says of it."""
        judge = self.judge.under(hostile.facts.get("limits", {}))
        return judge.judge(self.notebook(hostile), "mallory", SECRET, 0, tasks=tasks)

    def files(self) -> dict[str, tuple[int, int, int]]:
        """Size, mode and time of every file here, and files of an attack's name elsewhere."""
        here = list(self.folder.rglob("*"))
        for place in COMMON:
            here += Path(place).expanduser().glob("*tinyflow-hostile*")
        found = {}
        for path in here:
            status = path.lstat()
            found[str(path)] = (status.st_size, status.st_mode, status.st_mtime_ns)
        return found

    def processes(self) -> list[str]:
        """Everything that lives below the zygote, or as the worker's user."""
        zygote, own = self.judge.sandbox.zygote_pid, os.getuid()
        uid = self.judge.isolation["uid"]
        found = []
        for entry in Path("/proc").iterdir():
            try:
                status = (entry / "status").read_text() if entry.name.isdigit() else ""
            except OSError:
                continue
            facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
            below = facts.get("PPid") == str(zygote)
            if below or (uid != own and facts.get("Uid", "").startswith(f"{uid}\t")):
                found.append(f"{entry.name} {facts.get('Name')} {facts.get('State')}")
        return found


@dataclass(frozen=True, slots=True)
class Use:
    """What judge and zygote hold: memory in bytes, open descriptors."""

    judge_bytes: int
    zygote_bytes: int
    judge_files: int
    zygote_files: int

    @classmethod
    def now(cls, world: World) -> Use:
        """Read it from the kernel."""
        pids = (os.getpid(), world.judge.sandbox.zygote_pid)
        sizes = [_resident_bytes(pid) for pid in pids]
        files = [len(os.listdir(f"/proc/{pid}/fd")) for pid in pids]
        return cls(*sizes, *files)

    def more_than(self, other: Use) -> dict[str, int]:
        """By how much each number has grown."""
        before = asdict(other)
        return {name: number - before[name] for name, number in asdict(self).items()}


def _resident_bytes(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """A judge whose temporary files lie in ``folder``, among readable secrets and traps.

    Its working directory holds modules that must not be imported; its environment a secret.
    """
    for name, text in PRIVATE.items():
        _write(folder / "private" / name, text)
    for name in TRAPS:
        _write(folder / "beside" / name, TRAP)
    _write(folder / "beside" / "tinyflow" / "__init__.py", TRAP)
    before, usual = Path.cwd(), tempfile.tempdir
    os.chdir(folder / "beside")
    os.environ["KIT_CANARY"] = "canary-of-the-environment"
    tempfile.tempdir = str(folder)
    try:
        with WatchedJudge(load_homework(ROOT, HOMEWORK), ROOT) as judge:
            tempfile.tempdir = usual
            made = World(folder, judge, _notebook("assignments"), _notebook("solutions"))
            made.untouched = made.files()
            yield made
    finally:
        os.chdir(before)
        tempfile.tempdir = usual
        del os.environ["KIT_CANARY"]


def _notebook(kind: str) -> bytes:
    return (ROOT / kind / HOMEWORK / f"{HOMEWORK}.ipynb").read_bytes()


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    for each in (path, *path.parents[:3]):
        if os.stat(each).st_uid == os.getuid() and each != Path("/"):
            each.chmod(0o755)
