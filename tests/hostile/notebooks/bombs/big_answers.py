# /// variant
# title = "answers that are too large, too deep or without end"
# has = ["accumulate"]
# states = { mul_adjoint = ["malformed"], relu_adjoint = ["malformed"], tanh_adjoint = ["malformed"] }
# ///
import numpy


def mul_adjoint(node, dy):
    return ["x" * (1 << 20)] * 9


def relu_adjoint(node, dy):
    return numpy.zeros(80 << 20, numpy.uint8)


def tanh_adjoint(node, dy):
    answer = []
    answer.append(answer)
    return answer


def matmul_adjoint(node, dy):
    answer = ()
    for _ in range(100_000):
        answer = (answer,)
    return answer


def div_adjoint(node, dy):
    return 10**5000


def pow_adjoint(node, dy):
    return {(i, i) for i in range(20_000)}
