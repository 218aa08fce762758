# /// variant
# title = "a thread that talks to the judge all the time, between questions too"
# has = ["mul_adjoint", "div_adjoint"]
# spoils = ["mul_adjoint", "div_adjoint"]
# ///
import os
import threading


def talk():
    while True:
        os.write(3, b"TFK1" + bytes(24))


honest = div_adjoint


def div_adjoint(node, dy):
    threading.Thread(target=talk).start()
    return honest(node, dy)
