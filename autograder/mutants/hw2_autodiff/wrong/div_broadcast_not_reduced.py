# /// variant
# title = "repeated operands do not collect from their copies"
# task = "div_adjoint"
# loses = ["broadcast"]
# ///

def div_adjoint(node, dy):
    x, y = node.inputs
    return ops.div(dy, y), ops.neg(ops.mul(ops.div(dy, y), node.outputs[0]))
