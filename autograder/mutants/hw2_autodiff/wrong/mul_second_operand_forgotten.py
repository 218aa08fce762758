# /// variant
# title = "a broadcast second operand is not reduced, only the first"
# task = "mul_adjoint"
# loses = ["broadcast"]
# ///

def mul_adjoint(node, dy):
    x, y = node.inputs
    return ops.sum_like(ops.mul(dy, y), x), ops.mul(dy, x)
