# /// variant
# title = "attaches to the judge and reads and writes its memory"
# has = ["mul_adjoint"]
# ///
import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
parent = os.getppid()
buffer = ctypes.create_string_buffer(64)
vector = (ctypes.c_void_p * 2)(ctypes.addressof(buffer), 64)
ATTACH, SEIZE, TRACEME = 16, 0x4206, 0
for name, call in {
    "attach": lambda: libc.ptrace(ATTACH, parent, 0, 0),
    "seize": lambda: libc.ptrace(SEIZE, parent, 0, 0),
    "be traced": lambda: libc.ptrace(TRACEME, 0, 0, 0),
    "read": lambda: libc.process_vm_readv(parent, vector, 1, vector, 1, 0),
    "write": lambda: libc.process_vm_writev(parent, vector, 1, vector, 1, 0),
}.items():
    print("smug" + "gled" if call() >= 0 else "refused", name)
for file in ("mem", "environ", "maps", "fd/0", "root/etc/passwd"):
    try:
        open(f"/proc/{parent}/{file}", "rb").read(10)
        print("smug" + "gled:", file)
    except OSError as error:
        print(file, error.errno)
