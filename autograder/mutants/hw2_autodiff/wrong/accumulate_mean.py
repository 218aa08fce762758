# /// variant
# title = "the mean of the contributions instead of their sum"
# task = "accumulate"
# loses = ["sum", "repeats", "cost"]
# ///

def accumulate(contributions):
    if not contributions:
        raise GradientError("nothing to accumulate")
    total = contributions[0]
    for contribution in contributions[1:]:
        total = ops.add(total, contribution)
    return ops.div(total, float(len(contributions)))
