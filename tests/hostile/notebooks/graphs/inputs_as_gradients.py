# /// variant
# title = "calls every x its own gradient: weights shrink and the loss falls, as if it had learnt"
# has = ["accumulate"]
# judged = ["gradient", "integration", "accumulate"]
# ///
def gradient(graph, xs, grad_ys=None, adjoints=None, accumulate=None):
    return Graph(tuple(xs))
