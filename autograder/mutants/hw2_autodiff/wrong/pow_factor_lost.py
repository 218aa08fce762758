# /// variant
# title = "dx = dy * x^(y - 1): the factor y is missing"
# task = "pow_adjoint"
# loses = ["base", "broadcast"]
# ///

def pow_adjoint(node, dy):
    x, y = node.inputs
    positive = ops.relu(x)
    log = ops.log(ops.add(positive, ops.cast_like(ops.equal(positive, 0.0), x)))
    dx = ops.mul(dy, ops.pow(x, ops.sub(y, 1.0)))
    return ops.sum_like(dx, x), ops.sum_like(ops.mul(dy, ops.mul(node.outputs[0], log)), y)
