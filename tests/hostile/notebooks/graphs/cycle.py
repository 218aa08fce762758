# /// variant
# title = "nodes that are their own inputs"
# has = ["div_adjoint"]
# states = { mul_adjoint = ["out_of_memory", "timeout", "crashed", "malformed", "error"] }
# limits = { call_s = 1.0 }
# ///
def mul_adjoint(node, dy):
    y = ops.mul(dy, dy)
    object.__setattr__(y.node, "inputs", (y, y))
    return y, y


def relu_adjoint(node, dy):
    graph = object.__new__(Graph)
    y = ops.neg(dy)
    object.__setattr__(y.node, "after", (y.node,))
    object.__setattr__(graph, "outputs", (y,))
    return (y,)
