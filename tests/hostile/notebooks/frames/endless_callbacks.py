# /// variant
# title = "calls a given function without end, with wrong arguments and from many threads"
# has = ["accumulate"]
# states = { gradient = ["timeout"] }
# limits = { call_s = 2.0 }
# ///
import threading


def gradient(graph, xs, grad_ys, adjoints, accumulate):
    def call(*args):
        while True:
            try:
                accumulate(*args)
            except Exception:
                pass

    for args in ([[]], [xs[0]], [xs, xs], [list(xs) * 100]):
        threading.Thread(target=call, args=args).start()
    call(xs)
