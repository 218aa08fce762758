# /// variant
# title = "zeros for the labels instead of None"
# task = "cross_entropy_adjoint"
# loses = ["softmax", "mean", "upstream"]
# ///

def mean_sparse_softmax_cross_entropy_with_logits_adjoint(node, dy):
    logits, labels = node.inputs
    return ops.sparse_softmax_cross_entropy_grad(dy, logits, labels), ops.zeros_like(labels)
