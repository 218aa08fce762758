# /// variant
# title = "the quotient rule written with powers"
# task = "div_adjoint"
# ///

def div_adjoint(node, dy):
    x, y = node.inputs
    inverse = ops.div(1.0, y)
    minus_square = ops.neg(ops.mul(inverse, inverse))
    return (
        ops.sum_like(ops.mul(inverse, dy), x),
        ops.sum_like(ops.mul(ops.mul(minus_square, x), dy), y),
    )
