# /// variant
# title = "the rule returns at once; what it built takes hours to compute"
# has = ["div_adjoint"]
# states = { mul_adjoint = ["timeout"] }
# limits = { call_s = 0.5 }
# ///
def mul_adjoint(node, dy):
    x = ops.ones(shape=(3000, 3000), dtype="float64")
    for _ in range(25):
        x = ops.pow(x, ops.exp(x))
    x = ops.reduce_sum(x)
    return ops.mul(dy, x), ops.mul(dy, x)
