# /// variant
# title = "the four cases as a table"
# task = "matmul_adjoint"
# ///

def matmul_adjoint(node, dy):
    a, b = node.inputs
    t = (node.attrs["transpose_a"], node.attrs["transpose_b"])
    first = {
        (False, False): lambda: ops.matmul(dy, b, transpose_b=True),
        (False, True): lambda: ops.matmul(dy, b),
        (True, False): lambda: ops.matmul(b, dy, transpose_b=True),
        (True, True): lambda: ops.matmul(b, dy, transpose_a=True, transpose_b=True),
    }
    second = {
        (False, False): lambda: ops.matmul(a, dy, transpose_a=True),
        (False, True): lambda: ops.matmul(dy, a, transpose_a=True),
        (True, False): lambda: ops.matmul(a, dy),
        (True, True): lambda: ops.matmul(dy, a, transpose_a=True, transpose_b=True),
    }
    return first[t](), second[t]()
