# /// variant
# title = "answers that read what they were not given: new leaves, variables, other versions"
# has = ["div_adjoint"]
# ///
def mul_adjoint(node, dy):
    return ops.placeholder(dtype="float64"), Value(dy.node, 0, 7)


def relu_adjoint(node, dy):
    w = ops.variable(dtype="float64", name="expected")
    return (ops.assign(w, dy),)


def tanh_adjoint(node, dy):
    return (Value(dy.node, 5),)


def pow_adjoint(node, dy):
    return ops.normal(shape=(3,)), ops.uniform(shape=(3,))


def accumulate(contributions):
    return ops.placeholder(dtype="float64", name=contributions[0].node.name or "x")
