# /// variant
# title = "right once: the grad_ys of the caller are gone afterwards"
# task = "gradient"
# loses = ["grad_ys"]
# ///

def gradient(graph, xs, grad_ys=None, adjoints=ADJOINTS, accumulate=accumulate):
    ys = graph.outputs
    dys = [ops.ones_like(y) for y in ys] if grad_ys is None else grad_ys
    if len(dys) != len(ys):
        raise GradientError("one grad_y per y is needed")
    contributions = {}
    for y, dy in zip(ys, dys):
        contributions.setdefault(y, []).append(dy)
    dys.clear()
    between = descendants(graph, xs)
    adjoint = {}
    for node in reversed(graph.nodes):
        arrived = [value for value in node.outputs if value in contributions]
        if node not in between or not arrived:
            continue
        for value in arrived:
            adjoint[value] = accumulate(contributions[value])
        if not any(value.node in between for value in node.inputs):
            continue
        dxs = adjoints[node.op](node, *(adjoint.get(value) for value in node.outputs))
        for x, dx in zip(node.inputs, dxs):
            if dx is not None and x.node in between:
                contributions.setdefault(x, []).append(dx)
    for x in xs:
        if x not in adjoint:
            raise GradientError("no y depends on this x", node=x.node)
    return Graph(tuple(adjoint[x] for x in xs))
