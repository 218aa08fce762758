# /// variant
# title = "dy times ones in the shape of x"
# task = "reduce_sum_adjoint"
# ///

def reduce_sum_adjoint(node, dy):
    x = node.inputs[0]
    axes, kept = node.attrs["reduction_indices"], node.attrs["keepdims"]
    wide = ops.broadcast_like(dy, x, reduction_indices=axes, keepdims=kept)
    return (ops.mul(ops.ones_like(x), wide),)
