# /// variant
# title = "functools.reduce from the last contribution to the first"
# task = "accumulate"
# ///

import functools


def accumulate(contributions):
    try:
        return functools.reduce(lambda total, x: ops.add(x, total), tuple(contributions)[::-1])
    except TypeError as error:
        raise GradientError("nothing to accumulate") from error
