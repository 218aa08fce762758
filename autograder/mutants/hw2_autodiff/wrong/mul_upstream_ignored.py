# /// variant
# title = "the upstream gradient is taken for 1"
# task = "mul_adjoint"
# loses = ["product", "same_operand", "broadcast"]
# ///

def mul_adjoint(node, dy):
    x, y = node.inputs
    ones = ops.ones_like(dy)
    return ops.sum_like(ops.mul(ones, y), x), ops.sum_like(ops.mul(ones, x), y)
