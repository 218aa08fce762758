# /// variant
# title = "the gate itself is returned, without dy"
# task = "relu_adjoint"
# loses = ["gate"]
# ///

def relu_adjoint(node, dy):
    return (ops.cast_like(ops.greater(node.inputs[0], 0.0), dy),)
