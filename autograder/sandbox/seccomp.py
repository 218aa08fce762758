"""A seccomp allow-list in raw BPF: which system calls the process may make. Layer: sandbox.

Threads yes, processes no; signals to itself only; no socket, exec, trace or mode change.
What is refused on purpose answers EPERM or EACCES, so that Python raises PermissionError; what is
not named at all answers ENOSYS, so that libc falls back. The table is ``syscalls.txt``; the rules
on arguments are here. Source: seccomp(2), bpf(4).
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
from collections.abc import Sequence
from pathlib import Path

from autograder.sandbox.libc import libc

__all__ = ["AUDIT_ARCH", "call_table", "has_seccomp", "restrict_syscalls", "seccomp_program"]

AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # in the order of the table's columns

_LOAD, _EQUAL, _AT_LEAST, _RETURN, _AND = 0x20, 0x15, 0x35, 0x06, 0x54
_ALLOW, _ERRNO, _KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_X32 = 0x40000000
_ACCESS, _TRUNC = 0x003, 0x200  # of the flags of open
_THREAD, _NEW_ANYTHING = 0x00010000, 0x7E020080  # of the flags of clone
_FCNTL = (0, 1, 2, 3, 4, 5, 6, 7, 1030)  # dup, flags, locks; not F_SETOWN, which sends signals
_IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # terminal? FIONREAD FIONBIO FIOCLEX
_PRCTL = (15, 16, 3, 23, 39, 0x53564D41)  # names, and questions about itself
_AF_UNIX, _SOCK_STREAM, _SOCK_TYPE = 1, 1, 0xF
_PR_GET_SECCOMP, _PR_SET_SECCOMP, _MODE_FILTER = 21, 22, 2
_WHOLE_WORD = 0xFFFFFFFF

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, operand
Condition = tuple[int, int, Sequence[int]]  # word of the arguments (two each), mask, allowed values


def has_seccomp() -> bool:
    """True if the table has this machine and the kernel knows seccomp."""
    try:
        return platform.machine() in AUDIT_ARCH and libc("prctl", _PR_GET_SECCOMP, 0, 0, 0, 0) >= 0
    except OSError:
        return False


def call_table(machine: str) -> dict[str, tuple[int, str]]:
    """Number and answer of each call on ``machine``; empty for a machine without a column."""
    if machine not in AUDIT_ARCH:
        return {}
    column = 1 + list(AUDIT_ARCH).index(machine)
    lines = Path(__file__).with_name("syscalls.txt").read_text("ascii").splitlines()
    rows = [line.split() for line in lines if line and not line.startswith("#")]
    return {row[0]: (int(row[column]), row[3]) for row in rows if row[column] != "-"}


def seccomp_program(pid: int, *, opens: bool, machine: str) -> list[Instruction]:
    """The filter for the process ``pid``; ``opens=False`` refuses to open any file at all."""
    program: list[Instruction] = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, AUDIT_ARCH[machine]),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":
        program += [(_AT_LEAST, 0, 1, _X32), _errno(errno.ENOSYS)]
    rules = _rules(pid, opens)
    for name, (number, answer) in call_table(machine).items():
        if answer == "rule":
            steps = _compiled(*rules[name])
        elif answer == "allow":
            steps = [(_RETURN, 0, 0, _ALLOW)]
        else:
            steps = [_errno(getattr(errno, answer))]
        program += [(_EQUAL, 0, len(steps), number), *steps]
    return [*program, _errno(errno.ENOSYS)]


def _rules(pid: int, opens: bool) -> dict[str, tuple[int, list[Condition]]]:
    """For calls that depend on arguments: the error, unless all of the conditions hold.

    Opening to truncate needs the right to write: before ABI 3, Landlock lets O_RDONLY|O_TRUNC empty
    a file that it grants for reading, and access mode 3 opens with no right at all.
    """
    refusal = errno.EPERM if opens else errno.EACCES
    modes = (0, 1, 2, 3, 1 | _TRUNC, 2 | _TRUNC) if opens else ()
    to_itself = (errno.EPERM, [_word(0, pid)])
    return {
        "openat": (refusal, [(2 * 2, _ACCESS | _TRUNC, modes)]),
        "open": (refusal, [(2 * 1, _ACCESS | _TRUNC, modes)]),
        "clone": (errno.EPERM, [(0, _THREAD | _NEW_ANYTHING, (_THREAD,))]),
        "kill": to_itself,
        "tgkill": to_itself,
        "tkill": to_itself,
        # prlimit64(pid, resource, new, old): reading its own; a pointer has two words
        "prlimit64": (errno.EPERM, [_word(4, 0), _word(5, 0), _word(0, 0, pid)]),
        "fcntl": (errno.EPERM, [_word(2, *_FCNTL)]),
        "ioctl": (errno.ENOTTY, [_word(2, *_IOCTL)]),
        "prctl": (errno.EPERM, [_word(0, *_PRCTL)]),
        "sched_setaffinity": (errno.EPERM, [_word(0, 0)]),
        # a datagram socket could write to any named socket of the machine
        "socketpair": (errno.EACCES, [_word(0, _AF_UNIX), (2, _SOCK_TYPE, (_SOCK_STREAM,))]),
    }


def _word(index: int, *allowed: int) -> Condition:
    return index, _WHOLE_WORD, allowed


def _compiled(error: int, conditions: list[Condition]) -> list[Instruction]:
    """Each condition jumps over its refusal when one of its values is met."""
    steps: list[Instruction] = []
    for word, mask, allowed in conditions:
        steps += [(_LOAD, 0, 0, _ARGUMENTS + 4 * word), (_AND, 0, 0, mask)]  # little-endian
        steps += [(_EQUAL, len(allowed) - i, 0, value) for i, value in enumerate(allowed)]
        steps.append(_errno(error))
    return [*steps, (_RETURN, 0, 0, _ALLOW)]


def _errno(code: int) -> Instruction:
    return (_RETURN, 0, 0, _ERRNO | code)


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def restrict_syscalls(program: Sequence[Instruction]) -> None:
    """Install the filter on this (single-threaded) process, for good.

    Raises OSError if the kernel refuses the filter. The process must have NO_NEW_PRIVS set.
    """
    packed = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(packed, len(packed))
    header = _Program(len(program), ctypes.addressof(buffer))
    libc("prctl", _PR_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(header), 0, 0)
