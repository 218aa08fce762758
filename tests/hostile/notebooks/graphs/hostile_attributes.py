# /// variant
# title = "attributes that are code, objects, numbers without end, or of a wrong kind"
# has = ["div_adjoint"]
# ///
CODE = "__import__('os').system('touch /tmp/tinyflow-hostile-attribute')"


class Evil:
    def __repr__(self):
        return CODE

    __str__ = __format__ = __repr__
    __index__ = __int__ = lambda self: 1 << 80


def forged(op, *inputs, **attrs):
    node = op.node(list(inputs), {})
    object.__setattr__(node, "attrs", {**node.attrs, **attrs})
    return Value(node)


def mul_adjoint(node, dy):
    return forged(ops.reduce_sum, dy, reduction_indices=(CODE,)), dy


def relu_adjoint(node, dy):
    return (forged(ops.softmax, dy, axis=Evil()),)


def tanh_adjoint(node, dy):
    return (forged(ops.transpose, dy, perm=tuple(range(10**5))),)


def pow_adjoint(node, dy):
    return forged(ops.reduce_sum, dy, keepdims=float("nan")), forged(ops.neg, dy, code=CODE)


def matmul_adjoint(node, dy):
    return forged(ops.cast, dy, dtype=CODE), forged(ops.softmax, dy, axis=1 << 62)


def reduce_sum_adjoint(node, dy):
    return (forged(ops.transpose, dy, perm=("{0}", "{@name}")),)
