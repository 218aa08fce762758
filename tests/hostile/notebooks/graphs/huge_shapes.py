# /// variant
# title = "a small graph whose arrays would fill the machine"
# has = ["div_adjoint"]
# states = { relu_adjoint = ["out_of_memory"], tanh_adjoint = ["out_of_memory", "error"], mul_adjoint = ["out_of_memory", "error", "malformed"] }
# ///
def relu_adjoint(node, dy):
    return (ops.mul(dy, ops.reduce_sum(ops.zeros(shape=(1 << 20, 1 << 12)))),)


def tanh_adjoint(node, dy):
    return (ops.broadcast_to(ops.ones(shape=(1,)), shape=(1 << 39, 2)),)


def mul_adjoint(node, dy):
    x = ops.reshape(dy, shape=(-1, 1))
    for _ in range(12):
        x = ops.matmul(x, ops.ones(shape=(1, 1 << 14), dtype="float64"))
        x = ops.reshape(x, shape=(-1, 1))
    return x, x
