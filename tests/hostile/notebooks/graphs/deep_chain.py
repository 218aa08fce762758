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
    return chain(dy, 20_000), dy


def relu_adjoint(node, dy):
    return (chain(dy, 2_000),)
