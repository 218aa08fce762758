# /// variant
# title = "a class with one method per step, while loops only"
# task = "gradient"
# ///

class Backward:
    def __init__(self, graph, xs, adjoints, accumulate):
        self.graph, self.xs = graph, list(xs)
        self.adjoints, self.accumulate = adjoints, accumulate
        self.bags, self.finished = {}, {}
        self.touched = {x.node for x in self.xs}
        position = 0
        while position < len(graph.nodes):
            node = graph.nodes[position]
            if any(value.node in self.touched for value in node.inputs):
                self.touched.add(node)
            position += 1

    def give(self, value, gradient):
        if gradient is not None and value.node in self.touched:
            self.bags[value] = (*self.bags.get(value, ()), gradient)

    def finish(self, node):
        dys = []
        for value in node.outputs:
            bag = self.bags.pop(value, None)
            if bag is not None:
                self.finished[value] = self.accumulate(list(bag))
            dys.append(self.finished.get(value))
        if any(dy is not None for dy in dys) and self.matters(node):
            for value, gradient in zip(node.inputs, self.adjoints[node.op](node, *dys)):
                self.give(value, gradient)

    def matters(self, node):
        return any(value.node in self.touched for value in node.inputs)

    def run(self):
        position = len(self.graph.nodes) - 1
        while position >= 0:
            self.finish(self.graph.nodes[position])
            position -= 1
        for x in self.xs:
            if x not in self.finished:
                raise GradientError("this x has no gradient", node=x.node)
        return Graph(tuple(self.finished[x] for x in self.xs))


def gradient(graph, xs, grad_ys=None, adjoints=ADJOINTS, accumulate=accumulate):
    pass_ = Backward(graph, xs, adjoints, accumulate)
    given = grad_ys if grad_ys is not None else [ops.ones_like(y) for y in graph.outputs]
    if len(given) != len(graph.outputs):
        raise GradientError("one grad_y per output, please")
    for y, dy in zip(graph.outputs, given):
        pass_.give(y, dy)
    return pass_.run()
