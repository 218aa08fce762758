# /// variant
# title = "right numbers, but every transpose is a node of its own"
# task = "matmul_adjoint"
# loses = ["one_product"]
# ///

def matmul_adjoint(node, dy):
    x, y = node.inputs
    a = ops.transpose(x) if node.attrs["transpose_a"] else x
    b = ops.transpose(y) if node.attrs["transpose_b"] else y
    da, db = ops.matmul(dy, ops.transpose(b)), ops.matmul(ops.transpose(a), dy)
    dx = ops.transpose(da) if node.attrs["transpose_a"] else da
    return dx, ops.transpose(db) if node.attrs["transpose_b"] else db
