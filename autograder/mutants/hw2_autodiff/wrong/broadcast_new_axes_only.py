# /// variant
# title = "new axes are summed away, stretched ones are not"
# task = "broadcast_to_adjoint"
# loses = ["stretched", "both"]
# ///

def broadcast_to_adjoint(node, dy):
    return (ops.reduce_sum(dy, reduction_indices=(0,)),)
