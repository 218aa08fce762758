# /// variant
# title = "prints without end"
# has = ["div_adjoint"]
# states = { mul_adjoint = ["crashed"] }
# ///
def mul_adjoint(node, dy):
    while True:
        print("x" * (1 << 20))
