# /// variant
# title = "only the last three contributions count"
# task = "accumulate"
# loses = ["sum"]
# ///

def accumulate(contributions):
    if not contributions:
        raise GradientError("nothing to accumulate")
    total, *rest = contributions[-3:]
    for contribution in rest:
        total = ops.add(total, contribution)
    return total
