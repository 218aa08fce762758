# /// variant
# title = "closes the connection to the judge, or puts another file in its place"
# has = ["div_adjoint"]
# states = { mul_adjoint = ["crashed"], relu_adjoint = ["crashed"] }
# ///
import os


def mul_adjoint(node, dy):
    os.closerange(0, 100)


def relu_adjoint(node, dy):
    os.dup2(os.open("/dev/null", os.O_RDWR), 3)
