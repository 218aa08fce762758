"""Judge one submission: run the hidden suite against its locked worker. Layer: judge.

The suite runs in this process, the student's code in another; only data comes back. A ``Judge``
keeps its zygote for many submissions. Whatever goes wrong on the grader's side ends as
``grader_error``, which holds the mark for a human.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy
import pytest
import torch

import tinyflow
from autograder.authoring.manifest import Homework
from autograder.authoring.wheel import build_engine
from autograder.judge import check
from autograder.judge.plugin import Seeds, SuiteError, SuitePlugin
from autograder.judge.student import Runner, Student
from autograder.outcome import Outcome, State, TestOutcome
from autograder.sandbox import Budget, Limits, Sandbox, StudentFault
from tinyflow import ops
from tinyflow.homework import LoadReport, select_cells
from tinyflow.ir import Graph, Value

__all__ = ["PYTEST_OPTIONS", "Judge"]

CALL_S = 5.0  # wall time of one call; honest ones take milliseconds
SUBMISSION_S = 120.0  # wall time of one submission, all its workers together
PYTEST_OPTIONS = (
    "--assert=plain",  # rewriting would diff hostile strings for minutes
    "--disable-plugin-autoload",
    "--import-mode=importlib",
    "--noconftest",
    "--capture=no",
    *("-c", os.devnull),
    *(part for name in ("cacheprovider", "terminal", "logging", "faulthandler", "warnings",
                        "unraisableexception", "threadexception", "doctest", "junitxml")
      for part in ("-p", f"no:{name}")),
)  # fmt: skip


class Judge:
    """Context manager: one zygote, one suite, many submissions.

    ``root`` is the course: it holds ``assignments/`` (trusted set-up cells) and the manifest the
    homework was read from. ``require`` is the least isolation: "full", "kernel" or "weak".
    ``suite`` is a folder of test modules, the homework's own if None. Each worker has ``limits``,
    all workers of one submission together have ``submission_s`` seconds.
    """

    def __init__(
        self,
        homework: Homework,
        root: Path,
        *,
        require: str = "kernel",
        suite: Path | None = None,
        limits: Limits | None = None,
        submission_s: float = SUBMISSION_S,
    ) -> None:
        self.homework, self.root = homework, root
        self.suite = suite or Path(__file__).parents[1] / "suites" / homework.id
        self._require, self._submission_s = require, submission_s
        self._limits = limits or Limits(call_s=CALL_S)
        self._stack = ExitStack()
        self._sandbox: Sandbox | None = None
        self._skeleton: Sequence[Mapping[str, Any]] = ()

    def __enter__(self) -> Judge:
        if not self.suite.is_dir():
            raise FileNotFoundError(f"{self.suite}: no hidden suite for {self.homework.id}")
        with ExitStack() as stack:
            self._skeleton = set_up_cells(self.root, self.homework.id)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="engine-")))
            folder.chmod(0o755)  # the worker's user must be able to read it
            engine = build_engine(self.homework, self.root, folder)
            self._sandbox = stack.enter_context(Sandbox(engine, require=self._require))
            torch.set_num_threads(1)
            try_runner(self._sandbox)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def isolation(self) -> dict[str, Any]:
        """Which protections hold, as measured by the sandbox's probe."""
        return dict(self.sandbox.isolation)

    @property
    def sandbox(self) -> Sandbox:
        """Where student code runs; open inside the ``with`` block only."""
        if self._sandbox is None:
            raise RuntimeError("a Judge is a context manager: with Judge(...) as judge: ...")
        return self._sandbox

    @cached_property
    def suite_sha256(self) -> str:
        """Digest of the hidden tests and of the judge that runs them."""
        return _digest([self.suite, Path(__file__).parent])

    @cached_property
    def environment_sha256(self) -> str:
        """Digest of the engine, the sandbox, the set-up cells and the versions of what they use."""
        package = Path(__file__).parents[1]
        versions = (sys.version, platform.machine(), numpy.__version__, torch.__version__)
        facts = json.dumps([*map(str, versions), list(map(dict, self._skeleton))])
        parts = ("sandbox", "sandbox/syscalls.txt", "wire.py", "wire_data.py", "graph_wire.py")
        code = [Path(tinyflow.__file__).parent, *(package / part for part in parts)]
        return _digest(code, facts)

    def judge(
        self,
        notebook: bytes,
        student: str,
        secret: bytes,
        k: int,
        *,
        tasks: Collection[str] | None = None,
    ) -> Outcome:
        """Run the hidden tests on ``notebook``; never raises for what the notebook does.

        Inputs depend on ``secret`` (number ``k`` of the keyring), student, notebook and test.
        ``tasks`` names the tasks to judge, all if None; an outcome of some tasks is no mark.
        """
        began_s, sandbox = time.monotonic(), self.sandbox
        sha256 = hashlib.sha256(notebook).hexdigest()
        budget = Budget(self._submission_s)
        limits = self._limits
        worker = partial(sandbox.worker, limits)
        proxy = Student(worker, notebook, self._skeleton, budget, limits.call_s)
        runner = Runner(partial(sandbox.runner, limits), budget)
        chosen = frozenset(task.name for task in self.homework.tasks) if tasks is None else tasks
        seeds = Seeds(secret, student, sha256)
        plugin = SuitePlugin(self.homework, seeds, proxy, runner, frozenset(chosen))
        try:
            self._run_pytest(plugin)
        finally:
            proxy.close()
            runner.close()
        return Outcome(
            homework=self.homework.id,
            student=student,
            submission_sha256=sha256,
            suite_sha256=self.suite_sha256,
            environment_sha256=self.environment_sha256,
            secret_index=k,
            tests=(*plugin.tests, *_missing(plugin)),
            seconds=round(time.monotonic() - began_s, 3),
            isolation=self.isolation,
            notes=notes(proxy.report),
            output_tail=proxy.output[-4_000:],
        )

    def _run_pytest(self, plugin: SuitePlugin) -> None:
        kept = {name: os.environ.pop(name, None) for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS")}
        try:
            # modules are cached by their name below rootdir: two suites must not share names
            options = [*PYTEST_OPTIONS, f"--rootdir={self.suite.parent}", str(self.suite)]
            code = pytest.main(options, plugins=[plugin])
        except Exception as error:  # a broken suite must not lose the submission
            plugin.problems.append(f"{type(error).__name__}: {error}")
        else:
            if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
                plugin.problems.append(f"pytest ended with {code!r}")
        finally:
            os.environ.update({name: old for name, old in kept.items() if old is not None})


def set_up_cells(root: Path, homework_id: str) -> list[dict[str, Any]]:
    """The locked set-up cells of the released notebook, as it stands in ``assignments/``.

    Raises FileNotFoundError, saying to run ``kit build``, if there is none.
    """
    path = root / "assignments" / homework_id / f"{homework_id}.ipynb"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no released notebook; run: kit build {homework_id}")
    cells = select_cells(json.loads(path.read_text(encoding="utf-8")))
    return [asdict(cell) for cell in cells if cell.kind == "setup"]


def try_runner(sandbox: Sandbox) -> None:
    """Execute a graph of our own; raises SuiteError if the released engine cannot.

    A runner that fails would otherwise look like a class in which everybody's graphs are wrong.
    """
    x = Value(ops.placeholder(dtype="float64").node)
    graph = Graph((ops.reduce_sum(ops.mul(ops.tanh(x), ops.add(x, 1.0))),))
    worker, array = sandbox.runner(), numpy.array([[0.5, -1.0]])
    try:
        (got,) = worker.run(graph, {x: array})
        check.close(got, (numpy.tanh(array) * (array + 1)).sum(), "a graph of the judge")
    except (StudentFault, check.Wrong) as error:
        detail = getattr(error, "detail", "")[-500:]
        raise SuiteError(
            f"the runner cannot execute the judge's own graph: {error} {detail}"
        ) from None
    finally:
        worker.close()


def notes(report: LoadReport | None) -> tuple[str, ...]:
    """What the student should know about loading: failed cells and names defined twice."""
    if report is None:
        return ("the notebook could not be loaded, so no test could run",)
    failed = [
        f"cell {f.cell}" + (f", line {f.line}" if f.line else "") + f" failed: {f.error}"
        for f in report.failures
    ]
    twice = [f"{name} is defined more than once; the last one counts" for name in report.redefined]
    return tuple(note[:200] for note in [*failed, *twice][:40])


def _missing(plugin: SuitePlugin) -> Iterable[TestOutcome]:
    """A grader_error for each bucket without a record: a suite that ran nothing passes nobody."""
    seen = {(test.task, test.bucket) for test in plugin.tests}
    detail = "\n".join(plugin.problems) or "no test of this bucket ran"
    for task, name in plugin.buckets():
        if plugin.problems or (task, name) not in seen:
            yield TestOutcome(
                f"{task}::{name}", task, name, State.GRADER_ERROR, "", 0.0, detail=detail
            )


def _digest(paths: Iterable[Path], facts: str = "") -> str:
    digest = hashlib.sha256(facts.encode())
    for path in paths:
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        for file in files:
            digest.update(f"\0{file.relative_to(path.parent)}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()
