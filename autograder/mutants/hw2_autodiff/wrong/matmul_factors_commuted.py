# /// variant
# title = "the factors stand in the wrong order"
# task = "matmul_adjoint"
# loses = ["plain"]
# ///

def matmul_adjoint(node, dy):
    x, y = node.inputs
    return ops.matmul(y, dy, transpose_a=True), ops.matmul(dy, x, transpose_b=True)
