# /// variant
# title = "subclasses of Value, Node and Graph that show another content each time"
# has = ["mul_adjoint"]
# ///
class LyingValue(Value):
    node = property(lambda self: self)
    op = inputs = attrs = name = after = device = property(lambda self: self)
    index = version = 0

    def __eq__(self, other):
        return True

    def __hash__(self):
        return 0


class LyingGraph(Graph):
    outputs = nodes = property(lambda self: (self, self))


def lying(*args):
    return tuple(object.__new__(LyingValue) for _ in range(2))


div_adjoint = pow_adjoint = relu_adjoint = tanh_adjoint = lying
accumulate = lambda contributions: object.__new__(LyingValue)
gradient = lambda *args: object.__new__(LyingGraph)
