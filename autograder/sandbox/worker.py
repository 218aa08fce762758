"""Inside the locked worker: answer the judge, one call at a time. Layer: sandbox.

Everything here runs in the process that runs the student's code, so nothing it says is believed:
the judge checks each reply. It fails in simple ways and tells the judge which.
"""

from __future__ import annotations

import builtins
import importlib
import json
import os
import sys
import threading
import traceback
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple, dataclass
from typing import Any

from autograder.graph_wire import GraphWire
from autograder.sandbox.callback import ReferenceWire
from autograder.sandbox.errors import EXCEPTION_NAMES, MEMORY_EXIT_CODE
from autograder.sandbox.probe import probe
from autograder.sandbox.runner import run_graph
from autograder.wire import HEADER, Caps, Codec, Header, Kind, WireError
from tinyflow.adjoints import NoGradient
from tinyflow.errors import TinyflowError
from tinyflow.homework import Cell, LoadReport, locate, run_cells, select_cells
from tinyflow.ir import Op
from tinyflow.ops import OPS

__all__ = ["serve"]

_CAPS = Caps()
_DETAIL_CHARACTERS = 4_000
# A student may replace a module's function, and a metaclass may answer instead of a class.
_format_exception = traceback.format_exception
_bases = type.__dict__["__mro__"].__get__
_traceback = BaseException.__dict__["__traceback__"].__get__
_cause = BaseException.__dict__["__cause__"].__get__
_NAMES = {id(getattr(builtins, name)): name for name in EXCEPTION_NAMES - {"TinyflowError"}}
_NAMES[id(TinyflowError)] = "TinyflowError"


def serve(connection: int, role: str, nonce: int, report: Mapping[str, Any]) -> int:
    """Answer until the judge hangs up; returns the exit code.

    ``role``: "student" loads a notebook and calls its functions, "runner" executes graphs, "probe"
    tries what is forbidden. ``report`` goes out first, under ``nonce``.
    """
    _redirect_output()
    link = _Link(connection)
    handle = {"student": _student, "runner": run_graph, "probe": probe}[role]
    try:
        link.send(Kind.HELLO, nonce, dict(report))
        while True:
            link.answer(handle)
    except EOFError:
        return 0
    except MemoryError:
        return MEMORY_EXIT_CODE


def _redirect_output() -> None:
    for number, name in ((1, "stdout"), (2, "stderr")):
        text = os.fdopen(number, "w", 1, "utf-8", "replace", closefd=False)
        setattr(sys, name, text)
        setattr(sys, f"__{name}__", text)


class _Link:
    """The worker's end of the connection."""

    def __init__(self, connection: int) -> None:
        self.input = os.fdopen(connection, "rb", closefd=False)
        self.output = os.fdopen(connection, "wb", closefd=False)
        self.codec = Codec([GraphWire(OPS, judge=False), _References(self)])
        self.nonce: int | None = None  # of the call that is being answered
        self.turn = threading.Lock()  # the student's threads may use callbacks

    def send(self, kind: Kind, nonce: int, body: object) -> None:
        for part in self.codec.pack(kind, nonce, body, _CAPS):
            self.output.write(part)
        self.output.flush()

    def receive(self) -> tuple[Header, Any]:
        header = Header.parse(self._read(HEADER.size), _CAPS)
        text, raw = self._read(header.json_bytes), self._read(header.raw_bytes)
        return header, self.codec.unpack(text, raw, _CAPS)

    def _read(self, size: int) -> bytes:
        data = self.input.read(size)
        if len(data) < size:
            raise EOFError
        return data

    def answer(self, handle: Callable[[dict[str, Any]], object]) -> None:
        """Receive one request and reply with its result or with what went wrong."""
        header, body = self.receive()
        self.nonce = header.nonce
        try:
            result: object = handle(body)
        except BaseException as error:
            self.nonce = None
            self.send(Kind.ERROR, header.nonce, _describe(error))
            return
        self.nonce = None
        try:
            self.send(Kind.RESULT, header.nonce, result)
        except WireError as error:
            self.send(Kind.ERROR, header.nonce, {"fault": "malformed", "detail": str(error)})

    def ask(self, number: int, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        """Call back into the judge; raises TinyflowError with what the judge says is wrong."""
        with self.turn:
            if self.nonce is None:
                raise RuntimeError("given functions work only while a test is calling you")
            body = {"number": number, "args": list(args), "kwargs": kwargs}
            self.send(Kind.CALLBACK, self.nonce, body)
            header, answer = self.receive()
        if header.kind is Kind.REFUSAL:
            raise TinyflowError(answer)
        return answer


class _References(ReferenceWire):
    """The worker's end of ``$r``: what was given becomes callables, what is kept a number."""

    def __init__(self, link: _Link) -> None:
        self.link = link
        self.kept: list[object] = []

    def write(self, obj: object, write: Callable[[object], Any]) -> Any | None:
        """Keep the object and return its number; other callables do not cross."""
        if type(obj) is not _Kept:
            return None
        self.kept.append(obj.obj)
        return len(self.kept) - 1

    def read(self, content: Any, read: Callable[[Any], object]) -> Any:
        """A callable, a kept object, or a mapping of callables by op."""
        kind, what = content
        if kind == "table":
            return _Table({name: self.read(entry, read) for name, entry in what})
        if kind == "none":
            return NoGradient(what)
        if kind == "own":
            return _own(what)
        if kind == "kept":
            return self.kept[what]
        return lambda *args, **kwargs: self.link.ask(what, args, kwargs)


class _Table(Mapping[Op, Callable[..., object]]):
    """Given functions by op: ``table[node.op](node, dy)``, ``op in table``."""

    def __init__(self, entries: Mapping[str, Callable[..., object]]) -> None:
        self._entries = entries

    def __getitem__(self, op: Op) -> Callable[..., object]:
        name = str(getattr(op, "name", op))
        if name not in self._entries:
            raise KeyError(f"no function for the op {name!r}")
        return self._entries[name]

    def __iter__(self) -> Iterator[Op]:
        return (OPS[name] for name in self._entries if name in OPS)

    def __len__(self) -> int:
        return len(self._entries)


@dataclass(frozen=True, slots=True)
class _Kept:
    """Wraps a result that stays in the worker."""

    obj: object


def _student(body: dict[str, Any]) -> object:
    if "notebook" in body:
        return _load(body["notebook"], body["skeleton"])
    target = body["target"]
    function = _own(target) if isinstance(target, str) else target
    result = function(*body["args"], **body["kwargs"])
    return _Kept(result) if body["keep"] else result


def _load(notebook: bytes, skeleton: list[dict[str, Any]] | None) -> object:
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    ours = None if skeleton is None else [Cell(**cell) for cell in skeleton]
    cells = select_cells(json.loads(notebook), ours)
    report: LoadReport = run_cells(cells, module.__dict__, stub_imports=True)
    failures = [list(astuple(failure)) for failure in report.failures]
    return [failures, list(report.redefined), list(report.defined)]


def _own(name: str) -> Any:
    """What the notebook calls ``name``; raises NotImplementedError if it defines no such thing.

    "module:name" is what that module calls ``name``.
    """
    module, colon, member = name.partition(":")
    if colon:
        return getattr(importlib.import_module(module), member)
    function = sys.modules["__main__"].__dict__.get(name)
    if function is None:
        raise NotImplementedError(f"the notebook defines no {name!r}")
    return function


def _describe(error: BaseException) -> dict[str, object]:
    """What may be said about an exception; its class and metaclass may be the student's."""
    try:
        detail = "".join(_format_exception(error))[-_DETAIL_CHARACTERS:]
        detail = str.encode(detail, "utf-8", "replace").decode()
    except BaseException:
        detail = "(the exception cannot be printed)"
    classes = [*_bases(type(error)), *_bases(type(_cause(error)))]
    memory = any(cls is MemoryError for cls in classes)
    memory = memory or "can't allocate memory" in detail  # torch's RuntimeError
    name = next((_NAMES[id(c)] for c in classes if id(c) in _NAMES), "Exception")
    stub = name == "NotImplementedError"
    fault = "memory" if memory else "not_implemented" if stub else "error"
    return {"fault": fault, "name": name, "line": locate(_traceback(error)), "detail": detail}
