# /// variant
# title = "a gate of ones and zeros instead of relu_grad"
# task = "relu_adjoint"
# ///

class Gate:
    """1 where a value is positive, else 0."""

    def __init__(self, value):
        self.value = value

    def of(self, dy):
        return ops.mul(ops.cast_like(ops.greater(self.value, 0.0), dy), dy)


def relu_adjoint(node, dy):
    return (Gate(node.inputs[0]).of(dy),)
