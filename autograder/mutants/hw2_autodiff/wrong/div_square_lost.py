# /// variant
# title = "y instead of y^2 below the fraction line"
# task = "div_adjoint"
# loses = ["denominator", "broadcast"]
# ///

def div_adjoint(node, dy):
    x, y = node.inputs
    return ops.sum_like(ops.div(dy, y), x), ops.sum_like(ops.neg(ops.div(ops.mul(dy, x), y)), y)
