# /// variant
# title = "reads address 0"
# has = ["div_adjoint"]
# states = { mul_adjoint = ["crashed"] }
# ///
import ctypes


def mul_adjoint(node, dy):
    return ctypes.string_at(0)
