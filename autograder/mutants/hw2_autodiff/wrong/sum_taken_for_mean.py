# /// variant
# title = "dy is divided by the number of elements"
# task = "reduce_sum_adjoint"
# loses = ["all", "axes", "keepdims"]
# ///

def reduce_sum_adjoint(node, dy):
    x = node.inputs[0]
    share = ops.div(dy, ops.size(x, reduction_indices=node.attrs["reduction_indices"]))
    return (ops.broadcast_like(share, x, **node.attrs),)
