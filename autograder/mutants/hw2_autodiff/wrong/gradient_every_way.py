# /// variant
# title = "right numbers, but each way from y to x is walked by itself"
# task = "gradient"
# loses = ["once"]
# ///

def gradient(graph, xs, grad_ys=None, adjoints=ADJOINTS, accumulate=accumulate):
    ys = graph.outputs
    dys = [ops.ones_like(y) for y in ys] if grad_ys is None else list(grad_ys)
    if len(dys) != len(ys):
        raise GradientError("one grad_y per y is needed")
    between = descendants(graph, xs)
    found = {x: [] for x in xs}
    waiting = list(zip(ys, dys))
    while waiting:
        value, dy = waiting.pop()
        if value in found:
            found[value].append(dy)
        if any(x.node in between for x in value.node.inputs):
            outs = [dy if v == value else None for v in value.node.outputs]
            dxs = adjoints[value.node.op](value.node, *outs)
            waiting += [(x, dx) for x, dx in zip(value.node.inputs, dxs) if dx is not None]
    for x in xs:
        if not found[x]:
            raise GradientError("no y depends on this x", node=x.node)
    return Graph(tuple(accumulate(found[x]) for x in xs))
