# /// variant
# title = "a cell that never ends"
# has = ["mul_adjoint"]
# spoils = ["mul_adjoint"]
# states = { mul_adjoint = ["timeout"] }
# limits = { load_s = 0.6 }
# ///
while True:
    pass
