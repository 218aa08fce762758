# /// variant
# title = "kills itself, aborts, divides by zero in C"
# has = ["div_adjoint"]
# states = { mul_adjoint = ["crashed"], relu_adjoint = ["crashed"], tanh_adjoint = ["crashed"] }
# ///
import os
import signal


def mul_adjoint(node, dy):
    os.kill(os.getpid(), signal.SIGKILL)


def relu_adjoint(node, dy):
    os.abort()


def tanh_adjoint(node, dy):
    signal.raise_signal(signal.SIGFPE)
