"""Landlock through libc: what the process may open from now on. Layer: sandbox.

Needs no root and no namespaces. Source: Documentation/userspace-api/landlock.rst of Linux; the
system call numbers are the same on x86_64 and aarch64.
"""

from __future__ import annotations

import os
import platform
import struct
import sys
from collections.abc import Iterable

from autograder.sandbox.libc import libc

__all__ = ["READ", "READ_DIR", "READ_FILE", "READ_WRITE", "landlock_abi", "restrict_files"]

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION, _PATH_BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | READ_FILE | _TRUNCATE | _IOCTL_DEV
_RIGHTS_OF_ABI = {1: 13, 2: 14, 3: 15, 4: 15}  # later: 16 kinds of access to files
_NET_TCP = 0b11  # bind and connect, from ABI 4
_SCOPED = 0b11  # abstract unix sockets and signals stay inside, from ABI 6

READ = READ_FILE | READ_DIR | _EXECUTE  # execute: mapping a library, not exec (seccomp has that)
READ_WRITE = READ_FILE | _WRITE_FILE | _TRUNCATE


def landlock_abi() -> int:
    """Version of Landlock that the kernel offers, 0 if none."""
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"):
        return 0
    try:
        return libc("syscall", _CREATE_RULESET, 0, 0, _ASK_VERSION)
    except OSError:
        return 0


def restrict_files(abi: int, grants: Iterable[tuple[str, int]]) -> None:
    """Deny every file access but ``grants`` (path, rights), for this process and for good.

    TCP, signals and abstract sockets are shut too where the kernel can. Paths that do not exist are
    passed over. ``abi`` is the kernel's, not 0. Raises OSError if the kernel offers Landlock but
    refuses it. The process must have NO_NEW_PRIVS set.
    """
    handled = (1 << _RIGHTS_OF_ABI.get(abi, 16)) - 1
    words = 1 + (abi >= 4) + (abi >= 6)
    attributes = struct.pack("QQQ", handled, _NET_TCP, _SCOPED)[: 8 * words]
    ruleset = libc("syscall", _CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for path, rights in grants:
            _grant(ruleset, path, rights & handled)
        libc("syscall", _RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _grant(ruleset: int, path: str, rights: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not os.path.isdir(path):
            rights &= _FILE_RIGHTS
        rule = struct.pack("=Qi", rights, handle)
        libc("syscall", _ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
    finally:
        os.close(handle)
