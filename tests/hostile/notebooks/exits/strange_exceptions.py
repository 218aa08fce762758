# /// variant
# title = "exceptions that lie about their class, cannot be printed, never end or are huge"
# has = ["div_adjoint"]
# states = { mul_adjoint = ["error"], relu_adjoint = ["error"], tanh_adjoint = ["error"] }
# ///
class Meta(type):
    def __getattribute__(cls, name):
        raise SystemExit


class Liar(BaseException, metaclass=Meta):
    def __str__(self):
        raise SystemExit

    __repr__ = __str__
    __class__ = property(lambda self: NotImplementedError)
    __cause__ = __context__ = __traceback__ = property(lambda self: self)


def mul_adjoint(node, dy):
    raise Liar


def relu_adjoint(node, dy):
    group = ValueError("x" * 10_000_000)
    for _ in range(2_000):
        group = ExceptionGroup("passed", [group])
    raise group


def tanh_adjoint(node, dy):
    first, second = ValueError("passed"), TypeError()
    first.__cause__, second.__cause__ = second, first
    first.__notes__ = ["<script>"] * 10_000
    raise first
