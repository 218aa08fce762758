# /// variant
# title = "stops its own process, so that it neither runs nor ends"
# has = ["div_adjoint"]
# states = { relu_adjoint = ["timeout"] }
# limits = { call_s = 2.0 }
# ///
import os
import signal


def relu_adjoint(node, dy):
    os.kill(os.getpid(), signal.SIGSTOP)
