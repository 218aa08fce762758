# /// variant
# title = "a rule that never returns"
# has = ["div_adjoint"]
# states = { mul_adjoint = ["timeout"] }
# limits = { call_s = 2.0 }
# ///
def mul_adjoint(node, dy):
    while True:
        pass
