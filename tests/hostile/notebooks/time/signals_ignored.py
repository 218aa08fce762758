# /// variant
# title = "ignores every signal and every exception, and waits for ever"
# has = ["div_adjoint"]
# states = { mul_adjoint = ["timeout"] }
# limits = { call_s = 2.0 }
# ///
import signal

for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass


def mul_adjoint(node, dy):
    while True:
        try:
            signal.pause()
        except BaseException:
            pass
