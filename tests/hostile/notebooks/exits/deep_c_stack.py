# /// variant
# title = "exhausts the stack of C: hash, comparison and syntax of great depth"
# has = ["div_adjoint"]
# limits = { call_s = 2.0 }
# ///
import sys

DEPTH = 100_000
sys.setrecursionlimit(1 << 30)


def nested(kind):
    inner = kind()
    for _ in range(DEPTH):
        inner = kind([inner])
    return inner


def mul_adjoint(node, dy):
    return hash(nested(tuple))


def relu_adjoint(node, dy):
    return nested(list) == nested(list)


def tanh_adjoint(node, dy):
    return eval("-" * DEPTH + "1")
