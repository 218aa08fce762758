# /// variant
# title = "the total of dy goes to every element"
# task = "broadcast_to_adjoint"
# loses = ["new_axes", "stretched", "both"]
# ///

def broadcast_to_adjoint(node, dy):
    return (ops.broadcast_like(ops.reduce_sum(dy), node.inputs[0]),)
