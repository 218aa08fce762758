# /// variant
# title = "relu is applied to dy: its sign decides instead of that of x"
# task = "relu_adjoint"
# loses = ["gate"]
# ///

def relu_adjoint(node, dy):
    return (ops.relu(dy),)
