# /// variant
# title = "the minus of the quotient rule is missing"
# task = "div_adjoint"
# loses = ["denominator", "broadcast"]
# ///

def div_adjoint(node, dy):
    x, y = node.inputs
    dx = ops.div(dy, y)
    return ops.sum_like(dx, x), ops.sum_like(ops.mul(dx, node.outputs[0]), y)
