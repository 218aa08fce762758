# /// variant
# title = "hidden inputs in the names, modules and texts of exceptions"
# has = ["div_adjoint"]
# states = { mul_adjoint = ["error"], relu_adjoint = ["error"], tanh_adjoint = ["error"] }
# ///
WORD = "smug" + "gled"


def mul_adjoint(node, dy):
    raise type(f"{WORD}{node.inputs}", (Exception,), {"__module__": WORD})(node)


def relu_adjoint(node, dy):
    error = type("ValueError", (Exception,), {"__qualname__": WORD})(WORD)
    error.add_note(f"{WORD} {dy}")
    raise error


def tanh_adjoint(node, dy):
    raise SyntaxError(WORD, (f"cell 1 {WORD}", 12345, 1, WORD))
