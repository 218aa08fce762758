# /// variant
# title = "starts processes in every way there is"
# has = ["mul_adjoint"]
# ///
import ctypes
import multiprocessing
import os
import pty
import subprocess

libc = ctypes.CDLL(None)
WAYS = {
    "fork": os.fork,
    "forkpty": pty.fork,
    "spawn": lambda: os.posix_spawn("/bin/sh", ["sh", "-c", ":(){ :|:& };:"], {}),
    "shell": lambda: subprocess.Popen(":(){ :|:& };:", shell=True),
    "system": lambda: 1 / (os.system("sleep 1000 &") == 0),
    "exec": lambda: os.execv("/bin/sleep", ["sleep", "1000"]),
    "multiprocessing": multiprocessing.Process(target=print).start,
    "libc fork": lambda: 1 / (libc.fork() >= 0),
    "clone": lambda: 1 / (libc.syscall(56, 17, 0, 0, 0, 0) >= 0),
    "clone3": lambda: 1 / (libc.syscall(435, ctypes.create_string_buffer(88), 88) >= 0),
}
for name, way in WAYS.items():
    try:
        way()
        print("smug" + "gled:", name)
    except BaseException as error:
        print(name, type(error).__name__)
