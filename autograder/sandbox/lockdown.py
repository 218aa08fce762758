"""Lock the calling process: user, limits, files, system calls. Layer: sandbox.

Runs in the forked child before it sees a byte of a submission. Through libc alone: no root,
namespaces or compiled dependency are needed. Where the grader runs as root, the child first becomes
a spare user.
"""

from __future__ import annotations

import fcntl
import os
import platform
import resource
import signal
import struct
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from autograder.sandbox.fallback import Protections
from autograder.sandbox.landlock import READ_FILE, READ_WRITE, landlock_abi, restrict_files
from autograder.sandbox.libc import libc
from autograder.sandbox.limits import ONE_THREAD, Limits
from autograder.sandbox.seccomp import has_seccomp, restrict_syscalls, seccomp_program

__all__ = ["become_user", "detach", "die_with_parent", "lock", "set_limits"]

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_CAPABILITY_VERSION_3 = 0x20080522
_ENVIRONMENT = {"HOME": "/nonexistent", "PATH": "/nonexistent", "USER": "student", **ONE_THREAD}


def detach(connection: int, output: int) -> int:
    """Keep two descriptors and nothing else of the parent; returns the connection's new number.

    ``output`` becomes stdout and stderr, stdin is empty, the environment is scrubbed, signals go
    back to their defaults, and the process leads a session of its own.
    """
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.setsid()
    # under numbers that the next lines do not overwrite
    connection, output = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64) for fd in (connection, output))
    empty = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((empty, 0), (output, 1), (output, 2), (connection, 3)):
        os.dup2(source, target, inheritable=False)
    os.closerange(4, 1 << 20)
    os.environ.clear()
    os.environ.update(_ENVIRONMENT)
    os.chdir("/")
    os.umask(0o077)
    return 3


def lock(
    grants: Sequence[tuple[str, int]], limits: Limits, uid: int | None, protections: Protections
) -> dict[str, Any]:
    """Apply every protection and report which held; after this the process is a prisoner.

    ``uid``: the user to become (None: stay, which is an error for root). Raises OSError if a
    protection that the kernel offers is refused: the worker must then not start.
    """
    abi = landlock_abi() if protections.landlock else 0
    opens = protections.opens(abi)
    program = []  # made now: it is read from a file
    if protections.seccomp and has_seccomp():
        program = seccomp_program(os.getpid(), opens=opens, machine=platform.machine())
    with suppress(OSError):  # a container may forbid it; the memory limit holds all the same
        Path("/proc/self/oom_score_adj").write_text("1000")
    parent = os.getppid()
    if uid is not None:
        become_user(uid)
    if os.getuid() == 0 or os.geteuid() == 0:
        raise PermissionError("student code must not run as root; give the sandbox a spare uid")
    die_with_parent(parent)
    set_limits(limits, own_user=uid is not None)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    # a container's user may have capabilities without being root
    libc("capset", struct.pack("Ii", _CAPABILITY_VERSION_3, 0), bytes(24))
    if abi:
        devices = [("/dev/null", READ_WRITE), ("/dev/urandom", READ_FILE)]
        restrict_files(abi, [*grants, *devices])
    if program:
        restrict_syscalls(program)
    return {
        "uid": os.getuid(),
        "landlock_abi": abi,
        "seccomp": bool(program),
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


def set_limits(limits: Limits, *, own_user: bool) -> None:
    """Resource limits. Memory is what the process maps already plus ``limits.memory_bytes``.

    The number of threads is limited only for a user of our own: RLIMIT_NPROC counts everything that
    the user runs, and an instructor's desktop must not fail a student's thread.
    """
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    size_bytes = pages * os.sysconf("SC_PAGE_SIZE") + limits.memory_bytes
    forbidden = (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE, resource.RLIMIT_MEMLOCK)
    values = {
        **dict.fromkeys((*forbidden, resource.RLIMIT_MSGQUEUE), (0, 0)),
        resource.RLIMIT_AS: (size_bytes, size_bytes),
        resource.RLIMIT_CPU: (limits.cpu_s, limits.cpu_s + 1),
        resource.RLIMIT_NOFILE: (limits.files, limits.files),
    }
    if own_user:
        values[resource.RLIMIT_NPROC] = (limits.threads, limits.threads)
    for kind, pair in values.items():
        resource.setrlimit(kind, pair)


def _prctl(option: int, value: int) -> None:
    libc("prctl", option, value, 0, 0, 0)
