# /// variant
# title = "a helper in a cell of its own; the adjoints the other way round"
# task = "mul_adjoint"
# ///

# %% helper
def down_to(value, like):
    """Sum over whatever broadcasting repeated."""
    return ops.sum_like(value, like)


# %% solution-mul_adjoint
mul_adjoint = lambda node, dy: [
    down_to(ops.mul(other, dy), mine)
    for mine, other in zip(node.inputs, reversed(node.inputs))
]
