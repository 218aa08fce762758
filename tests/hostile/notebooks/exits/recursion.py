# /// variant
# title = "recursion without end, with and without Python's own limit"
# has = ["div_adjoint"]
# states = { mul_adjoint = ["error"], relu_adjoint = ["out_of_memory", "crashed", "error", "timeout"] }
# limits = { call_s = 2.0, memory_bytes = 50_000_000 }
# ///
import sys


def down():
    return down()


def mul_adjoint(node, dy):
    return down()


def relu_adjoint(node, dy):
    sys.setrecursionlimit(1 << 30)
    return down()
