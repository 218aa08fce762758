# /// variant
# title = "dx = dy * y * z / x: NaN at x = 0"
# task = "pow_adjoint"
# loses = ["base"]
# ///

def pow_adjoint(node, dy):
    x, y = node.inputs
    z = node.outputs[0]
    positive = ops.relu(x)
    log = ops.log(ops.add(positive, ops.cast_like(ops.equal(positive, 0.0), x)))
    dx = ops.div(ops.mul(dy, ops.mul(y, z)), x)
    return ops.sum_like(dx, x), ops.sum_like(ops.mul(dy, ops.mul(z, log)), y)
