# /// variant
# title = "an answer built up in parts that the judge may read but cannot pass on"
# has = ["accumulate"]
# states = { gradient = ["malformed"] }
# ///
import numpy


def gradient(graph, xs, grad_ys, adjoints, accumulate):
    total = xs[0]
    for part in range(20):
        many = [ops.constant(numpy.arange(3.0) + i) for i in range(100)]
        total = accumulate([total, *many])
    return Graph((total,) * len(xs))
