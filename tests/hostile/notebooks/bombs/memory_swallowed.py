# /// variant
# title = "takes all memory and survives each MemoryError"
# has = ["div_adjoint"]
# states = { mul_adjoint = ["timeout", "out_of_memory", "crashed"] }
# limits = { call_s = 2.0, memory_bytes = 100_000_000 }
# ///
def mul_adjoint(node, dy):
    hoard, size = [], 16 << 20
    while True:
        try:
            hoard.append(bytearray(size))
        except MemoryError:
            size = max(1, size // 2)
