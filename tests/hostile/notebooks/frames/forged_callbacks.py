# /// variant
# title = "calls functions of the judge that it was not given, or with impossible arguments"
# has = ["accumulate"]
# ///
import gc

link = next(thing for thing in gc.get_objects() if type(thing).__name__ == "_Link")
WRONG = [(), (1,), (None,) * 9, ("x" * 10_000,), ([[]],), ({},), (1e308,), (b"",)]


def mul_adjoint(node, dy):
    return link.ask(0, (node, dy), {})


def gradient(graph, xs, grad_ys, adjoints, accumulate):
    for number in (-1, 10**9, "0", None, 1.0):
        for args in WRONG:
            try:
                link.ask(number, args, {"self": 1})
            except Exception as error:
                print(type(error).__name__)
