# /// variant
# title = "dx = dy * x, d_y = dy * y: the operands are swapped"
# task = "mul_adjoint"
# loses = ["product", "broadcast"]
# ///

def mul_adjoint(node, dy):
    x, y = node.inputs
    return ops.sum_like(ops.mul(dy, x), x), ops.sum_like(ops.mul(dy, y), y)
