# /// variant
# title = "ends the process with exit code 0"
# has = ["div_adjoint"]
# states = { mul_adjoint = ["crashed"] }
# ///
import os


def mul_adjoint(node, dy):
    os._exit(0)
