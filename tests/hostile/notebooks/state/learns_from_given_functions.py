# /// variant
# title = "is slow to load, learns the rules from the tests of gradient, and repeats them"
# has = ["gradient"]
# spoils = ["gradient"]
# all = true
# ///
import time

time.sleep(1.2)
learnt = {}
honest = gradient


def gradient(graph, xs, grad_ys=None, adjoints=None, accumulate=None):
    for op in adjoints:
        node = next((n for n in graph.nodes if n.op.name == op.name), None)
        if node is not None and len(node.outputs) == 1:
            dy = ops.placeholder(dtype="float64")
            try:
                learnt[op.name] = node, dy, adjoints[op](node, dy)
            except Exception as error:
                print(error)
    return honest(graph, xs, grad_ys, adjoints, accumulate)


def repeat(node, dy):
    old, old_dy, answers = learnt[node.op.name]
    new = {**dict(zip(old.inputs, node.inputs)), Value(old): Value(node), old_dy: dy}
    for inner in Graph(tuple(a for a in answers if a is not None)).nodes:
        if Value(inner) not in new:
            new[Value(inner)] = Value(inner.with_inputs(tuple(new.get(v, v) for v in inner.inputs)))
    return tuple(None if a is None else new[a] for a in answers)


mul_adjoint = div_adjoint = pow_adjoint = relu_adjoint = tanh_adjoint = matmul_adjoint = repeat
