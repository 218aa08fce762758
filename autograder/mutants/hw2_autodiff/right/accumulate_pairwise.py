# /// variant
# title = "a balanced tree of additions"
# task = "accumulate"
# ///

def accumulate(contributions):
    level = list(contributions)
    if len(level) == 0:
        raise GradientError("there is nothing to add up")
    while len(level) > 1:
        pairs = [ops.add(a, b) for a, b in zip(level[::2], level[1::2])]
        level = pairs + level[2 * len(pairs) :]
    return level[0]
