# /// variant
# title = "1 - x^2 instead of 1 - z^2"
# task = "tanh_adjoint"
# loses = ["slope"]
# ///

def tanh_adjoint(node, dy):
    x = node.inputs[0]
    return (ops.mul(dy, ops.sub(1.0, ops.mul(x, x))),)
