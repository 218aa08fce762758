# /// variant
# title = "nodes that are their own inputs"
# has = ["div_adjoint"]
# states = { mul_adjoint = ["out_of_memory", "timeout", "crashed", "malformed", "error"] }
# limits = { call_s = 2.0, memory_bytes = 50_000_000 }
# ///
def mul_adjoint(node, dy):
    y = ops.mul(dy, dy)
    object.__setattr__(y.node, "inputs", (y, y))
    return y, y
