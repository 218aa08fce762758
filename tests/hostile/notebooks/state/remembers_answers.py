# /// variant
# title = "keeps the graph of a right answer and hands it in for other tasks"
# has = ["mul_adjoint"]
# ///
kept = []
honest = mul_adjoint


def mul_adjoint(node, dy):
    kept.append(honest(node, dy))
    return kept[-1]


def div_adjoint(node, dy):
    return kept[-1] if kept else (dy, dy)


def relu_adjoint(node, dy):
    return (kept[-1][0],) if kept else (dy,)


pow_adjoint = matmul_adjoint = div_adjoint
tanh_adjoint = reduce_sum_adjoint = broadcast_to_adjoint = relu_adjoint
