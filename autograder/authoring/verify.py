"""Prove a hidden suite before it grades anybody. Layer: authoring.

A suite ships only when, over many seeds, the reference earns everything and the stub nothing, every
wrong solution of the bank loses its task and no other, every right one keeps full marks, every
bucket is lost by some wrong solution, and nothing within a student's reach is an answer.
"""

from __future__ import annotations

import hashlib
import multiprocessing
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
from autograder.mutants.bank import Variant, load_bank
from autograder.outcome import Outcome, State

__all__ = ["Case", "Finding", "Verification", "cases", "examine", "verify"]

Lost = frozenset[tuple[str, str]]  # (task, bucket)


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
    lost: dict[tuple[str, str], int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def shown(self) -> str:
        """The lost buckets of the case's task, and how often where it was not always."""
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
        wrong = sum(finding.case.kind == "wrong" for finding in self.findings)
        right = sum(finding.case.kind == "right" for finding in self.findings)
        title = f"{self.homework}: {self.seeds} seeds, {wrong} wrong and {right} right solutions"
        if self.reach:
            title += f", {self.reach.tried} callables within reach"
        table = Table("solution", "kind", "loses", "verdict", title=title)
        for finding in self.findings:
            shown = (
                finding.shown() if finding.case.kind == "wrong" else f"{len(finding.lost)} buckets"
            )
            verdict = "[red]" + "; ".join(finding.problems) if finding.problems else "[green]ok"
            table.add_row(finding.case.id, finding.case.kind, shown, verdict)
        table.caption = "\n".join(self.problems) or "the suite may ship"
        return table


def verify(
    root: Path,
    homework_id: str,
    seeds: int = 3,
    *,
    require: str = "kernel",
    processes: int = 2,
    reach: bool = True,
    progress: Progress | None = None,
) -> Verification:
    """Judge every case under ``seeds`` secrets in ``processes`` processes.

    All tasks are judged under the first secret. Under the others a wrong solution is judged on its
    own task only, a right one also on the integration: its other cells are the reference's.
    """
    homework = load_homework(root, homework_id)
    findings = {case.id: Finding(case) for case in cases(root, homework_id)}
    jobs = [(case_id, seed) for seed in range(seeds) for case_id in findings]
    bar = progress or Progress(
        TextColumn("judging {task.fields[case]:36}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    context = multiprocessing.get_context("spawn")
    found_reach: Reach | None = None
    with (
        bar,
        ProcessPoolExecutor(processes, context, _start, (root, homework_id, require)) as pool,
    ):
        looking = pool.submit(_reach, _solved(root, homework_id)) if reach else None
        waiting = {pool.submit(_judge, findings[c].case, seed): c for c, seed in jobs}
        shown = bar.add_task("judging", total=len(waiting), case="")
        for future in as_completed(waiting):
            finding = findings[waiting[future]]
            examine(homework, finding, future.result())
            bar.update(shown, advance=1, case=finding.case.id)
        found_reach = looking.result() if looking else None
    problems = tuple(_all_problems(homework, findings.values(), found_reach))
    return Verification(homework_id, seeds, tuple(findings.values()), found_reach, problems)


def cases(root: Path, homework_id: str) -> Iterator[Case]:
    """The reference, the stub and the bank as notebooks."""
    solved = _solved(root, homework_id)
    stub = (root / "assignments" / homework_id / f"{homework_id}.ipynb").read_bytes()
    yield Case("reference", "reference", "the solved notebook", solved)
    yield Case("stub", "stub", "the notebook as released", stub)
    for variant in load_bank(homework_id):
        yield _case(variant, solved)


def examine(homework: Homework, finding: Finding, outcome: Outcome) -> None:
    """Add one outcome to a finding, and a problem if it is not what the case demands."""
    case, lost = finding.case, _lost(outcome)
    finding.seeds += 1
    for bucket in sorted(lost):
        finding.lost[bucket] = finding.lost.get(bucket, 0) + 1
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
        if task.name != INTEGRATION:
            for bucket in task.buckets:
                if (task.name, bucket) not in caught:
                    yield f"{task.name}/{bucket}: no wrong solution says that it loses this bucket"
    if reach:
        yield from (f"{name} solves {task}" for task, name in reach.solve)


def _lost(outcome: Outcome) -> Lost:
    return frozenset(
        (test.task, test.bucket) for test in outcome.tests if test.state is not State.PASSED
    )


def _show(buckets: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{task}/{bucket}" for task, bucket in sorted(buckets))


def _case(variant: Variant, solved: bytes) -> Case:
    kind = "right" if variant.is_right else "wrong"
    notebook = variant.notebook(solved)
    return Case(variant.id, kind, variant.title, notebook, variant.task, variant.loses)


def _solved(root: Path, homework_id: str) -> bytes:
    return (root / "solutions" / homework_id / f"{homework_id}.ipynb").read_bytes()


_PROCESS: dict[str, Judge] = {}  # the judge of this pool process
_STACK = ExitStack()


def _start(root: Path, homework_id: str, require: str) -> None:
    """Open the judge of a pool process."""
    homework = load_homework(root, homework_id)
    _PROCESS["judge"] = _STACK.enter_context(Judge(homework, root, require=require))


def _judge(case: Case, seed: int) -> Outcome:
    tasks = None
    if case.task is not None and seed:
        tasks = {case.task} if case.kind == "wrong" else {case.task, INTEGRATION}
    return _PROCESS["judge"].judge(case.notebook, case.id, _secret(seed), seed, tasks=tasks)


def _reach(solved: bytes) -> Reach:
    return try_everything(_PROCESS["judge"], solved, _secret(0))


def _secret(seed: int) -> bytes:
    return hashlib.sha256(f"verify {seed}".encode()).digest()
