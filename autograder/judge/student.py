"""What a hidden test sees of a submission: its functions, called in a locked worker. Layer: judge.

Each test module, or group of modules, gets a fresh worker, so that what a function leaves behind
does not last. A worker that dies is replaced, a bounded number of times for each task: an endless
loop must cost its own task, not the patience of everybody and not the marks of the other tasks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autograder.sandbox import Budget, Handle, StudentFault, TimedOut, Worker
from tinyflow.homework import LoadReport
from tinyflow.ir import Graph, Value

__all__ = ["Runner", "Student"]


@dataclass(slots=True)
class Student:
    """Proxy of one submission: ``student.mul_adjoint(node, dy)`` calls its function.

    Every way a call can end badly is a StudentFault whose state becomes the state of the test.
    """

    spawn: Callable[[], Worker]
    notebook: bytes
    skeleton: Sequence[Mapping[str, Any]]
    budget: Budget
    call_s: float = 10.0
    slow_load_s: float = 1.0  # a notebook this slow to load keeps its worker between groups
    deaths_allowed: int = 2  # per task
    report: LoadReport | None = None
    output: str = ""
    _worker: Worker | None = None
    _group: str = ""
    _task: str = ""
    _deaths: dict[str, list[StudentFault]] = field(default_factory=dict)
    _unloadable: StudentFault | None = None
    _load_s: float = 0.0

    def call(self, name: str, *args: object, timeout: float | None = None, **kwargs: Any) -> Any:
        """Call function ``name`` in the worker and return its answer; raises StudentFault."""
        worker = self._ready()
        allowed = min(timeout or self.call_s, self.budget.left_s)
        try:
            return worker.call(name, *args, timeout=allowed, **kwargs)
        except StudentFault as fault:
            if not worker.alive:
                self._deaths.setdefault(self._task, []).append(fault)
            raise
        finally:
            self.output = worker.output or self.output

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args, **options: self.call(name, *args, **options)

    def lend(self, items: Sequence[object]) -> Handle:
        """A list that lies in the worker: pass it on, and ``look`` whether it was changed."""
        return self.call("builtins:list", list(items), keep=True)  # type: ignore[no-any-return]

    def look(self, lent: Handle) -> object:
        """What a lent list holds now."""
        return self.call("builtins:list", lent)

    def begin(self, task: str, group: str) -> None:
        """A test of ``task`` begins; a new ``group`` of tests gets a new worker.

        Not so if loading this notebook takes long: it keeps its worker, unless that was given
        functions of the judge, which are right answers to other tasks.
        """
        slow = self._load_s >= self.slow_load_s and self._worker and not self._worker.given
        if group != self._group and not slow:
            self.close()
        self._task, self._group = task, group

    def close(self) -> None:
        """End the worker."""
        if self._worker is not None:
            self._worker.close()
        self._worker = None

    def _ready(self) -> Worker:
        """The live worker, or a new one with the notebook loaded."""
        if self._unloadable is not None:
            raise self._unloadable
        if self.budget.left_s <= 0:
            raise TimedOut("the submission used up the time of all its tests")
        deaths = self._deaths.get(self._task, [])
        if len(deaths) >= self.deaths_allowed:
            raise deaths[-1]
        if self._worker is None or not self._worker.alive:
            self.close()
            self._worker = self._load()
        return self._worker

    def _load(self) -> Worker:
        worker, began_s = self.spawn(), time.monotonic()
        try:
            self.report = worker.load(self.notebook, self.skeleton)
        except StudentFault as fault:
            self._unloadable = fault  # it would end the same way for every module
            self.output = worker.output
            worker.close()
            raise
        self._load_s = time.monotonic() - began_s
        self.output = worker.output
        return worker


@dataclass(slots=True)
class Runner:
    """Executes graphs, the student's among them, in a locked worker without student code."""

    spawn: Callable[[], Worker]
    budget: Budget
    deaths_allowed: int = 2  # per task
    _worker: Worker | None = None
    _task: str = ""
    _deaths: dict[str, list[StudentFault]] = field(default_factory=dict)

    def begin(self, task: str) -> None:
        """A test of ``task`` begins."""
        self._task = task

    def run(self, graph: Graph, feeds: Mapping[Value, Any]) -> list[Any]:
        """Arrays of the graph's outputs; raises StudentFault if the graph cannot be executed."""
        if self.budget.left_s <= 0:
            raise TimedOut("the submission used up the time of all its tests")
        deaths = self._deaths.setdefault(self._task, [])
        if len(deaths) >= self.deaths_allowed:
            raise deaths[-1]
        if self._worker is None or not self._worker.alive:
            self.close()
            self._worker = self.spawn()
        try:
            return self._worker.run(graph, feeds)
        except StudentFault as fault:
            if not self._worker.alive:
                deaths.append(fault)
            raise

    def close(self) -> None:
        """End the worker."""
        if self._worker is not None:
            self._worker.close()
        self._worker = None
