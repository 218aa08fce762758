# /// variant
# title = "right once: the list of the caller is empty afterwards"
# task = "accumulate"
# loses = ["sum"]
# ///

def accumulate(contributions):
    if not contributions:
        raise GradientError("nothing to accumulate")
    if not isinstance(contributions, list):
        contributions = list(contributions)
    total = contributions.pop()
    while contributions:
        total = ops.add(total, contributions.pop())
    return total
