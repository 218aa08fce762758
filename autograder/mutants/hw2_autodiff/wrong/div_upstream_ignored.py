# /// variant
# title = "dx = 1 / y whatever dy is"
# task = "div_adjoint"
# loses = ["numerator", "broadcast"]
# ///

def div_adjoint(node, dy):
    x, y = node.inputs
    d_y = ops.neg(ops.div(ops.mul(dy, x), ops.mul(y, y)))
    return ops.sum_like(ops.div(ops.ones_like(dy), y), x), ops.sum_like(d_y, y)
