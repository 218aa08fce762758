# /// variant
# title = "only the first three contributions count"
# task = "accumulate"
# loses = ["sum"]
# ///

def accumulate(contributions):
    if not contributions:
        raise GradientError("nothing to accumulate")
    total = contributions[0]
    for contribution in contributions[1:3]:
        total = ops.add(total, contribution)
    return total
