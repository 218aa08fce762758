# /// variant
# title = "dy is taken for ones"
# task = "matmul_adjoint"
# loses = ["plain", "transpose_a", "transpose_b", "transpose_both"]
# ///

def matmul_adjoint(node, dy):
    x, y = node.inputs
    ta, tb = node.attrs["transpose_a"], node.attrs["transpose_b"]
    dy = ops.ones_like(dy)
    if ta:
        dx = ops.matmul(y, dy, transpose_a=tb, transpose_b=True)
    else:
        dx = ops.matmul(dy, y, transpose_b=not tb)
    if tb:
        return dx, ops.matmul(dy, x, transpose_a=True, transpose_b=ta)
    return dx, ops.matmul(x, dy, transpose_a=not ta)
