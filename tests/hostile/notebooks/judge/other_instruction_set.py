# /// variant
# title = "machine code that forks through the 32-bit door of the kernel"
# has = ["div_adjoint"]
# states = { mul_adjoint = ["crashed"] }
# ///
import ctypes
import mmap

FORK = b"\xb8\x02\x00\x00\x00\xcd\x80\xc3"  # mov eax, 2; int 0x80; ret


def mul_adjoint(node, dy):
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(FORK)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    pid = ctypes.CFUNCTYPE(ctypes.c_int)(address)()
    print("smug" + "gled: a process", pid)
    while True:
        pass
