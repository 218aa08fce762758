# /// variant
# title = "(1 - z)(1 + z) instead of 1 - z^2"
# task = "tanh_adjoint"
# ///

def tanh_adjoint(node, dy):
    (z,) = node.outputs
    return (ops.mul(ops.mul(ops.sub(1, z), ops.add(1, z)), dy),)
