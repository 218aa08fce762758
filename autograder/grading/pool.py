"""N processes, each holding one judge; any of them may die. Layer: grading.

A judge that dies, hangs or raises loses only the submission it held: it is replaced, and the
submission is tried again elsewhere before it is given up (and its mark held for a human).
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import time
import traceback
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from autograder.grading.store import Identity
from autograder.outcome import Outcome

__all__ = ["JUDGE", "Job", "Pool", "PoolError", "PoolSettings", "Verdict"]

JUDGE = "autograder.judge:Judge"
_SPAWN = multiprocessing.get_context("spawn")
_START_S = 120.0
_Spawned = tuple[SpawnProcess, Connection]


class PoolError(RuntimeError):
    """No judge can be started on this machine; the message carries the judge's own words."""


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """What every judge process is told. ``judge`` is "module:class" and imported over there."""

    homework_id: str
    root: Path
    log: Path  # where judge processes print; the terminal stays the progress bar's
    judge: str = JUDGE
    require: str = "kernel"
    attempts: int = 3
    deadline_s: float = 600.0  # per submission, far above the judge's own budgets


@dataclass(frozen=True, slots=True)
class Job:
    """One submission to judge: its bytes, and the secret its hidden inputs come from."""

    student: str
    notebook: bytes
    sha256: str
    secret: bytes
    k: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one job ended: an outcome, or None and why every attempt failed."""

    job: Job
    outcome: Outcome | None
    problem: str = ""


@dataclass(slots=True)
class _Judge:
    """The parent's end of one judge process."""

    process: SpawnProcess
    pipe: Connection
    identity: Identity
    isolation: dict[str, Any]
    job: Job | None = None
    begun_s: float = 0.0


@dataclass(slots=True)
class _Queue:
    """Jobs still to do (read one by one, so memory stays small) and how often each was tried."""

    source: Iterator[Job]
    again: deque[Job] = field(default_factory=deque)
    tries: dict[str, int] = field(default_factory=dict)

    def next(self) -> Job | None:
        """The next job, new ones first; None when all are done or being judged."""
        return next(self.source, None) or (self.again.popleft() if self.again else None)


class Pool:
    """A context manager around the judge processes; ``run`` yields verdicts as they come."""

    def __init__(self, settings: PoolSettings, processes: int = 1) -> None:
        self._settings = settings
        self._first = max(1, processes)
        self._starting: deque[_Spawned] = deque()
        self._judges: list[_Judge] = []

    def __enter__(self) -> Pool:
        self.grow(self._first)
        try:
            self._judges.append(self._greet(self._starting.popleft()))
        except PoolError:
            self._abandon()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._abandon()
        for judge in self._judges:
            self._stop(judge)
        self._judges.clear()

    def grow(self, processes: int) -> None:
        """Start more judges until there are ``processes``; they join as they become ready."""
        while len(self._judges) + len(self._starting) < processes:
            self._starting.append(self._spawn())

    def _abandon(self) -> None:
        """End the processes that nobody has waited for."""
        while self._starting:
            process, pipe = self._starting.popleft()
            pipe.close()
            process.kill()
            process.join()

    @property
    def identity(self) -> Identity:
        """The suite and environment digests every judge of this pool reports."""
        return self._judges[0].identity

    @property
    def isolation(self) -> dict[str, Any]:
        """The isolation report of the first judge."""
        return self._judges[0].isolation

    def run(self, jobs: Iterable[Job]) -> Iterator[Verdict]:
        """Judge every job, in any order; raises PoolError when no judge can be started."""
        queue = _Queue(iter(jobs))
        while True:
            for judge in self._judges:
                if judge.job is None:
                    self._give(judge, queue.next())
            if all(judge.job is None for judge in self._judges):
                return
            if self._starting and self._starting[0][1].poll():
                self._judges.append(self._greet(self._starting.popleft()))
                continue
            yield from self._gather(queue)

    def _give(self, judge: _Judge, job: Job | None) -> None:
        judge.job = job
        judge.begun_s = time.monotonic()
        if job is not None:
            with suppress(OSError):  # it died between two jobs: _gather sees the closed pipe
                judge.pipe.send(job)

    def _gather(self, queue: _Queue) -> Iterator[Verdict]:
        busy = [judge for judge in self._judges if judge.job is not None]
        now_s, limit_s = time.monotonic(), self._settings.deadline_s
        patience_s = min(judge.begun_s + limit_s - now_s for judge in busy)
        next_up = [pipe for _, pipe in self._starting][:1]
        ready = wait([*next_up, *(judge.pipe for judge in busy)], timeout=max(0.0, patience_s))
        for judge in busy:
            if judge.pipe in ready:
                verdict = self._receive(judge, queue)
            elif time.monotonic() - judge.begun_s >= limit_s:
                verdict = self._lose(judge, queue, f"the judge took longer than {limit_s:.0f} s")
            else:
                continue
            if verdict is not None:
                yield verdict

    def _receive(self, judge: _Judge, queue: _Queue) -> Verdict | None:
        assert judge.job is not None
        try:
            kind, text = judge.pipe.recv()
        except (EOFError, OSError):
            judge.process.join(timeout=5)
            return self._lose(judge, queue, f"the judge died (exit {judge.process.exitcode})")
        if kind == "failed":
            return self._lose(judge, queue, text)
        job, judge.job = judge.job, None
        outcome = Outcome.from_json(text)
        if (outcome.student, outcome.submission_sha256) != (job.student, job.sha256):
            return Verdict(job, None, "the judge answered for another submission")
        return Verdict(job, outcome)

    def _lose(self, judge: _Judge, queue: _Queue, why: str) -> Verdict | None:
        """Replace a judge; put its job back, or give it up after the last attempt."""
        job = judge.job
        assert job is not None
        self._stop(judge, kill=True)
        self._judges[self._judges.index(judge)] = self._greet(self._spawn())
        queue.tries[job.student] = queue.tries.get(job.student, 0) + 1
        if queue.tries[job.student] >= self._settings.attempts:
            return Verdict(job, None, why)
        queue.again.append(job)
        return None

    def _spawn(self) -> _Spawned:
        ours, theirs = _SPAWN.Pipe()
        process = _SPAWN.Process(target=_serve, args=(theirs, self._settings))
        process.start()
        theirs.close()
        return process, ours

    def _greet(self, spawned: _Spawned) -> _Judge:
        process, pipe = spawned
        kind = "failed"
        facts: list[Any] = [f"no answer in {_START_S:.0f} s"]
        try:
            if pipe.poll(_START_S):
                kind, *facts = pipe.recv()
        except (EOFError, OSError):
            process.join(timeout=5)
            facts = [f"it ended with exit {process.exitcode}; see {self._settings.log}"]
        if kind != "ready":
            pipe.close()
            process.kill()
            raise PoolError(f"the judge does not start: {facts[0]}")
        suite, environment, isolation = facts
        return _Judge(process, pipe, Identity(suite, environment), isolation)

    def _stop(self, judge: _Judge, *, kill: bool = False) -> None:
        judge.pipe.close()  # an idle judge reads the end of its pipe and leaves by itself
        if kill or judge.job is not None:
            judge.process.kill()
        judge.process.join(timeout=10)
        if judge.process.is_alive():
            judge.process.kill()
            judge.process.join()


def _serve(pipe: Connection, settings: PoolSettings) -> None:
    """The judge process: one judge, many submissions, until the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us, in order
    log = os.open(settings.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        _judge_all(pipe, settings)
    except (EOFError, BrokenPipeError):
        return  # the parent is gone or has no more work
    except Exception as error:
        traceback.print_exc()
        with suppress(OSError):
            pipe.send(("failed", f"{type(error).__name__}: {error}"))


def _judge_all(pipe: Connection, settings: PoolSettings) -> None:
    from autograder.authoring.manifest import load_homework

    module, _, name = settings.judge.partition(":")
    factory = getattr(importlib.import_module(module), name)
    homework = load_homework(settings.root, settings.homework_id)
    with factory(homework, settings.root, require=settings.require) as judge:
        isolation = dict(judge.isolation)
        pipe.send(("ready", judge.suite_sha256, judge.environment_sha256, isolation))
        while True:
            job: Job = pipe.recv()
            outcome: Outcome = judge.judge(job.notebook, job.student, job.secret, job.k)
            pipe.send(("outcome", outcome.to_json()))
