"""A worker in this process, for tests of the judge itself: it runs only notebooks written here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from autograder.sandbox import Crashed, NotImplementedByStudent, StudentError, StudentFault
from tinyflow.homework import LoadReport, run_cells, select_cells
from tinyflow.ir import Graph, Value
from tinyflow.runtime.interpreter import interpret


def notebook(*sources: str) -> bytes:
    """A notebook of plain code cells."""
    cells = [{"cell_type": "code", "id": f"c{i}", "source": s} for i, s in enumerate(sources)]
    return json.dumps({"nbformat": 4, "cells": cells}).encode()


class FakeWorker:
    """What ``Student`` and ``Runner`` need of a worker; ``log`` sees each one that is made."""

    def __init__(self, log: list[FakeWorker] | None = None, fault: StudentFault | None = None):
        self.alive, self.output, self.names, self.fault = True, "", {}, fault
        self.given = 0
        if log is not None:
            log.append(self)

    def load(self, data: bytes, skeleton: Any) -> LoadReport:
        if self.fault:
            raise self.fault
        return run_cells(select_cells(json.loads(data)), self.names)

    def call(self, name: str, *args: Any, timeout: float | None = None, **kwargs: Any) -> Any:
        self.timeout = timeout
        if name not in self.names:
            raise NotImplementedByStudent("not written yet")
        try:
            return self.names[name](*args, **kwargs)
        except StudentFault as fault:  # a notebook of a test plays a crash
            self.alive = not isinstance(fault, Crashed)
            raise
        except Exception as error:
            raise StudentError(type(error).__name__, "cell 1, line 2", str(error)) from None

    def run(self, graph: Graph, feeds: Mapping[Value, Any]) -> list[Any]:
        return interpret(graph, feeds)

    def close(self) -> None:
        self.alive = False


class FakeSandbox:
    """Hands out fake workers."""

    isolation: Mapping[str, Any] = {"grade": "none"}

    def __init__(self) -> None:
        self.workers: list[FakeWorker] = []

    def worker(self, limits: Any = None) -> FakeWorker:
        return FakeWorker(self.workers)

    runner = worker


Spawn = Callable[[], FakeWorker]
