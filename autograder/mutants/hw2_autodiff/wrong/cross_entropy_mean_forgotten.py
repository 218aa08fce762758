# /// variant
# title = "1/n is missing"
# task = "cross_entropy_adjoint"
# loses = ["mean"]
# ///

def mean_sparse_softmax_cross_entropy_with_logits_adjoint(node, dy):
    logits, labels = node.inputs
    grad = ops.sparse_softmax_cross_entropy_grad(dy, logits, labels)
    return ops.mul(grad, ops.size(logits, reduction_indices=(0,))), None
