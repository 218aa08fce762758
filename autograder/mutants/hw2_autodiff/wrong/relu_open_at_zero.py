# /// variant
# title = "dy passes at x = 0 too"
# task = "relu_adjoint"
# loses = ["kink"]
# ///

def relu_adjoint(node, dy):
    x = node.inputs[0]
    closed = ops.cast_like(ops.greater(0.0, x), dy)
    return (ops.mul(dy, ops.sub(1.0, closed)),)
