"""The judge's side of zygote and worker: start, ask, kill. Layer: sandbox.

A worker is one process without children, so a pidfd kills it whole. Whatever goes wrong inside
becomes one ``StudentFault``; after a fault that leaves the connection in doubt the worker is dead
and says the same thing to every later question.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from autograder.graph_wire import MAX_NODES, GraphWire
from autograder.sandbox.callback import Handle, ReferenceWire
from autograder.sandbox.channel import Channel
from autograder.sandbox.errors import Crashed, Malformed, SandboxError, StudentFault
from autograder.sandbox.limits import ONE_THREAD, Limits
from autograder.sandbox.reply import explain_end, kept_handle, load_report, read_reply, run_results
from autograder.wire import Caps, Codec, Kind, WireError
from tinyflow.errors import TinyflowError
from tinyflow.homework import LoadReport
from tinyflow.ir import Graph, Node, Value
from tinyflow.ops import OPS

__all__ = ["Worker", "Zygote"]

T = TypeVar("T")

_WRONG_ARGUMENTS = (TypeError, ValueError, AttributeError, LookupError, ArithmeticError)
_START_S, _HELLO_S, _END_S = 120.0, 20.0, 10.0


class Zygote:
    """The process that forks workers; see ``zygote.py``. Used by one thread."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._control, inner = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        boot = Path(__file__).with_name("boot.py")
        with inner:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-B", str(boot), str(inner.fileno())],
                pass_fds=[inner.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={"PATH": "/usr/bin:/bin", **ONE_THREAD},
                cwd="/",
                start_new_session=True,  # Ctrl-C is for the judge, which then closes us
            )
        self._ended: dict[int, Mapping[str, Any]] = {}
        self._count = 0
        self._control.settimeout(_START_S)
        try:
            self._control.send(json.dumps(settings).encode())
            self.info, _ = self._receive()
            if "failed" in self.info:
                raise OSError(self.info["failed"])
        except OSError as error:
            self._process.kill()
            said = self._process.communicate()[1].decode(errors="replace")[-4000:]
            self.close()
            raise SandboxError(f"the zygote did not start: {error}\n{said}") from None

    @property
    def alive(self) -> bool:
        """Whether it can still fork workers."""
        return self._process.poll() is None

    def worker(self, role: str, limits: Limits) -> Worker:
        """Fork a locked worker; raises SandboxError if that fails."""
        self._count += 1
        nonce = secrets.randbits(64)
        request = {"number": self._count, "role": role, "nonce": nonce, "limits": asdict(limits)}
        connection, far = socket.socketpair()
        output, far_output = os.pipe()
        try:
            self._control.settimeout(_START_S)
            message = json.dumps(request).encode()
            socket.send_fds(self._control, [message], [far.fileno(), far_output])
            pidfds: list[int] = []
            while not pidfds:  # how others ended may arrive before
                _, pidfds = self._receive()
        except OSError as error:
            connection.close()
            os.close(output)
            raise SandboxError(f"the zygote cannot start a worker: {error}") from None
        finally:
            far.close()
            os.close(far_output)
        return Worker(self, self._count, connection, output, pidfds[0], nonce, limits)

    def ended(self, number: int) -> Mapping[str, Any]:
        """How worker ``number`` ended: status, expired, cpu_s, peak_bytes; empty if unknown."""
        self._control.settimeout(_END_S)
        try:
            while number not in self._ended:
                self._receive()
        except OSError:
            return {}
        return self._ended.pop(number)

    def _receive(self) -> tuple[dict[str, Any], list[int]]:
        """A message and its descriptors; how a worker ended is kept for who asks."""
        data, descriptors, _, _ = socket.recv_fds(self._control, 1 << 16, 1)
        if not data:
            raise OSError("it has ended")
        message = json.loads(data)
        if "ended" in message:
            self._ended[message["ended"]] = message
        return message, descriptors

    def close(self) -> None:
        """End it and all its workers."""
        self._control.close()
        with self._process:
            try:
                self._process.wait(_END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()


class Worker:
    """One locked process. Made by ``Sandbox.worker`` and ``Sandbox.runner``."""

    def __init__(
        self,
        zygote: Zygote,
        number: int,
        connection: socket.socket,
        output: int,
        pidfd: int,
        nonce: int,
        limits: Limits,
    ) -> None:
        self.limits = limits
        self.usage: Mapping[str, Any] = {}  # cpu_s and peak_bytes, once it has ended
        self._zygote, self._number, self._pidfd = zygote, number, pidfd
        self._graphs = GraphWire(OPS, judge=True)
        self._references = ReferenceWire()
        codec = Codec([self._graphs, self._references])
        self._channel = Channel(connection, output, codec, limits)
        self._end: StudentFault | None = None
        try:
            kind, report = self._channel.receive(nonce, Caps(), time.monotonic() + _HELLO_S)
            if kind is not Kind.HELLO or not isinstance(report, dict):
                raise WireError("it did not say what protects it")
        except (StudentFault, WireError) as fault:
            self.close()
            raise SandboxError(f"a worker did not start: {fault}\n{self.output}") from None
        self.report: Mapping[str, Any] = report

    @property
    def alive(self) -> bool:
        """Whether it can still be asked anything."""
        return self._end is None

    @property
    def output(self) -> str:
        """The first part of what it printed; text the student controls."""
        return self._channel.printed.decode("utf-8", "replace")

    @property
    def given(self) -> int:
        """How many functions of the judge it was given: it may have learnt from their answers."""
        return len(self._references.given)

    def made(self, node: Node) -> bool:
        """True if ``node`` was made in the worker; false for the judge's own nodes."""
        return node in self._graphs.made

    def load(self, notebook: bytes, skeleton: Sequence[Mapping[str, Any]] | None) -> LoadReport:
        """Parse and run a notebook inside. ``skeleton``: trusted set-up cells (see ``Cell``).

        Raises StudentFault, for example StudentError if the bytes are no notebook.
        """
        cells = None if skeleton is None else [dict(cell) for cell in skeleton]
        body = {"notebook": notebook, "skeleton": cells}
        return self._request(body, self.limits.load_s, load_report)

    def call(
        self,
        target: str | Handle,
        *args: object,
        timeout: float | None = None,
        keep: bool = False,
        **kwargs: object,
    ) -> Any:
        """Call a function of the notebook, of a module ("module:name"), or a kept one.

        ``args`` and ``kwargs`` may hold data, graphs, values, nodes, callbacks and handles.
        ``keep``: leave the result in the worker and return its Handle. Raises StudentFault.

        A callback is called with what the student passes: TinyflowError, TypeError and the like
        are raised in the student's code; anything else it raises ends the call and is raised here.
        """
        body = {"target": target, "args": list(args), "kwargs": kwargs, "keep": keep}
        return self._request(body, timeout, kept_handle if keep else lambda result: result)

    def run(
        self,
        graph: Graph,
        feeds: Mapping[Value, Any] | Mapping[Node, Any],
        variables: dict[str, Any] | None = None,
    ) -> list[Any]:
        """Execute ``graph`` (runners only); ``variables`` is updated with what the run wrote.

        Raises StudentFault: the graph is the student's, so what goes wrong is too.
        """
        body = {
            "graph": graph,
            "feeds": [[value, np.asarray(array)] for value, array in feeds.items()],
            "variables": variables or {},
        }
        try:
            arrays, written = self._request(body, None, run_results)
        except WireError as error:  # it came in parts, and is too much for one message
            raise Malformed(f"the graph cannot be passed on: {error}") from None
        if variables is not None:
            variables.update(written)
        return arrays

    def try_forbidden(self, read: Mapping[str, str], granted: str, judge_pid: int) -> Any:
        """Let a probe try what must be impossible; see ``probe.py``."""
        body = {"read": dict(read), "granted": granted, "judge_pid": judge_pid}
        return self._request(body, None, lambda result: result)

    def close(self) -> None:
        """Kill the process, whatever it is doing."""
        self._finish(Crashed("the worker was closed"), asked=True)

    def _request(self, body: object, timeout_s: float | None, read: Callable[[Any], T]) -> T:
        """Ask; ``read`` turns the answer into what was asked for, or raises WireError."""
        if self._end is not None:
            raise type(self._end)(*self._end.args, detail=self._end.detail)
        deadline = time.monotonic() + (self.limits.call_s if timeout_s is None else timeout_s)
        nonce = secrets.randbits(64)
        try:
            self._channel.check_quiet()
            self._channel.send(Kind.CALL, nonce, body, deadline)
            kind, reply = self._served(nonce, deadline)
            self._channel.drain()
            answer = read_reply(kind, reply, read)
        except StudentFault as fault:
            end = self._finish(fault)
            if isinstance(end, Crashed) and not self._zygote.alive:
                raise SandboxError("the zygote ended, and the worker with it") from None
            raise end from None
        except BaseException:
            self.close()  # a callback of the judge raised in the middle of a call
            raise
        if isinstance(answer, StudentFault):
            raise answer
        return answer

    def _served(self, nonce: int, deadline: float) -> tuple[Kind, object]:
        """Serve the callbacks of one call, and return its result or error."""
        while True:
            kind, reply = self._channel.receive(nonce, self._caps(), deadline)
            if kind in (Kind.RESULT, Kind.ERROR):
                return kind, reply
            if kind is not Kind.CALLBACK or not isinstance(reply, dict):
                raise Malformed("the worker sent a frame out of turn")
            if len(self._graphs.nodes) > MAX_NODES:
                raise Malformed(f"the given functions made more than {MAX_NODES} nodes")
            try:
                answer = self._references.call(
                    reply.get("number"), reply.get("args"), reply.get("kwargs")
                )
                self._channel.send(Kind.ANSWER, nonce, answer, deadline)
            except TinyflowError as error:
                self._channel.send(Kind.REFUSAL, nonce, str(error)[:1000], deadline)
            except WireError as error:
                raise Malformed(f"the given function built too much: {error}") from None
            except _WRONG_ARGUMENTS as error:
                text = f"the given function cannot take these arguments ({type(error).__name__})"
                self._channel.send(Kind.REFUSAL, nonce, text, deadline)

    def _caps(self) -> Caps:
        sent = self._channel
        return Caps().relative_to(
            sent.sent_json_bytes, sent.sent_raw_bytes, len(self._graphs.nodes)
        )

    def _finish(self, fault: StudentFault, *, asked: bool = False) -> StudentFault:
        """Kill the process if it lives; returns the fault that explains its end best."""
        if self._end is not None:
            return self._end
        crashed = not asked and isinstance(fault, Crashed) and self._ends_by_itself()
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        self._channel.close()
        os.close(self._pidfd)
        self.usage = self._zygote.ended(self._number)
        self._end = explain_end(fault, self.usage, self.limits) if crashed else fault
        return self._end

    def _ends_by_itself(self) -> bool:
        """Whether the process ends without our help, so that its exit status explains the fault."""
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return bool(poll.poll(200))
