# /// variant
# title = "log(x) without making x safe: NaN where x <= 0"
# task = "pow_adjoint"
# loses = ["exponent"]
# ///

def pow_adjoint(node, dy):
    x, y = node.inputs
    dx = ops.mul(dy, ops.mul(y, ops.pow(x, ops.sub(y, 1.0))))
    return ops.sum_like(dx, x), ops.sum_like(ops.mul(dy, ops.mul(node.outputs[0], ops.log(x))), y)
