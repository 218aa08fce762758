# /// variant
# title = "the slope alone, without dy"
# task = "tanh_adjoint"
# loses = ["slope"]
# ///

def tanh_adjoint(node, dy):
    z = node.outputs[0]
    return (ops.sub(1.0, ops.mul(z, z)),)
