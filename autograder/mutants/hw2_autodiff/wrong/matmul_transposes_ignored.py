# /// variant
# title = "the attributes transpose_a and transpose_b are not looked at"
# task = "matmul_adjoint"
# loses = ["transpose_a", "transpose_b", "transpose_both"]
# ///

def matmul_adjoint(node, dy):
    x, y = node.inputs
    return ops.matmul(dy, y, transpose_b=True), ops.matmul(x, dy, transpose_a=True)
