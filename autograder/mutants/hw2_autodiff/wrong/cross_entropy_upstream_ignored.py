# /// variant
# title = "dy is taken for 1"
# task = "cross_entropy_adjoint"
# loses = ["upstream"]
# ///

def mean_sparse_softmax_cross_entropy_with_logits_adjoint(node, dy):
    logits, labels = node.inputs
    return ops.sparse_softmax_cross_entropy_grad(ops.ones_like(dy), logits, labels), None
