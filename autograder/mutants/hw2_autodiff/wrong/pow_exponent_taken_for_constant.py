# /// variant
# title = "no adjoint for the exponent"
# task = "pow_adjoint"
# loses = ["exponent", "broadcast"]
# ///

def pow_adjoint(node, dy):
    x, y = node.inputs
    dx = ops.mul(dy, ops.mul(y, ops.pow(x, ops.sub(y, 1.0))))
    return ops.sum_like(dx, x), None
