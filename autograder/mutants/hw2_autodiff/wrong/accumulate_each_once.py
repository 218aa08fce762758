# /// variant
# title = "a contribution that is listed twice counts once"
# task = "accumulate"
# loses = ["repeats"]
# ///

def accumulate(contributions):
    if not contributions:
        raise GradientError("nothing to accumulate")
    total, *rest = dict.fromkeys(contributions)
    for contribution in rest:
        total = ops.add(total, contribution)
    return total
