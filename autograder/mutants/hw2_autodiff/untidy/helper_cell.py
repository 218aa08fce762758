# /// variant
# title = "a helper in a cell of its own"
# task = "mul_adjoint"
# ///

def mul_adjoint(node, dy):
    x, y = node.inputs
    return scaled(dy, y, x), scaled(dy, x, y)

# %% mine-1
def scaled(dy, other, like):
    return ops.sum_like(ops.mul(other, dy), like)
