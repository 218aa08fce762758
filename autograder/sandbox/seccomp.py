"""A seccomp allow-list in raw BPF: which system calls the process may make. Layer: sandbox.

Threads yes, processes no; signals to itself only; no socket, exec, trace or mode change.
What is refused on purpose answers EPERM or EACCES, so that Python raises PermissionError; what is
not named at all answers ENOSYS, so that libc falls back. Source: seccomp(2), bpf(4).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Sequence

from autograder.sandbox.syscalls import AUDIT_ARCH, numbers

__all__ = ["restrict_syscalls", "seccomp_program", "seccomp_supported"]

_ALLOWED = """
futex read write mmap munmap brk madvise clock_gettime newfstatat close lseek fstat stat lstat poll
mprotect rt_sigaction rt_sigprocmask rt_sigreturn pread64 pwrite64 readv writev access pipe select
sched_yield mremap msync mincore dup dup2 dup3 pause nanosleep getitimer setitimer alarm getpid
sendfile sendto recvfrom sendmsg recvmsg shutdown getsockopt exit uname flock fsync fdatasync
ftruncate getdents getdents64 getcwd chdir fchdir readlink readlinkat umask gettimeofday getrlimit
getrusage sysinfo times getuid getgid geteuid getegid getppid getpgrp getgroups getresuid getresgid
getpgid getsid capget rt_sigpending rt_sigtimedwait sigaltstack statfs fstatfs sched_getparam
sched_getscheduler arch_prctl gettid readahead getxattr time sched_getaffinity epoll_create
epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 set_tid_address fadvise64 clock_getres
clock_nanosleep exit_group mbind set_mempolicy get_mempolicy faccessat faccessat2 pselect6 ppoll
set_robust_list get_robust_list eventfd2 pipe2 getcpu getrandom membarrier statx rseq close_range
futex_waitv
"""
_REFUSED = """
fork vfork execve execveat ptrace process_vm_readv process_vm_writev mount umount2 chroot reboot
kexec_load keyctl bpf perf_event_open userfaultfd unshare setns personality setuid setgid setpgid
setsid chmod fchmod fchmodat chown fchown fchownat utime utimensat setxattr truncate mknod mknodat
mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 symlink symlinkat link linkat creat
setrlimit rt_sigqueueinfo pidfd_send_signal pidfd_open pidfd_getfd io_uring_setup socket connect
bind listen memfd_create
"""

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN, _AND = 0x20, 0x15, 0x35, 0x45, 0x06, 0x54
_ALLOW, _ERRNO, _KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER, _ARCH, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
_X32 = 0x40000000
_O_ACCMODE_AND_TRUNC, _O_TRUNC = 0x203, 0x200
_CLONE_THREAD, _CLONE_NEW_ANYTHING = 0x00010000, 0x7E020080
_FCNTL = (0, 1, 2, 3, 4, 5, 6, 7, 1030)  # dup, flags, locks; not F_SETOWN, which sends signals
_IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # terminal? FIONREAD FIONBIO FIOCLEX
_PRCTL = (15, 16, 3, 23, 39, 0x53564D41)  # names, and questions about itself
_AF_UNIX, _SOCK_STREAM = 1, 1
_PR_GET_SECCOMP, _PR_SET_SECCOMP, _MODE_FILTER = 21, 22, 2

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, operand


def seccomp_supported() -> bool:
    """True if this machine has a table and the kernel knows seccomp."""
    if sys.platform != "linux" or platform.machine() not in AUDIT_ARCH:
        return False
    return int(ctypes.CDLL(None).prctl(_PR_GET_SECCOMP, 0, 0, 0, 0)) >= 0


def seccomp_program(pid: int, *, opens: bool, machine: str) -> list[Instruction]:
    """The filter for the process ``pid``; ``opens=False`` refuses to open any file at all."""
    number = numbers(machine)
    program: list[Instruction] = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, AUDIT_ARCH[machine]),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":
        program += [(_AT_LEAST, 0, 1, _X32), _errno(errno.ENOSYS)]
    for name, rules in _conditional(pid, opens).items():
        if name in number:
            program += [(_EQUAL, 0, len(rules), number[name]), *rules]
    for name in _ALLOWED.split():
        if name in number:
            program += [(_EQUAL, 0, 1, number[name]), (_RETURN, 0, 0, _ALLOW)]
    for name in _REFUSED.split():
        if name in number:
            code = errno.EACCES if name in ("socket", "connect") else errno.EPERM
            program += [(_EQUAL, 0, 1, number[name]), _errno(code)]
    return [*program, _errno(errno.ENOSYS)]


def _conditional(pid: int, opens: bool) -> dict[str, list[Instruction]]:
    """Rules on arguments; each list ends by returning, whatever the argument is."""
    thread_only = [
        _argument(0),
        (_ANY_BIT, 2, 0, _CLONE_NEW_ANYTHING),
        (_ANY_BIT, 0, 1, _CLONE_THREAD),
        (_RETURN, 0, 0, _ALLOW),
        _errno(errno.EPERM),
    ]
    own_limits = [  # prlimit64(pid, resource, new, old): reading its own, nothing else
        _argument(2),
        (_EQUAL, 0, 5, 0),
        _high_word(2),
        (_EQUAL, 0, 3, 0),
        _argument(0),
        (_EQUAL, 2, 0, 0),
        (_EQUAL, 1, 0, pid),
        _errno(errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    stream_pair = [  # a datagram socket could write to any named socket of the machine
        _argument(0),
        (_EQUAL, 0, 4, _AF_UNIX),
        _argument(1),
        (_AND, 0, 0, 0xF),
        (_EQUAL, 0, 1, _SOCK_STREAM),
        (_RETURN, 0, 0, _ALLOW),
        _errno(errno.EACCES),
    ]
    return {
        "openat": _open_rule(2) if opens else [_errno(errno.EACCES)],
        "open": _open_rule(1) if opens else [_errno(errno.EACCES)],
        "clone": thread_only,
        "kill": _only(0, (pid,), errno.EPERM),
        "tgkill": _only(0, (pid,), errno.EPERM),
        "tkill": _only(0, (pid,), errno.EPERM),
        "prlimit64": own_limits,
        "fcntl": _only(1, _FCNTL, errno.EPERM),
        "ioctl": _only(1, _IOCTL, errno.ENOTTY),
        "prctl": _only(0, _PRCTL, errno.EPERM),
        "sched_setaffinity": _only(0, (0,), errno.EPERM),
        "socketpair": stream_pair,
    }


def _open_rule(flags_argument: int) -> list[Instruction]:
    """Refuse to truncate without the right to write: before ABI 3, Landlock lets O_RDONLY|O_TRUNC
    empty a file that it grants for reading, and access mode 3 opens with no right at all.
    """
    return [
        _argument(flags_argument),
        (_AND, 0, 0, _O_ACCMODE_AND_TRUNC),
        (_EQUAL, 2, 0, _O_TRUNC),
        (_EQUAL, 1, 0, _O_ACCMODE_AND_TRUNC),
        (_RETURN, 0, 0, _ALLOW),
        _errno(errno.EPERM),
    ]


def _only(index: int, values: Sequence[int], code: int) -> list[Instruction]:
    checks: list[Instruction] = []
    for value in values:
        checks += [(_EQUAL, 0, 1, value), (_RETURN, 0, 0, _ALLOW)]
    return [_argument(index), *checks, _errno(code)]


def _argument(index: int) -> Instruction:
    return (_LOAD, 0, 0, _FIRST_ARGUMENT + 8 * index)  # the low word: both machines little-endian


def _high_word(index: int) -> Instruction:
    return (_LOAD, 0, 0, _FIRST_ARGUMENT + 8 * index + 4)


def _errno(code: int) -> Instruction:
    return (_RETURN, 0, 0, _ERRNO | code)


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def restrict_syscalls(*, opens: bool = True) -> int:
    """Install the filter on this (single-threaded) process, for good; returns its length.

    Returns 0 where seccomp is not supported. Raises OSError if the kernel refuses the filter. The
    process must have NO_NEW_PRIVS set.
    """
    if not seccomp_supported():
        return 0
    program = seccomp_program(os.getpid(), opens=opens, machine=platform.machine())
    packed = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(packed, len(packed))
    header = _Program(len(program), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = (_PR_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(header), 0, 0)
    if libc.prctl(*(ctypes.c_ulong(argument) for argument in arguments)):
        code = ctypes.get_errno()
        raise OSError(code, f"seccomp: {os.strerror(code)}")
    return len(program)
