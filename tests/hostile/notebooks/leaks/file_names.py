# /// variant
# title = "hidden inputs in the file names and lines of tracebacks"
# has = ["div_adjoint"]
# states = { mul_adjoint = ["error"], relu_adjoint = ["error"] }
# ///
WORD = "smug" + "gled"


def fail(filename, line=1):
    exec(compile("\n" * (line - 1) + "raise ValueError", filename, "exec"))


def mul_adjoint(node, dy):
    fail(f"cell 1, line 2, {WORD} <script>alert(1)</script>")


def relu_adjoint(node, dy):
    fail(f"/{WORD}\x1b[31m/{dy}")
