# /// variant
# title = "chains of nodes as long as the wire lets through, and longer"
# has = ["div_adjoint"]
# states = { mul_adjoint = ["malformed"], relu_adjoint = ["failed"] }
# ///
def chain(x, length):
    for _ in range(length):
        x = ops.neg(x)
    return x


def mul_adjoint(node, dy):
    return chain(dy, 100_000), dy


def relu_adjoint(node, dy):
    return (chain(dy, 3_900),)


def accumulate(contributions):
    return chain(contributions[0], 1_500)
