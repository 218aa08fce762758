# /// variant
# title = "starts threads until it is stopped"
# has = ["mul_adjoint"]
# ///
import threading

threading.stack_size(64 << 10)
never = threading.Event()
started = 0
try:
    while started < 2000:
        threading.Thread(target=never.wait, daemon=True).start()
        started += 1
except (RuntimeError, MemoryError):
    print(started)
