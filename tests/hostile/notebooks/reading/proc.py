# /// variant
# title = "reads what the kernel tells: /proc, /sys, its descriptors, its limits"
# has = ["mul_adjoint"]
# ///
import os

for path in (
    "/proc/self/environ", "/proc/self/cmdline", "/proc/self/maps", "/proc/self/mem",
    "/proc/self/fd", "/proc/self/root", "/proc/self/cwd", "/proc/self/exe", "/proc/1/cmdline",
    "/proc/net/tcp", "/proc/mounts", "/proc/kallsyms", "/sys/class/net", "/etc/passwd",
    "/etc/shadow", "/etc/hostname", "/dev/mem", "/dev/sda", "/dev/tty", "/var/log", "/root",
):  # fmt: skip
    for way in (open, os.listdir):
        try:
            print("smug" + "gled:", way(path))
        except OSError as error:
            print(path, error.errno)
for number in range(4, 1000):
    try:
        os.dup(number)
        print("smug" + "gled: descriptor", number)
    except OSError:
        pass
