# /// variant
# title = "leaves loops for the end of the process: handlers, finalisers, alarms, threads"
# has = ["mul_adjoint"]
# ///
import atexit
import signal
import threading
import time
import weakref


def forever(*_):
    while True:
        time.sleep(0.01)


class Undead:
    def __del__(self):
        forever()


undead = Undead()
weakref.finalize(undead, forever)
atexit.register(forever)
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM, signal.SIGXCPU):
    signal.signal(number, forever)
for _ in range(8):
    threading.Thread(target=forever).start()
