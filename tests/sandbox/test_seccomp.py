"""The seccomp filter, run by a small BPF machine: both architectures are tested on either."""

from __future__ import annotations

import errno
import struct

import pytest

from autograder.sandbox.seccomp import AUDIT_ARCH, call_table, seccomp_program

PID = 4321
ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
MACHINES = ("x86_64", "aarch64")
DANGEROUS = """
execve execveat ptrace process_vm_readv mount setns unshare setuid fchmod truncate mkdirat
unlinkat renameat2 linkat symlinkat mknodat pidfd_open pidfd_send_signal pidfd_getfd bind listen
rt_sigqueueinfo io_uring_setup memfd_create bpf userfaultfd keyctl perf_event_open
"""


def decide(machine: str, name: str, *arguments: int, opens: bool = True) -> int:
    """What the filter answers to one system call."""
    padded = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    number, _ = call_table(machine)[name]
    packed = struct.pack("<iIQ6Q", number, AUDIT_ARCH[machine], 0, *padded)
    return execute(machine, packed, opens)


def execute(machine: str, data: bytes, opens: bool = True) -> int:
    """Interpret the program on a struct seccomp_data."""
    program = seccomp_program(PID, opens=opens, machine=machine)
    accumulator = position = 0
    while True:
        code, if_true, if_false, operand = program[position]
        position += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, operand)
            case 0x54:
                accumulator &= operand
            case 0x06:
                return operand
            case 0x15 | 0x35 | 0x45:
                holds = {0x15: accumulator == operand, 0x35: accumulator >= operand}
                position += if_true if holds.get(code, accumulator & operand) else if_false


def refused(code: int) -> int:
    """The answer that raises this errno."""
    return ERRNO | code


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    "name", ["read", "write", "mmap", "futex", "close", "exit_group", "getrandom", "statx"]
)
def test_ordinary_calls_are_allowed(machine: str, name: str) -> None:
    assert decide(machine, name) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    "name",
    DANGEROUS.split(),
)
def test_dangerous_calls_are_refused_aloud(machine: str, name: str) -> None:
    assert decide(machine, name) == refused(errno.EPERM)


@pytest.mark.parametrize("machine", MACHINES)
def test_no_socket_reaches_out(machine: str) -> None:
    assert decide(machine, "socket", 2, 1, 0) == refused(errno.EACCES)
    assert decide(machine, "connect", 3) == refused(errno.EACCES)
    assert decide(machine, "socketpair", 1, 1 | 0o2000000) == ALLOW
    assert decide(machine, "socketpair", 1, 2) == refused(errno.EACCES)  # datagrams go anywhere
    assert decide(machine, "socketpair", 2, 1) == refused(errno.EACCES)


@pytest.mark.parametrize("machine", MACHINES)
def test_threads_may_start_but_no_processes(machine: str) -> None:
    thread = 0x3D0F00  # what glibc passes
    assert decide(machine, "clone", thread) == ALLOW
    assert decide(machine, "clone", 17) == refused(errno.EPERM)  # SIGCHLD: fork
    assert decide(machine, "clone", thread | 0x10000000) == refused(errno.EPERM)  # new user space
    assert decide(machine, "clone3") == refused(errno.ENOSYS)  # libc falls back to clone


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", ["kill", "tgkill", "tkill"])
def test_signals_go_to_oneself_only(machine: str, name: str) -> None:
    assert decide(machine, name, PID) == ALLOW
    for other in (1, PID + 1, 0, 0xFFFFFFFF):
        assert decide(machine, name, other) == refused(errno.EPERM)


@pytest.mark.parametrize("machine", MACHINES)
def test_a_read_only_open_cannot_truncate(machine: str) -> None:
    """Before Landlock ABI 3 it emptied files that were granted for reading."""
    read, write, trunc, create = 0, 1, 0x200, 0x40
    assert decide(machine, "openat", 0, 0, read) == ALLOW
    assert decide(machine, "openat", 0, 0, write | trunc | create) == ALLOW  # Landlock decides
    assert decide(machine, "openat", 0, 0, read | trunc) == refused(errno.EPERM)
    assert decide(machine, "openat", 0, 0, 3 | trunc) == refused(errno.EPERM)
    assert decide(machine, "openat2") == refused(errno.ENOSYS)


@pytest.mark.parametrize("machine", MACHINES)
def test_without_landlock_nothing_can_be_opened(machine: str) -> None:
    assert decide(machine, "openat", 0, 0, 0, opens=False) == refused(errno.EACCES)
    assert decide(machine, "read", opens=False) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
def test_fcntl_and_ioctl_cannot_direct_signals_at_others(machine: str) -> None:
    for command in (8, 10, 15):  # F_SETOWN, F_SETSIG, F_SETOWN_EX
        assert decide(machine, "fcntl", 3, command) == refused(errno.EPERM)
    assert decide(machine, "fcntl", 3, 1030) == ALLOW
    assert decide(machine, "ioctl", 3, 0x8901) == refused(errno.ENOTTY)  # FIOSETOWN
    assert decide(machine, "ioctl", 0, 0x5412) == refused(errno.ENOTTY)  # TIOCSTI


@pytest.mark.parametrize("machine", MACHINES)
def test_limits_can_be_read_but_not_set(machine: str) -> None:
    assert decide(machine, "prlimit64", 0, 9, 0, 1) == ALLOW
    assert decide(machine, "prlimit64", 0, 9, 1, 0) == refused(errno.EPERM)
    assert decide(machine, "prlimit64", 0, 9, 1 << 32, 0) == refused(errno.EPERM)
    assert decide(machine, "prlimit64", 1, 9, 0, 1) == refused(errno.EPERM)


def test_foreign_system_call_tables_are_refused() -> None:
    arm = struct.pack("<iIQ6Q", 1, AUDIT_ARCH["aarch64"], 0, *[0] * 6)
    assert execute("x86_64", arm) == KILL
    x32 = struct.pack("<IIQ6Q", 0x40000000 | 59, AUDIT_ARCH["x86_64"], 0, *[0] * 6)
    assert execute("x86_64", x32) == refused(errno.ENOSYS)


@pytest.mark.parametrize("machine", MACHINES)
def test_unnamed_calls_do_not_exist(machine: str) -> None:
    packed = struct.pack("<iIQ6Q", 999, AUDIT_ARCH[machine], 0, *[0] * 6)
    assert execute(machine, packed) == refused(errno.ENOSYS)


def test_other_machines_have_no_table() -> None:
    assert call_table("riscv64") == {}
