# /// variant
# title = "a list instead of a tuple, and an identity on top"
# task = "broadcast_to_adjoint"
# ///

def broadcast_to_adjoint(node, dy):
    result = []
    for x in node.inputs:
        result.append(ops.identity(ops.sum_like(dy, x)))
    return result
