"""Lock the calling process: user, limits, files, system calls. Layer: sandbox.

Runs in the forked child before it sees a byte of a submission. Pure ctypes: no root, namespaces or
compiled dependency are needed. Where the grader runs as root, the child first becomes a spare user.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import resource
import signal
import struct
from collections.abc import Sequence
from typing import Any

from autograder.sandbox.fallback import Protections
from autograder.sandbox.landlock import READ_FILE, READ_WRITE, restrict_files
from autograder.sandbox.limits import Limits
from autograder.sandbox.seccomp import restrict_syscalls

__all__ = ["become_user", "detach", "die_with_parent", "drop_capabilities", "lock", "set_limits"]

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_CAPABILITY_VERSION_3 = 0x20080522
_ENVIRONMENT = {"HOME": "/nonexistent", "PATH": "/nonexistent", "USER": "student"}
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def detach(connection: int, output: int) -> int:
    """Keep two descriptors and nothing else of the parent; returns the connection's new number.

    ``output`` becomes stdout and stderr, stdin is empty, the environment is scrubbed, signals go
    back to their defaults, and the process leads a session of its own.
    """
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.setsid()
    connection, output = _above(connection), _above(output)
    empty = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((empty, 0), (output, 1), (output, 2), (connection, 3)):
        os.dup2(source, target, inheritable=False)
    os.closerange(4, 1 << 20)
    os.environ.clear()
    os.environ.update(_ENVIRONMENT, **dict.fromkeys(_THREADS, "1"))
    os.chdir("/")
    os.umask(0o077)
    return 3


def _above(descriptor: int) -> int:
    """The same file under a number that ``detach`` does not overwrite."""
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 64)


def lock(
    grants: Sequence[tuple[str, int]], limits: Limits, uid: int | None, protections: Protections
) -> dict[str, Any]:
    """Apply every protection and report which held; after this the process is a prisoner.

    ``uid``: the user to become (None: stay, which is an error for root). Raises OSError if a
    protection that the kernel offers is refused: the worker must then not start.
    """
    _write_proc("oom_score_adj", "1000")
    parent = os.getppid()
    if uid is not None:
        become_user(uid)
    if os.getuid() == 0 or os.geteuid() == 0:
        raise PermissionError("student code must not run as root; give the sandbox a spare uid")
    die_with_parent(parent)
    set_limits(limits, own_user=uid is not None)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    drop_capabilities()
    devices = [("/dev/null", READ_WRITE), ("/dev/urandom", READ_FILE)]
    abi = restrict_files([*grants, *devices]) if protections.landlock else 0
    opens = protections.opens(abi)
    rules = restrict_syscalls(opens=opens) if protections.seccomp else 0
    return {
        "uid": os.getuid(),
        "landlock_abi": abi,
        "seccomp": bool(rules),
        "opens_files": opens,
    }


def become_user(uid: int) -> None:
    """Give up root for ``uid``, a user that owns nothing; raises OSError if that cannot be."""
    try:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    except OSError as error:
        advice = "run the grader as an ordinary user, or in a container that may change user"
        raise OSError(
            error.errno, f"cannot become user {uid} ({error.strerror}); {advice}"
        ) from None


def die_with_parent(parent: int) -> None:
    """Be killed when the parent ends. Set after changing user, which would undo it."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _prctl(_PR_SET_DUMPABLE, 0)  # no other process of this user may read our memory
    if os.getppid() != parent:
        os._exit(1)


def drop_capabilities() -> None:
    """Give up every capability: a container's user may have some without being root."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    if libc.capset(header, bytes(24)):
        code = ctypes.get_errno()
        raise OSError(code, f"capset: {os.strerror(code)}")


def set_limits(limits: Limits, *, own_user: bool) -> None:
    """Resource limits. Memory is what the process maps already plus ``limits.memory_bytes``.

    The number of threads is limited only for a user of our own: RLIMIT_NPROC counts everything that
    the user runs, and an instructor's desktop must not fail a student's thread.
    """
    size_bytes = _mapped_bytes() + limits.memory_bytes
    values = {
        resource.RLIMIT_AS: (size_bytes, size_bytes),
        resource.RLIMIT_CPU: (limits.cpu_s, limits.cpu_s + 1),
        resource.RLIMIT_NOFILE: (limits.files, limits.files),
        resource.RLIMIT_FSIZE: (0, 0),
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_MEMLOCK: (0, 0),
        resource.RLIMIT_MSGQUEUE: (0, 0),
    }
    if own_user:
        values[resource.RLIMIT_NPROC] = (limits.threads, limits.threads)
    for kind, pair in values.items():
        resource.setrlimit(kind, pair)


def _mapped_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _write_proc(name: str, text: str) -> None:
    try:
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
    except OSError:
        return  # a container may forbid it; the memory limit holds all the same


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(*(ctypes.c_ulong(argument) for argument in (option, value, 0, 0, 0))):
        code = ctypes.get_errno()
        raise OSError(code, f"prctl {option}: {os.strerror(code)}")
