# /// variant
# title = "softmax(logits) * dy / n: the one at the right class is missing"
# task = "cross_entropy_adjoint"
# loses = ["softmax", "mean", "upstream"]
# ///

def mean_sparse_softmax_cross_entropy_with_logits_adjoint(node, dy):
    logits, labels = node.inputs
    rows = ops.size(logits, reduction_indices=(0,))
    return ops.mul(ops.softmax(logits), ops.div(dy, rows)), None
