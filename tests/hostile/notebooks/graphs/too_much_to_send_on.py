# /// variant
# title = "an answer built up in parts that the judge may read but cannot pass on"
# has = ["accumulate"]
# states = { gradient = ["malformed"] }
# ///
import numpy

calls = iter(range(1000))


def gradient(graph, xs, grad_ys, adjoints, accumulate):
    total = xs[0]
    if next(calls) < 2:
        for part in range(18):
            total = accumulate([total, ops.constant(numpy.zeros(500_000))])
    return Graph((total,) * len(xs))
