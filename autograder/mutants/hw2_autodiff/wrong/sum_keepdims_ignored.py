# /// variant
# title = "the summed axes are inserted although they are still there"
# task = "reduce_sum_adjoint"
# loses = ["keepdims"]
# ///

def reduce_sum_adjoint(node, dy):
    axes = node.attrs["reduction_indices"]
    return (ops.broadcast_like(dy, node.inputs[0], reduction_indices=axes, keepdims=False),)
