# /// variant
# title = "ones in the shape of x, whatever dy is"
# task = "reduce_sum_adjoint"
# loses = ["all", "axes", "keepdims"]
# ///

def reduce_sum_adjoint(node, dy):
    return (ops.ones_like(node.inputs[0]),)
