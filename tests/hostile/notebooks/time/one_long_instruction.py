# /// variant
# title = "one call of C that holds the interpreter's lock for hours"
# has = ["div_adjoint"]
# states = { tanh_adjoint = ["timeout"] }
# limits = { call_s = 2.0 }
# ///
def tanh_adjoint(node, dy):
    return 3 ** (10**10)
