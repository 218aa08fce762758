"""The pytest plugin of hidden suites: fixtures, marks, one record per test. Layer: judge.

A suite is plain pytest. A test asks for ``student`` (the submission's functions), ``runner``
(executes graphs) and ``rng`` (inputs nobody can foresee), and says what it is worth::

    @bucket("mul_adjoint", "upstream", hint="What does the chain rule multiply by?")
    def test_upstream_gradient_is_used(student, runner, rng): ...
"""

from __future__ import annotations

import hashlib
import hmac
import re
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pytest

from autograder.authoring.manifest import Homework
from autograder.judge.check import Wrong
from autograder.judge.student import Runner, Student
from autograder.outcome import State, TestOutcome
from autograder.sandbox.errors import EXCEPTION_NAMES, StudentError, StudentFault

__all__ = ["Seeds", "SuiteError", "SuitePlugin", "bucket", "classify"]

MAX_DETAIL = 4_000  # characters kept for the instructor
_LINE = re.compile(r"cell \d{1,5}, line \d{1,6}")


class SuiteError(RuntimeError):
    """A hidden suite contradicts the manifest or itself; the message names the test."""


def bucket(task: str, name: str, *, hint: str) -> pytest.MarkDecorator:
    """Mark a test: it belongs to bucket ``name`` of ``task``; ``hint`` is shown when it fails."""
    return pytest.mark.bucket(task, name, hint=hint)


@dataclass(frozen=True, slots=True)
class Seeds:
    """Where the inputs of a submission come from: the same key gives the same inputs."""

    secret: bytes
    student: str
    submission_sha256: str

    def rng(self, test: str) -> np.random.Generator:
        """Generator of one test's inputs."""
        message = "\0".join((self.student, self.submission_sha256, test)).encode()
        digest = hmac.new(self.secret, message, hashlib.sha256).digest()
        return np.random.default_rng(int.from_bytes(digest))


@dataclass(slots=True, eq=False)
class SuitePlugin:
    """Runs one submission through a suite; ``tests`` holds what happened."""

    homework: Homework
    seeds: Seeds
    student_proxy: Student
    graph_runner: Runner
    tasks: frozenset[str]  # the ones to judge
    tests: list[TestOutcome] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def buckets(self) -> list[tuple[str, str]]:
        """(task, bucket) of everything that is to be judged."""
        chosen = (task for task in self.homework.tasks if task.name in self.tasks)
        return [(task.name, name) for task in chosen for name in task.buckets]

    @pytest.fixture
    def student(self) -> Student:
        """The submission's functions."""
        return self.student_proxy

    @pytest.fixture
    def runner(self) -> Runner:
        """Executes graphs away from the judge."""
        return self.graph_runner

    @pytest.fixture(name="homework")
    def homework_fixture(self) -> Homework:
        """The homework, as the manifest describes it."""
        return self.homework

    @pytest.fixture
    def rng(self, request: pytest.FixtureRequest) -> np.random.Generator:
        """Random inputs that depend on the secret, the submission and the test."""
        return self.seeds.rng(test_id(request.node))

    def pytest_configure(self, config: pytest.Config) -> None:
        """Make the mark known."""
        config.addinivalue_line("markers", "bucket(task, name, hint): what a hidden test is worth")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Remember a suite file that cannot be read."""
        if report.failed:
            self.problems.append(str(report.longrepr)[-MAX_DETAIL:])

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep the tests of the chosen tasks; none if tests and manifest name different buckets."""
        try:
            check_marks(self.homework, items)
        except SuiteError as error:
            self.problems.append(str(error))
            items.clear()
        items[:] = [item for item in items if _mark(item).args[0] in self.tasks]

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Give each test module a fresh worker, or modules of one ``WORKER`` name the same."""
        group = getattr(getattr(item, "module", None), "WORKER", item.path.stem)
        self.student_proxy.begin(_mark(item).args[0], group)
        self.graph_runner.begin(_mark(item).args[0])

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> pytest.TestReport:
        """Record the call of a test, or a failure around it.

        Takes the place of pytest's own report, which would print every frame of a failure with the
        student's strings in it: slow, and hostile text has no business in a report.
        """
        error = call.excinfo.value if call.excinfo else None
        if call.when == "call" or error is not None:
            self.tests.append(_record(item, error, call.duration))
        assert call.when != "collect"  # a test has three phases
        outcome: Literal["passed", "failed"] = "failed" if error else "passed"
        return pytest.TestReport(
            item.nodeid, item.location, {}, outcome, None, call.when, duration=call.duration
        )


def test_id(item: pytest.Item) -> str:
    """Name of a test that does not depend on where the suite lies: "test_mul::test_values"."""
    return f"{item.path.stem}::{item.name}"


def check_marks(homework: Homework, items: Iterable[pytest.Item]) -> None:
    """Raise SuiteError for a test without a good mark, or a bucket without a test."""
    wanted = {(task.name, name) for task in homework.tasks for name in task.buckets}
    seen = set()
    for item in items:
        mark = item.get_closest_marker("bucket")
        if mark is None or not mark.kwargs.get("hint"):
            raise SuiteError(f"{test_id(item)}: needs @bucket(task, name, hint=...)")
        if mark.args not in wanted:
            raise SuiteError(f"{test_id(item)}: no bucket {mark.args} in the manifest")
        seen.add(mark.args)
    if wanted - seen:
        raise SuiteError(f"{homework.id}: buckets without a test: {sorted(wanted - seen)}")


def classify(error: BaseException | None) -> State:
    """State of a test that ended with ``error``. What is not the student's doing holds the mark."""
    if error is None:
        return State.PASSED
    if isinstance(error, StudentFault):
        return error.state
    if isinstance(error, Wrong | AssertionError):
        return State.FAILED
    return State.GRADER_ERROR


def _mark(item: pytest.Item) -> pytest.Mark:
    mark = item.get_closest_marker("bucket")
    assert mark is not None  # collection saw to it
    return mark


def _record(item: pytest.Item, error: BaseException | None, seconds: float) -> TestOutcome:
    mark = _mark(item)
    line = getattr(error, "line", None) if isinstance(error, StudentFault) else None
    return TestOutcome(
        test=test_id(item),
        task=mark.args[0],
        bucket=mark.args[1],
        state=classify(error),
        hint=mark.kwargs["hint"],
        seconds=round(seconds, 4),
        error_name=_name(error),
        line=line if isinstance(line, str) and _LINE.fullmatch(line) else None,
        detail=_detail(error),
    )


def _name(error: BaseException | None) -> str | None:
    if not isinstance(error, StudentError):
        return None
    return error.name if error.name in EXCEPTION_NAMES else "Exception"


def _detail(error: BaseException | None) -> str:
    """What the instructor may read: what was wrong, or the traceback of a grader's error."""
    if error is None:
        return ""
    if isinstance(error, StudentFault):
        return f"{error}\n{error.detail}".strip()[:MAX_DETAIL]
    if isinstance(error, Wrong):
        return str(error)[:MAX_DETAIL]
    return "".join(traceback.format_exception(error))[-MAX_DETAIL:]
