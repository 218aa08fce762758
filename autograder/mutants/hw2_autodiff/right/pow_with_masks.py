# /// variant
# title = "the safe logarithm by a mask of positive bases"
# task = "pow_adjoint"
# ///

def pow_adjoint(node, dy):
    x, y = node.inputs
    positive = ops.cast_like(ops.greater(x, 0.0), x)
    safe = ops.add(ops.mul(x, positive), ops.sub(1.0, positive))
    along_y = ops.mul(ops.mul(node.outputs[0], ops.log(safe)), positive)
    along_x = ops.mul(ops.pow(x, ops.sub(y, 1.0)), y)
    return ops.sum_like(ops.mul(along_x, dy), x), ops.sum_like(ops.mul(along_y, dy), y)
