# /// variant
# title = "dy is repeated as numpy would: along the leading axes"
# task = "reduce_sum_adjoint"
# loses = ["axes"]
# ///

def reduce_sum_adjoint(node, dy):
    return (ops.broadcast_like(dy, node.inputs[0]),)
