# /// variant
# title = "takes memory until there is none"
# has = ["div_adjoint"]
# states = { mul_adjoint = ["out_of_memory"] }
# limits = { memory_bytes = 100_000_000 }
# ///
def mul_adjoint(node, dy):
    hoard = []
    while True:
        hoard.append(bytearray(16 << 20))
