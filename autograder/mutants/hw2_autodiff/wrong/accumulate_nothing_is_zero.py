# /// variant
# title = "nothing to add up gives 0, in no particular shape"
# task = "accumulate"
# loses = ["nothing"]
# ///

def accumulate(contributions):
    if not contributions:
        return ops.constant(0.0)
    total = contributions[0]
    for contribution in contributions[1:]:
        total = ops.add(total, contribution)
    return total
