# /// variant
# title = "writes to stderr without end while it is loaded"
# has = ["mul_adjoint"]
# spoils = ["mul_adjoint"]
# states = { mul_adjoint = ["crashed"] }
# ///
import os

while True:
    os.write(2, b"x" * (1 << 20))
