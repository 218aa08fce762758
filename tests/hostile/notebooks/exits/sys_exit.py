# /// variant
# title = "leaves by sys.exit, in a cell and in a rule"
# has = ["div_adjoint"]
# states = { mul_adjoint = ["error"], relu_adjoint = ["error"], tanh_adjoint = ["error"] }
# ///
import sys


def mul_adjoint(node, dy):
    sys.exit("passed")


def relu_adjoint(node, dy):
    raise KeyboardInterrupt


def tanh_adjoint(node, dy):
    raise GeneratorExit


sys.exit(0)
