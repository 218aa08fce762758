"""The zygote: imports everything once, then forks a locked worker per request. Layer: sandbox.

Trusted code only, one thread only (a fork with a live thread pool hangs), and no secret: a fork
copies memory. It also holds the wall deadline of every worker, so that a busy or killed judge
leaves nothing running. Each request is one datagram with two descriptors: connection and output.
"""

from __future__ import annotations

import gc
import json
import math
import os
import select
import signal
import socket
import time
import traceback
import warnings
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from autograder.sandbox.fallback import Protections
from autograder.sandbox.limits import Limits
from autograder.sandbox.lockdown import detach, lock
from autograder.sandbox.preload import forget_others, grants, preload_engine, preload_library
from autograder.sandbox.worker import serve

__all__ = ["zygote"]


@dataclass(frozen=True, slots=True)
class _Child:
    number: int
    pid: int
    deadline: float


def zygote(control: socket.socket, settings: dict[str, Any]) -> None:
    """Preload, report, and serve requests until the judge closes its end."""
    try:
        preload_library(settings["site_dirs"])
        preload_engine(settings["engine"])
        forgotten = forget_others(settings["engine"])
        threads = len(os.listdir("/proc/self/task"))
        if threads != 1:
            raise RuntimeError(f"{threads} threads after the imports; a fork needs exactly 1")
    except BaseException:
        _send(control, {"failed": traceback.format_exc()[-4000:]})
        return
    warnings.resetwarnings()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    gc.collect()
    gc.freeze()
    _send(control, {"ready": os.getpid(), "forgotten": forgotten})
    _Zygote(control, settings).run()


class _Zygote:
    def __init__(self, control: socket.socket, settings: dict[str, Any]) -> None:
        self.control, self.uid = control, settings["uid"]
        self.protections = Protections(**settings["protections"])
        self.grants = grants([settings["engine"], settings["granted"]])
        self.children: dict[int, _Child] = {}  # by pidfd, which is readable once the child ended
        self.poll = select.poll()
        self.poll.register(control, select.POLLIN)

    def run(self) -> None:
        try:
            while True:
                first = min((c.deadline for c in self.children.values()), default=math.inf)
                wait_s = min(max(0.0, first - time.monotonic()), 60.0)
                for descriptor, _ in self.poll.poll(1000 * wait_s):
                    if descriptor in self.children:
                        self._reap(descriptor, expired=False)
                    elif not self._request():
                        return
                self._expire()
        finally:
            for child in self.children.values():
                os.kill(child.pid, signal.SIGKILL)

    def _expire(self) -> None:
        now = time.monotonic()
        for descriptor in [d for d, c in self.children.items() if c.deadline <= now]:
            os.kill(self.children[descriptor].pid, signal.SIGKILL)
            self._reap(descriptor, expired=True)

    def _reap(self, descriptor: int, *, expired: bool) -> None:
        child = self.children.pop(descriptor)
        self.poll.unregister(descriptor)
        os.close(descriptor)
        _, status, usage = os.wait4(child.pid, 0)
        message = {
            "ended": child.number,
            "status": status,
            "expired": expired,
            "cpu_s": usage.ru_utime + usage.ru_stime,
            "peak_bytes": usage.ru_maxrss * 1024,
        }
        _send(self.control, message)

    def _request(self) -> bool:
        """Fork a worker for one request; False if the judge has gone."""
        data, descriptors, _, _ = socket.recv_fds(self.control, 1 << 16, 2)
        if not data or len(descriptors) != 2:
            return False
        request = json.loads(data)
        limits = Limits(**request["limits"])
        pid = os.fork()
        if pid == 0:
            self._child(request, limits, *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        handle = os.pidfd_open(pid)
        self.children[handle] = _Child(request["number"], pid, time.monotonic() + limits.life_s)
        self.poll.register(handle, select.POLLIN)
        socket.send_fds(
            self.control, [json.dumps({"started": request["number"]}).encode()], [handle]
        )
        return True

    def _child(self, request: dict[str, Any], limits: Limits, conn: int, output: int) -> None:
        """Never returns: lock first, then serve."""
        code = 1
        try:
            connection = detach(conn, output)
            report = lock(self.grants, limits, self.uid, self.protections)
            code = serve(connection, request["role"], request["nonce"], report)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)


def _send(control: socket.socket, message: dict[str, Any]) -> None:
    with suppress(OSError):  # the judge has gone; the next read says so
        control.send(json.dumps(message).encode())
