# /// variant
# title = "exhausts the stack of C: repr, comparison and syntax of great depth"
# has = ["div_adjoint"]
# limits = { call_s = 1.0 }
# ///
import sys

DEPTH = 100_000
sys.setrecursionlimit(1 << 30)


def nested():
    inner = []
    for _ in range(DEPTH):
        inner = [inner]
    return inner


def mul_adjoint(node, dy):
    return repr(nested())


def relu_adjoint(node, dy):
    return nested() == nested()


def tanh_adjoint(node, dy):
    return eval("-" * DEPTH + "1")
