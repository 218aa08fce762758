# /// variant
# title = "-dy * z^2 / x: NaN where x is 0"
# task = "div_adjoint"
# loses = ["denominator"]
# ///

def div_adjoint(node, dy):
    x, y = node.inputs
    z = node.outputs[0]
    d_y = ops.neg(ops.div(ops.mul(dy, ops.mul(z, z)), x))
    return ops.sum_like(ops.div(dy, y), x), ops.sum_like(d_y, y)
