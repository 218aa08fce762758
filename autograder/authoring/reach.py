"""Is an answer lying about? Try everything callable as a solution. Layer: authoring.

A release without the bodies may still hold a function that does a task's work, and so may numpy,
torch or the standard library. Each callable is called, inside the locked worker, as the task's
function would be; what answers in the right form is then judged like a submission.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import tinyflow
from autograder.authoring.manifest import Homework, Task
from autograder.judge import Judge
from autograder.mutants.bank import replace_cells
from autograder.outcome import State
from autograder.sandbox import StudentFault, Worker
from tinyflow import ops
from tinyflow.ir import Graph, Value

__all__ = ["Reach", "callables", "try_everything"]

LIBRARIES = (
    *("numpy", "numpy.linalg", "torch", "torch.nn.functional", "torch.autograd", "torch.linalg"),
    *("builtins", "operator", "functools", "itertools", "math", "copy", "types"),
)
CHUNK = 400  # callables tried in one call of the worker
_ATTRIBUTES: Mapping[str, Mapping[str, Any]] = {
    "reduce_sum": {"reduction_indices": (0,)},
    "broadcast_to": {"shape": (2, 3)},
}
_ENDS = frozenset({"builtins:input", "builtins:breakpoint", "builtins:exit", "builtins:quit"})
_PROGRAM = """
import importlib

from tinyflow.ir import Graph, Value


def right_form(answer, form):
    if form == "value":
        return isinstance(answer, Value)
    if form == "graph":
        return isinstance(answer, Graph)
    listed = isinstance(answer, (tuple, list)) and len(answer) == form
    return listed and any(isinstance(item, Value) for item in answer)


def attempt(names, form, *args):
    found = []
    for name in names:
        module, _, path = name.partition(":")
        target = importlib.import_module(module)
        try:
            for part in path.split("."):
                target = getattr(target, part)
            if right_form(target(*args), form):
                found.append(name)
        except BaseException:
            pass
    return found
"""


@dataclass(frozen=True, slots=True)
class Reach:
    """``tried``: number of callables; ``in_form``: (task, name) that answered in the right form;
    ``solve``: those of them that earned all points of the task.
    """

    tried: int
    in_form: tuple[tuple[str, str], ...]
    solve: tuple[tuple[str, str], ...]


def callables() -> list[str]:
    """Everything callable in the engine and the libraries, as "module:name"."""
    walked = pkgutil.walk_packages(tinyflow.__path__, "tinyflow.")
    engine = ["tinyflow", *(info.name for info in walked if not info.name.endswith("__main__"))]
    found: dict[int, str] = {}
    for name in (*LIBRARIES, *engine):
        for member, target in _members(importlib.import_module(name)):
            if f"{name}:{member}" not in _ENDS:
                found.setdefault(id(target), f"{name}:{member}")
    return list(found.values())


def _members(module: ModuleType) -> Iterator[tuple[str, object]]:
    for name, target in sorted(vars(module).items()):
        if callable(target) and not name.startswith("__"):
            yield name, target
        if inspect.isclass(target) and (target.__module__ or "").startswith("tinyflow"):
            yield from ((f"{name}.{m}", f) for m, f in vars(target).items() if callable(f))


def try_everything(judge: Judge, solved: bytes, secret: bytes) -> Reach:
    """Try every callable on every task; ``solved`` is the solved notebook."""
    names = callables()
    in_form = [
        (task.name, name)
        for task in judge.homework.tasks
        if task.function
        for name in _in_form(judge, task, names)
    ]
    solve = [(task, name) for task, name in in_form if _solves(judge, task, name, solved, secret)]
    return Reach(len(names), tuple(in_form), tuple(solve))


def _in_form(judge: Judge, task: Task, names: Sequence[str]) -> list[str]:
    """Names of what answers in the form that the task's function must have."""
    form, args = _question(judge.homework, task)
    waiting = [list(names[start : start + CHUNK]) for start in range(0, len(names), CHUNK)]
    found: list[str] = []
    worker: Worker | None = None
    while waiting:
        chunk = waiting.pop()
        if worker is None or not worker.alive:
            worker = judge.sandbox.worker()
            worker.load(replace_cells(_EMPTY, {"program": _PROGRAM}, before="end"), None)
        try:
            found += [n for n in worker.call("attempt", chunk, form, *args) if n in chunk]
        except StudentFault:  # one of them ended the worker: find out which, and leave it out
            worker.close()
            half = len(chunk) // 2
            waiting += [part for part in (chunk[:half], chunk[half:]) if half and part]
    if worker is not None:
        worker.close()
    return found


_EMPTY = b'{"cells": [{"cell_type": "code", "id": "end", "source": "", "metadata": {}}]}'


def _question(homework: Homework, task: Task) -> tuple[object, tuple[object, ...]]:
    """Form of a right answer ("value", "graph" or a count) and arguments for the function."""
    x, y, dy = (Value(ops.placeholder(dtype="float64").node) for _ in range(3))
    labels = Value(ops.placeholder(dtype="int64").node)
    if task.name == "accumulate":
        return "value", ([x, y, dy],)
    if task.name == "gradient":
        return "graph", (Graph((ops.mul(ops.add(x, y), x),)), [x, y])
    op = ops.OPS[task.symbol.removesuffix("_adjoint")]
    inputs = {"x": x, "y": y, "logits": x, "labels": labels}
    value = op(*(inputs[name] for name in op.inputs), **_ATTRIBUTES.get(op.name, {}))
    assert isinstance(value, Value)
    return len(op.inputs), (value.node, dy)


def _solves(judge: Judge, task: str, name: str, solved: bytes, secret: bytes) -> bool:
    """Whether a submission that only names this callable passes all tests of the task."""
    module, _, path = name.partition(":")
    symbol = judge.homework.task(task).symbol
    source = f"import importlib\n{symbol} = importlib.import_module({module!r}).{path}\n"
    notebook = replace_cells(solved, {f"solution-{task}": source}, before=f"solution-{task}")
    outcome = judge.judge(notebook, "reach", secret, 0, tasks={task})
    return all(test.state is State.PASSED for test in outcome.tests)
