# /// variant
# title = "only the last contribution counts"
# task = "accumulate"
# loses = ["sum", "repeats"]
# ///

def accumulate(contributions):
    if not contributions:
        raise GradientError("nothing to accumulate")
    return contributions[-1]
