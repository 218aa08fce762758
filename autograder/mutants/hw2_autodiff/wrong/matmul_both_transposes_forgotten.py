# /// variant
# title = "each transpose alone is right, both together are not"
# task = "matmul_adjoint"
# loses = ["transpose_both"]
# ///

def matmul_adjoint(node, dy):
    x, y = node.inputs
    if node.attrs["transpose_a"]:
        return ops.matmul(y, dy, transpose_b=True), ops.matmul(x, dy)
    if node.attrs["transpose_b"]:
        return ops.matmul(dy, y), ops.matmul(dy, x, transpose_a=True)
    return ops.matmul(dy, y, transpose_b=True), ops.matmul(x, dy, transpose_a=True)
