"""What there is to grade, what is already known, and the road between. Layer: grading.

``judge_all`` is the one way to an outcome: ``kit grade``, ``nbgrader autograde`` and the
formgrader's button all come through here, so they cannot disagree.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autograder.authoring.manifest import Homework
from autograder.grading.course import Course, CourseError
from autograder.grading.marks import uniform_outcome
from autograder.grading.pool import JUDGE, Job, Pool, PoolSettings
from autograder.grading.secrets import Keyring
from autograder.grading.store import Identity, Journal, Store
from autograder.intake import IntakeError, check, take
from autograder.outcome import Outcome, State

__all__ = ["Grader", "Judged", "Submission", "find_submissions"]

Progress = Callable[[int, int], None]
REFERENCE = "_reference"  # no student: canonical ids never begin with an underscore


@dataclass(frozen=True, slots=True)
class Submission:
    """One collected file. ``problem`` says why it cannot be judged; ``ours`` whose fault it is."""

    student: str
    path: Path
    sha256: str
    problem: str | None = None
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Judged:
    """The outcomes of one run by student, what was new, and the judge's isolation report."""

    outcomes: Mapping[str, Outcome]
    fresh: frozenset[str]
    before: Mapping[str, Outcome]  # what the regraded submissions had before
    isolation: Mapping[str, Any] = field(default_factory=dict)


def look(student: str, path: Path) -> Submission:
    """Inspect one submitted file without running it; never raises for what the file is."""
    try:
        data = take(path)
    except IntakeError as error:
        digest = hashlib.sha256(f"refused:{error.reason}".encode()).hexdigest()
        return Submission(student, path, digest, error.reason, error.ours)
    digest = hashlib.sha256(data).hexdigest()
    try:
        check(data, path.name)
    except IntakeError as error:
        return Submission(student, path, digest, error.reason)
    return Submission(student, path, digest)


def find_submissions(course: Course, homework_id: str, student: str = "*") -> list[Submission]:
    """Every collected submission, by student; raises CourseError when there is none."""
    if not course.submitted.is_dir():
        raise CourseError(
            f"{course.submitted}: nothing collected yet; run: kit collect {homework_id} PATH"
        )
    students = sorted(p.name for p in course.submitted.iterdir() if student in ("*", p.name))
    paths = {name: course.submission(homework_id, name) for name in students}
    found = [look(name, path) for name, path in paths.items() if os.path.lexists(path)]
    if not found:
        who = "" if student == "*" else f" by {student!r}"
        raise CourseError(
            f"{course.submitted}: no submission of {homework_id}{who}; collect it first"
        )
    return found


@dataclass(frozen=True, slots=True)
class Grader:
    """Everything needed to bring submissions of one homework to outcomes."""

    course: Course
    homework: Homework
    judge: str = JUDGE
    require: str = "kernel"

    def judge_all(
        self,
        submissions: Sequence[Submission],
        *,
        jobs: int = 1,
        force: bool = False,
        progress: Progress | None = None,
    ) -> Judged:
        """Judge what has no outcome yet (all of it with ``force``) and return every outcome.

        Raises PoolError if no judge starts, CourseError if the solved notebook does not pass; a
        submission that no judge survives is held.
        """
        store = Store.open(self.course, self.homework.id)
        outcomes = {s.student: self._refused(s) for s in submissions if s.problem is not None}
        for outcome in outcomes.values():
            store.save(outcome)
        open_ones = [s for s in submissions if s.problem is None]
        if not open_ones:
            return Judged(outcomes, frozenset(), {})
        before = _known(store, open_ones)
        unseen = len(open_ones) if force else len(open_ones) - len(before)
        with Pool(self._settings(), min(jobs, unseen)) as pool:
            known = {} if force else _counting(store, open_ones, pool.identity, before)
            todo = [s for s in open_ones if s.student not in known]
            if todo:
                pool.grow(min(jobs, len(todo)))
                self._check_reference(store, pool)
            outcomes |= known | self._judge(store, pool, todo, progress)
            return Judged(outcomes, frozenset(s.student for s in todo), before, pool.isolation)

    def _judge(
        self, store: Store, pool: Pool, todo: Sequence[Submission], progress: Progress | None
    ) -> dict[str, Outcome]:
        report = progress or (lambda done, total: None)
        journal = Journal.open(self.course)
        journal.write("run", homework=self.homework.id, todo=len(todo))
        report(0, len(todo))
        outcomes = {submission.student: self._held(submission) for submission in todo}
        work = self._jobs(todo, store, pool.identity)
        for done, verdict in enumerate(pool.run(work), start=1):
            outcome = verdict.outcome or self._held(verdict.job)
            store.save(outcome)
            if verdict.outcome is None:
                journal.write("held", student=outcome.student, problem=verdict.problem)
            outcomes[outcome.student] = outcome
            report(done, len(todo))
        return outcomes

    def _check_reference(self, store: Store, pool: Pool) -> None:
        """Judge the solved notebook first: a broken engine or suite must not grade a class."""
        path = self.course.root / "solutions" / self.homework.id / f"{self.homework.id}.ipynb"
        reference = look(REFERENCE, path)
        if reference.problem is not None:
            raise CourseError(f"{path}: {reference.problem}; run: kit build {self.homework.id}")
        if store.find(REFERENCE, reference.sha256, pool.identity) is not None:
            return
        verdict = next(pool.run(self._jobs([reference], store, pool.identity)))
        if verdict.outcome is None:
            raise CourseError(f"the solved notebook cannot be judged: {verdict.problem}")
        lost = [test for test in verdict.outcome.tests if test.state is not State.PASSED]
        if lost:
            raise CourseError(
                f"the solved notebook fails {len(lost)} of {len(verdict.outcome.tests)} hidden "
                f"tests (first: {lost[0].test}, {lost[0].state}), so nobody was graded: engine, "
                f"suite and notebook disagree; run: kit suite verify {self.homework.id}"
            )
        store.save(verdict.outcome)

    def _settings(self) -> PoolSettings:
        log = self.course.private(self.course.kit) / "judge.log"
        return PoolSettings(self.homework.id, self.course.root, log, self.judge, self.require)

    def _jobs(self, todo: Sequence[Submission], store: Store, identity: Identity) -> Iterator[Job]:
        ring = Keyring.open(self.course)
        for submission in todo:
            known = store.find(submission.student, submission.sha256, identity)
            k = ring.current if known is None else known.secret_index  # a replay keeps its inputs
            try:
                data = take(submission.path)
            except IntakeError:
                continue  # it changed after we looked: held below, and looked at again next time
            sha256 = hashlib.sha256(data).hexdigest()
            yield Job(submission.student, data, sha256, ring.secret(k), k)

    def _refused(self, submission: Submission) -> Outcome:
        state = State.GRADER_ERROR if submission.ours else State.MALFORMED
        reason = f"the submitted file {submission.problem}"
        return uniform_outcome(self.homework, submission.student, submission.sha256, state, reason)

    def _held(self, job: Job | Submission) -> Outcome:
        reason = "the grader could not judge this submission; your instructor will look at it"
        return uniform_outcome(self.homework, job.student, job.sha256, State.GRADER_ERROR, reason)


def _counting(
    store: Store,
    submissions: Sequence[Submission],
    identity: Identity,
    before: Mapping[str, Outcome],
) -> dict[str, Outcome]:
    """Outcomes that still count; each is made the latest of its submission."""
    found = {}
    for submission in submissions:
        known = store.find(submission.student, submission.sha256, identity)
        if known is not None:
            found[submission.student] = known
            if before[submission.student] != known:
                store.save(known)
    return found


def _known(store: Store, submissions: Sequence[Submission]) -> dict[str, Outcome]:
    found = {s.student: store.history(s.student, s.sha256) for s in submissions}
    return {student: history[-1] for student, history in found.items() if history}
