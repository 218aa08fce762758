# /// variant
# title = "right numbers, but tanh is computed a second time"
# task = "tanh_adjoint"
# loses = ["reuse"]
# ///

def tanh_adjoint(node, dy):
    again = ops.tanh(node.inputs[0])
    return (ops.mul(dy, ops.sub(1.0, ops.mul(again, again))),)
