# /// variant
# title = "repeated operands do not collect from their copies"
# task = "mul_adjoint"
# loses = ["broadcast"]
# ///

def mul_adjoint(node, dy):
    x, y = node.inputs
    return ops.mul(dy, y), ops.mul(dy, x)
