# /// variant
# title = "a memo per value, filled on demand by an explicit stack"
# task = "gradient"
# ///

def gradient(graph, xs, grad_ys=None, adjoints=ADJOINTS, accumulate=accumulate):
    upstream = [None] * len(graph.outputs) if grad_ys is None else list(grad_ys)
    if len(upstream) != len(graph.outputs):
        raise GradientError("wrong number of grad_ys", got=len(upstream))
    seeds = {}
    for y, dy in zip(graph.outputs, upstream):
        seeds.setdefault(y, []).append(ops.ones_like(y) if dy is None else dy)
    on_the_way = descendants(graph, xs)
    readers = {}
    for node in graph.nodes:
        for place, value in enumerate(node.inputs):
            readers.setdefault(value, []).append((node, place))
    total, answers = {}, {}

    def needs(value):
        for node, _ in readers.get(value, ()):
            yield from (out for out in node.outputs if out not in total)

    for x in xs:
        stack = [x]
        while stack:
            value = stack[-1]
            todo = None if value in total else next(needs(value), None)
            if todo is not None:
                stack.append(todo)
                continue
            stack.pop()
            if value in total:
                continue
            terms = list(seeds.get(value, ()))
            for node, place in readers.get(value, ()):
                if node not in answers:
                    dys = [total[out] for out in node.outputs]
                    flows = any(dy is not None for dy in dys)
                    answers[node] = adjoints[node.op](node, *dys) if flows else ()
                if answers[node] and answers[node][place] is not None:
                    terms.append(answers[node][place])
            total[value] = accumulate(terms) if terms and value.node in on_the_way else None
        if total[x] is None:
            raise GradientError("nothing flows back to this x", node=x.node)
    return Graph(tuple(total[x] for x in xs))
