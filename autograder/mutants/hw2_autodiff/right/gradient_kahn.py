# /// variant
# title = "Kahn's algorithm: a node is ready when all its users are done"
# task = "gradient"
# ///

from collections import Counter, deque


def gradient(graph, xs, grad_ys=None, adjoints=ADJOINTS, accumulate=accumulate):
    ys = graph.outputs
    if grad_ys is None:
        grad_ys = [ops.ones_like(y) for y in ys]
    if len(grad_ys) != len(ys):
        raise GradientError("need one upstream gradient for each y")
    missing = Counter(v.node for node in graph.nodes for v in node.inputs)
    alive = {x.node for x in xs}
    for node in graph.nodes:
        if alive.intersection(v.node for v in node.inputs):
            alive.add(node)
    parts, done = {}, {}
    for y, dy in zip(ys, grad_ys):
        parts.setdefault(y, []).append(dy)
    ready = deque(node for node in graph.nodes if not missing[node])
    while ready:
        node = ready.popleft()
        mine = {v: accumulate(parts[v]) for v in node.outputs if v in parts and node in alive}
        done.update(mine)
        if mine and any(v.node in alive for v in node.inputs):
            rule = adjoints[node.op]
            for v, dv in zip(node.inputs, rule(node, *[mine.get(o) for o in node.outputs])):
                if dv is not None and v.node in alive:
                    parts.setdefault(v, []).append(dv)
        for v in node.inputs:
            missing[v.node] -= 1
            if missing[v.node] == 0:
                ready.append(v.node)
    lost = [x for x in xs if x not in done]
    if lost:
        raise GradientError("not reachable", node=lost[0].node)
    return Graph([done[x] for x in xs])
