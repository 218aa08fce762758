# /// variant
# title = "right sums, but begun at zeros: one addition too many"
# task = "accumulate"
# loses = ["cost"]
# ///

def accumulate(contributions):
    if not contributions:
        raise GradientError("nothing to accumulate")
    total = ops.zeros_like(contributions[0])
    for contribution in contributions:
        total = ops.add(total, contribution)
    return total
