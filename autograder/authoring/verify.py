"""Prove a hidden suite before it grades anybody. Layer: authoring.

A suite ships only when, over many seeds, the reference earns everything and the stub nothing, every
wrong solution of the bank loses its task and no other, every right one keeps full marks, every
bucket is lost by some wrong solution, and nothing within a student's reach is an answer.
"""

from __future__ import annotations

import hashlib
import multiprocessing
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from autograder.authoring.manifest import INTEGRATION, Homework, load_homework
from autograder.authoring.reach import Reach, try_everything
from autograder.judge import Judge
from autograder.mutants.bank import load_bank
from autograder.outcome import Outcome, State

__all__ = ["Case", "Finding", "Verification", "cases", "examine", "verify"]

PROCESSES = 2


@dataclass(frozen=True, slots=True)
class Case:
    """One submission to judge. ``kind``: reference, stub, wrong or right."""

    id: str
    kind: str
    title: str
    notebook: bytes
    task: str | None = None
    loses: tuple[str, ...] = ()


@dataclass(slots=True)
class Finding:
    """What all seeds said about one case; ``lost`` counts seeds by (task, bucket)."""

    case: Case
    seeds: int = 0
    lost: Counter[tuple[str, str]] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def shown(self) -> str:
        """The lost buckets of a wrong case's task, and how often where it was not always."""
        if self.case.kind != "wrong":
            return f"{len(self.lost)} buckets"
        own = {bucket: n for (task, bucket), n in self.lost.items() if task == self.case.task}
        return ", ".join(b if n == self.seeds else f"{b} {n}/{self.seeds}" for b, n in own.items())


@dataclass(frozen=True, slots=True)
class Verification:
    """The result: ``problems`` is empty when the suite may ship. Prints itself with rich."""

    homework: str
    seeds: int
    findings: tuple[Finding, ...]
    reach: Reach | None
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the suite may grade."""
        return not self.problems

    def __rich__(self) -> Table:
        """One line per case, problems below."""
        kinds = Counter(finding.case.kind for finding in self.findings)
        title = f"{self.homework}: {self.seeds} seeds, {kinds['wrong']} wrong "
        title += f"and {kinds['right']} right solutions"
        if self.reach:
            title += f", {self.reach.tried} callables within reach"
        table = Table("solution", "kind", "loses", "verdict", title=title)
        for finding in self.findings:
            verdict = "[red]" + "; ".join(finding.problems) if finding.problems else "[green]ok"
            table.add_row(finding.case.id, finding.case.kind, finding.shown(), verdict)
        table.caption = "\n".join(self.problems) or "the suite may ship"
        return table


def verify(root: Path, homework_id: str, seeds: int) -> Verification:
    """Judge every case under ``seeds`` secrets in PROCESSES processes, and try what is in reach.

    All tasks are judged under the first secret. Under the others a wrong solution is judged on its
    own task only, a right one also on the integration: its other cells are the reference's.
    """
    homework = load_homework(root, homework_id)
    findings = tuple(Finding(case) for case in cases(root, homework_id))
    columns = (TextColumn("judging {task.fields[case]:36}"), BarColumn(), MofNCompleteColumn())
    bar = Progress(*columns, TimeElapsedColumn())
    context = multiprocessing.get_context("spawn")
    with bar, ProcessPoolExecutor(PROCESSES, context, _start, (root, homework_id)) as pool:
        looking = pool.submit(_reach, _solved(root, homework_id))
        waiting = {pool.submit(_judge, f.case, seed): f for seed in range(seeds) for f in findings}
        shown = bar.add_task("judging", total=len(waiting), case="")
        for future in as_completed(waiting):
            finding = waiting[future]
            examine(homework, finding, future.result())
            bar.update(shown, advance=1, case=finding.case.id)
        reach = looking.result()
    problems = tuple(_all_problems(homework, findings, reach))
    return Verification(homework_id, seeds, findings, reach, problems)


def cases(root: Path, homework_id: str) -> Iterator[Case]:
    """The reference, the stub and the bank as notebooks."""
    solved = _solved(root, homework_id)
    stub = (root / "assignments" / homework_id / f"{homework_id}.ipynb").read_bytes()
    yield Case("reference", "reference", "the solved notebook", solved)
    yield Case("stub", "stub", "the notebook as released", stub)
    for variant in load_bank(homework_id):
        kind = "right" if variant.is_right else "wrong"
        notebook = variant.notebook(solved)
        yield Case(variant.id, kind, variant.title, notebook, variant.task, variant.loses)


def examine(homework: Homework, finding: Finding, outcome: Outcome) -> None:
    """Add one outcome to a finding, and a problem if it is not what the case demands."""
    case = finding.case
    lost = {(test.task, test.bucket) for test in outcome.tests if test.state is not State.PASSED}
    finding.seeds += 1
    finding.lost.update(sorted(lost))
    errors = [test for test in outcome.tests if test.state is State.GRADER_ERROR]
    if errors:
        _note(finding, f"{errors[0].test}: grader_error: {errors[0].detail[-200:]}")
    if case.kind in ("reference", "right") and lost:
        _note(finding, f"loses {_show(lost)}")
    if case.kind == "stub" and lost != {(t.name, b) for t in homework.tasks for b in t.buckets}:
        _note(finding, "earns points")
    if case.kind == "wrong":
        assert case.task is not None
        missed = {(case.task, bucket) for bucket in case.loses} - lost
        if missed:
            _note(finding, f"keeps {_show(missed)}")
        others = {(task, b) for task, b in lost if task not in (case.task, INTEGRATION)}
        if others:
            _note(finding, f"loses {_show(others)} too")


def _note(finding: Finding, problem: str) -> None:
    if problem not in finding.problems:
        finding.problems.append(problem)


def _all_problems(
    homework: Homework, findings: Iterable[Finding], reach: Reach | None
) -> Iterator[str]:
    caught: set[tuple[str, str]] = set()
    for finding in findings:
        yield from (f"{finding.case.id}: {problem}" for problem in finding.problems)
        if finding.case.kind == "wrong":
            caught.update((finding.case.task or "", bucket) for bucket in finding.case.loses)
    for task in homework.tasks:
        for bucket in task.buckets if task.function else ():
            if (task.name, bucket) not in caught:
                yield f"{task.name}/{bucket}: no wrong solution says that it loses this bucket"
    if reach:
        yield from (f"{name} solves {task}" for task, name in reach.solve)


def _show(buckets: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{task}/{bucket}" for task, bucket in sorted(buckets))


def _solved(root: Path, homework_id: str) -> bytes:
    return (root / "solutions" / homework_id / f"{homework_id}.ipynb").read_bytes()


_PROCESS: dict[str, Judge] = {}  # the judge of this pool process
_STACK = ExitStack()


def _start(root: Path, homework_id: str) -> None:
    """Open the judge of a pool process."""
    _PROCESS["judge"] = _STACK.enter_context(Judge(load_homework(root, homework_id), root))


def _judge(case: Case, seed: int) -> Outcome:
    tasks = None
    if case.task is not None and seed:
        tasks = {case.task} if case.kind == "wrong" else {case.task, INTEGRATION}
    return _PROCESS["judge"].judge(case.notebook, case.id, _secret(seed), seed, tasks=tasks)


def _reach(solved: bytes) -> Reach:
    return try_everything(_PROCESS["judge"], solved, _secret(0))


def _secret(seed: int) -> bytes:
    return hashlib.sha256(f"verify {seed}".encode()).digest()
