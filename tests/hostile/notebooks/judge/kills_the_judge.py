# /// variant
# title = "sends signals to the judge, its parent and everybody"
# has = ["mul_adjoint"]
# ///
import ctypes
import os
import resource
import signal

libc = ctypes.CDLL(None)
parent = os.getppid()
WAYS = {
    "parent": lambda: os.kill(parent, signal.SIGKILL),
    "init": lambda: os.kill(1, signal.SIGKILL),
    "everybody": lambda: os.kill(-1, signal.SIGKILL),
    "group": lambda: os.kill(0, signal.SIGKILL),
    "group of parent": lambda: os.killpg(os.getpgid(parent), signal.SIGSTOP),
    "thread of parent": lambda: 1 / (libc.syscall(234, parent, parent, 9) == 0),
    "pidfd": lambda: signal.pidfd_send_signal(os.pidfd_open(parent), 9),
    "queue": lambda: 1 / (libc.sigqueue(parent, 9, 0) == 0),
    "limits": lambda: resource.prlimit(parent, resource.RLIMIT_CPU, (0, 0)),
    "priority": lambda: os.setpriority(os.PRIO_PROCESS, parent, 19),
    "processor": lambda: os.sched_setaffinity(parent, {0}),
}
for pid in range(max(1, parent - 20), parent):
    WAYS[f"neighbour {pid}"] = lambda pid=pid: os.kill(pid, signal.SIGKILL)
for name, way in WAYS.items():
    try:
        way()
        print("smug" + "gled:", name)
    except BaseException as error:
        print(name, type(error).__name__)
