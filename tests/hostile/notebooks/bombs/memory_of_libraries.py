# /// variant
# title = "asks numpy and torch for more memory than there is"
# has = ["div_adjoint"]
# states = { mul_adjoint = ["out_of_memory"], relu_adjoint = ["out_of_memory"] }
# ///
import numpy
import torch


def mul_adjoint(node, dy):
    return numpy.ones(1 << 36)


def relu_adjoint(node, dy):
    return torch.ones(1 << 36)
