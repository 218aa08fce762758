"""Try what must be impossible, inside a locked worker, on the real paths. Layer: sandbox.

Isolation is measured, not assumed: the judge names the files that matter here (checkout, suites,
gradebook, other submissions, site-packages), and this reports what happened, attempt by attempt.
"""

from __future__ import annotations

import errno
import importlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from autograder.sandbox.libc import libc

__all__ = ["probe"]

_PTRACE_SEIZE = 0x4206  # unlike ATTACH, it does not stop the other process
_ANSWERS = ("sympy", "networkx", "jax", "tensorflow", "nbgrader", "autograder")


def probe(body: Mapping[str, Any]) -> object:
    """Attempts by name, each "refused (EACCES)" or "allowed".

    ``body``: ``read`` maps a label to a path that must be unreadable, ``granted`` is a file that
    may be read but not changed, ``judge_pid`` the process to leave alone.
    """
    judge, granted = int(body["judge_pid"]), str(body["granted"])
    attempts: dict[str, Callable[[], object]] = {
        f"read {label}": partial(_open, path, os.O_RDONLY) for label, path in body["read"].items()
    }
    attempts |= {
        "read the judge's environment": partial(_open, f"/proc/{judge}/environ", os.O_RDONLY),
        "write a temporary file": partial(_write, "/tmp/sandbox-probe"),
        "write in a folder it may read": partial(_write, f"{granted}.probe"),
        "empty a file it may read": partial(_open, granted, os.O_RDONLY | os.O_TRUNC),
        "change a file it may read": partial(_open, granted, os.O_WRONLY),
        "change a file's mode": partial(os.chmod, granted, 0o777),
        "remove a file it may read": partial(os.unlink, granted),
        "start a process": _fork,
        "run a program": lambda: subprocess.run([sys.executable, "-V"], check=True),
        "open a socket": lambda: socket.socket().close(),
        "connect to a port": lambda: socket.create_connection(("127.0.0.1", 1), 1),
        "signal the judge": partial(os.kill, judge, 0),
        "signal its parent": partial(os.kill, os.getppid(), 0),
        "trace its parent": partial(libc, "ptrace", _PTRACE_SEIZE, os.getppid(), 0, 0),
        "become root": partial(libc, "setuid", 0),
        "make an executable file in memory": lambda: os.close(os.memfd_create("probe")),
    }
    attempts |= {f"import {name}": partial(importlib.import_module, name) for name in _ANSWERS}
    return {name: _outcome(attempt) for name, attempt in attempts.items()}


def _outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return f"refused ({errno.errorcode.get(error.errno or 0, 'no such host')})"
    except ImportError:
        return "refused (not importable)"
    return "allowed"


def _open(path: str, flags: int) -> None:
    os.close(os.open(path, flags, 0o600))


def _write(path: str) -> None:
    _open(path, os.O_WRONLY | os.O_CREAT)
    os.unlink(path)


def _fork() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
