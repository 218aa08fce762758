# /// variant
# title = "system calls that would give it another user, another root or the kernel"
# has = ["mul_adjoint"]
# ///
import ctypes
import platform

libc = ctypes.CDLL(None, use_errno=True)
CALLS = {
    "setuid": 105, "setgid": 106, "setreuid": 113, "setresuid": 117, "setgroups": 116,
    "chroot": 161, "pivot_root": 155, "mount": 165, "umount2": 166, "swapon": 167, "reboot": 169,
    "init_module": 175, "acct": 163, "unshare": 272, "setns": 308, "kexec_load": 246,
    "add_key": 248, "keyctl": 250, "perf_event_open": 298, "bpf": 321, "userfaultfd": 323,
    "memfd_create": 319, "execveat": 322, "io_uring_setup": 425, "open_tree": 428,
    "fsopen": 430, "pidfd_getfd": 438, "quotactl": 179, "personality": 135, "capset": 126,
    "seccomp": 317, "shmget": 29, "msgget": 68, "semget": 64, "mq_open": 240, "inotify_init": 253,
    "fanotify_init": 300, "name_to_handle_at": 303, "open_by_handle_at": 304, "kcmp": 312,
    "vmsplice": 278, "splice": 275, "ioperm": 173, "iopl": 172, "settimeofday": 164,
}  # fmt: skip
if platform.machine() == "x86_64":
    for name, number in CALLS.items():
        if libc.syscall(number, 0, 0, 0, 0, 0) >= 0:
            print("smug" + "gled:", name)
