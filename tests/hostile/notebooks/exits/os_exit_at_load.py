# /// variant
# title = "ends the process while it is loaded, with the exit code that means out of memory"
# has = ["mul_adjoint"]
# spoils = ["mul_adjoint"]
# states = { mul_adjoint = ["out_of_memory", "crashed"] }
# ///
import os

os._exit(86)
