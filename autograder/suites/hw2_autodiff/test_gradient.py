"""Hidden tests of gradient. Rules and accumulation are given, right, and count their calls."""

from functools import partial

import numpy as np

from autograder.judge import check
from autograder.judge.oracle import derivatives, slope
from autograder.judge.parts import Parts
from autograder.judge.plugin import bucket
from autograder.sandbox import CallbackTable, Own, StudentError
from autograder.suites.hw2_autodiff.sketch import Sketch, random_sketch
from tinyflow import ops
from tinyflow.ir import Graph, Op, Value

TASK = "gradient"


def inputs(rng, count, shape=(2, 3)):
    """Contents of the inputs: of both signs, small enough for any sketch."""
    return [rng.uniform(0.3, 1.2, shape) * rng.choice([-1, 1], shape) for _ in range(count)]


def twin(a, b):
    """An op of the judge's own, twin(x) = (a x, b x), and its rule: no engine has it."""

    def anything(attrs, ins, outs):
        return ins, outs

    def rule(node, d_first, d_second):
        weighted = [ops.mul(d, k) for d, k in ((d_first, a), (d_second, b)) if d is not None]
        return (ops.add(*weighted) if len(weighted) == 2 else weighted[0],)

    return Op("twin", ("x",), shape=anything, dtype=anything, outputs=("y", "z")), rule


def ask(student, graph, xs, grad_ys=None, parts=None):
    """Call the student's gradient with the judge's parts; return its graph, form checked."""
    parts = parts or Parts(graph)
    answer = student.gradient(graph, xs, grad_ys, parts.adjoints, parts.accumulate)
    built = check.graph(answer, len(xs), "gradient")
    known = [value.node for value in (*xs, *(grad_ys or ()))]
    check.known_leaves(built, [*graph.nodes, *known])
    return built


def judge(student, runner, sketch, arrays, outputs=(-1,), upstream=False, rng=None):
    """Differentiate the ``outputs`` of ``sketch`` by all inputs and compare with the oracles."""
    drawing = sketch.draw(arrays)
    graph, feeds = drawing.graph(*outputs), dict(drawing.feeds)
    grad_ys, weights = None, np.ones((len(outputs), *arrays[0].shape))
    if upstream:
        weights = rng.normal(size=weights.shape)
        grad_ys = [Value(ops.placeholder(dtype="float64").node) for _ in outputs]
        feeds.update(zip(grad_ys, weights))
    parts = Parts(graph)
    built = ask(student, graph, drawing.xs, grad_ys, parts)
    expected = derivatives(sketch.forward(*outputs), arrays, weights)
    for position, (got, want) in enumerate(zip(runner.run(built, feeds), expected)):
        check.close(got, want, f"gradient of x{position}")
    return drawing, parts, built


def refuses(student, graph, xs, grad_ys=None):
    """The request has no answer: TinyflowError (GradientError is one), and nothing else."""
    try:
        got = ask(student, graph, xs, grad_ys)
    except StudentError as error:
        check.equal(error.name, "TinyflowError", "the error")
    else:
        check.fail("a gradient that does not exist", got, "GradientError")


CHAIN = Sketch(1, (("tanh", 0), ("neg", 1), ("exp", 2), ("tanh", 3)))
LATE_LEFT = Sketch(1, (("tanh", 0), ("exp", 1), ("tanh", 2), ("mul", 3, 0)))
LATE_RIGHT = Sketch(1, (("tanh", 0), ("exp", 1), ("tanh", 2), ("mul", 0, 3)))


@bucket(TASK, "chain", hint="Walk back from y; a rule gets the adjoint that its node's user made.")
def test_chain(student, runner, rng):
    judge(student, runner, CHAIN, inputs(rng, 1))


@bucket(TASK, "chain", hint="A rule returns one adjoint per input, in the order of the inputs.")
def test_two_inputs(student, runner, rng):
    sketch = Sketch(2, (("tanh", 0), ("div", 2, 1), ("exp", 3), ("sub", 1, 4)))
    judge(student, runner, sketch, inputs(rng, 2))


@bucket(TASK, "chain", hint="Nothing remains from one call to the next: no globals, no defaults.")
def test_two_runs_in_a_row(student, runner, rng):
    arrays = inputs(rng, 1)
    drawing = LATE_LEFT.draw(arrays)
    graph = drawing.graph()
    (want,) = derivatives(LATE_LEFT.forward(), arrays)
    for _ in range(2):
        built = ask(student, graph, drawing.xs)
        check.close(runner.run(built, drawing.feeds)[0], want)
    judge(student, runner, CHAIN, inputs(rng, 1))


@bucket(TASK, "diamonds", hint="A node is differentiated after all its users, not at first sight.")
def test_diamond_with_ways_of_different_length(student, runner, rng):
    for sketch in [LATE_LEFT, LATE_RIGHT]:
        judge(student, runner, sketch, inputs(rng, 1))


@bucket(TASK, "diamonds", hint="The inner value of a diamond waits for its longest way to y too.")
def test_inner_diamond(student, runner, rng):
    unary = (("tanh", 0), ("exp", 1), ("tanh", 2), ("neg", 3))
    left = (*unary, ("mul", 4, 1), ("add", 5, 2), ("mul", 6, 3))
    right = (*unary, ("mul", 1, 4), ("add", 2, 5), ("mul", 3, 6))
    for steps in (left, right):
        judge(student, runner, Sketch(1, steps), inputs(rng, 1))


@bucket(TASK, "diamonds", hint="The order of creation need not be the order of inputs: sort nodes.")
def test_shared_value_between_two_outputs(student, runner, rng):
    steps = (("exp", 0), ("tanh", 1), ("mul", 2, 1), ("neg", 1), ("tanh", 3))
    sketch = Sketch(1, steps)
    judge(student, runner, sketch, inputs(rng, 1), outputs=(4, 5), upstream=True, rng=rng)
    judge(student, runner, sketch, inputs(rng, 1), outputs=(5, 2, 4), upstream=True, rng=rng)


@bucket(TASK, "diamonds", hint="Any graph without cycles will do: try random ones.")
def test_random_graphs(student, runner, rng):
    for steps in [8, 16, 24]:
        judge(student, runner, random_sketch(rng, 3, steps), inputs(rng, 3))


@bucket(TASK, "fan_out", hint="Every use of a value contributes, however many there are.")
def test_many_users(student, runner, rng):
    for uses in [5, 6, 9]:
        steps = [("tanh", 0), *((str(rng.choice(["tanh", "exp", "neg"])), 1) for _ in range(uses))]
        total = 2
        for index in range(3, uses + 2):
            steps.append(("add", index, total) if index % 2 else ("sub", total, index))
            total = len(steps)
        steps.append(("mul", total, 0))
        judge(student, runner, Sketch(1, tuple(steps)), inputs(rng, 1))


@bucket(TASK, "fan_out", hint="x * x reads x twice: both contributions count.")
def test_value_used_twice_by_one_node(student, runner, rng):
    steps = (("mul", 0, 0), ("mul", 1, 1), ("sub", 1, 2), ("add", 3, 3), ("mul", 4, 4))
    judge(student, runner, Sketch(1, steps), inputs(rng, 1))


@bucket(TASK, "grad_ys", hint="grad_ys are the adjoints of the ys: start from them.")
def test_upstream_gradients(student, runner, rng):
    judge(student, runner, CHAIN, inputs(rng, 1), upstream=True, rng=rng)
    sketch = Sketch(2, (("mul", 0, 1), ("tanh", 2), ("add", 3, 0)))
    arrays = inputs(rng, 2)
    judge(student, runner, sketch, arrays, outputs=(4, 2), upstream=True, rng=rng)


@bucket(TASK, "grad_ys", hint="A y that is listed twice contributes twice.")
def test_output_listed_twice(student, runner, rng):
    for upstream in [False, True]:
        sketch = Sketch(1, (("tanh", 0), ("mul", 1, 0)))
        arrays = inputs(rng, 1)
        judge(student, runner, sketch, arrays, outputs=(2, 1, 2), upstream=upstream, rng=rng)


@bucket(TASK, "grad_ys", hint="A y may lie inside another y's graph: it is a use like any other.")
def test_output_inside_another_output(student, runner, rng):
    judge(student, runner, CHAIN, inputs(rng, 1), outputs=(4, 2, 0), upstream=True, rng=rng)


@bucket(TASK, "grad_ys", hint="xs and grad_ys belong to the caller: leave them as they are.")
def test_arguments_stay_as_they_are(student, runner, rng):
    (array,) = inputs(rng, 1)
    drawing = LATE_LEFT.draw([array])
    graph = drawing.graph(4, 2)
    dys = [Value(ops.placeholder(dtype="float64").node) for _ in range(2)]
    weights = rng.normal(size=(2, *array.shape))
    xs, grad_ys = student.lend(drawing.xs), student.lend(dys)
    (want,) = derivatives(LATE_LEFT.forward(4, 2), [array], weights)
    for _ in range(2):
        parts = Parts(graph)
        answer = student.gradient(graph, xs, grad_ys, parts.adjoints, parts.accumulate)
        built = check.graph(answer, 1, "gradient")
        check.close(runner.run(built, {**drawing.feeds, **dict(zip(dys, weights))})[0], want)
    for lent, items in ((xs, drawing.xs), (grad_ys, dys)):
        after = check.values(student.look(lent), len(items), "an argument after the call")
        check.equal(after, tuple(items), "an argument after the call")


@bucket(TASK, "xs", hint="x may be an inner value; when its node is reached it is complete.")
def test_inner_values_and_their_order(student, runner, rng):
    (array,) = inputs(rng, 1)
    drawing = LATE_LEFT.draw([array])
    x, middle = drawing.values[0], drawing.values[2]
    tail = Sketch(2, (("tanh", 1), ("mul", 2, 0)))  # x, exp(tanh(x)) -> y
    by_x = derivatives(LATE_LEFT.forward(), [array])[0]
    by_middle = derivatives(tail.forward(), [array, np.exp(np.tanh(array))])[1]
    for xs in ([middle], [x, middle], [middle, x], [x, middle, x]):
        built = ask(student, drawing.graph(), xs)
        for value, got in zip(xs, runner.run(built, drawing.feeds)):
            check.close(got, by_x if value is x else by_middle, repr(value))


@bucket(TASK, "xs", hint="y itself may be an x: dy/dy is the upstream gradient.")
def test_output_as_x(student, runner, rng):
    (array,) = inputs(rng, 1)
    drawing = CHAIN.draw([array])
    y = drawing.values[-1]
    built = ask(student, drawing.graph(), [y, drawing.values[0]])
    (by_x,) = derivatives(CHAIN.forward(), [array])
    got = runner.run(built, drawing.feeds)
    check.close(got[0], np.ones_like(array), "dy/dy")
    check.close(got[1], by_x, "dy/dx")


@bucket(TASK, "unreachable", hint="If y does not depend on x there is no gradient: GradientError.")
def test_input_that_is_not_used(student, runner, rng):
    judge(student, runner, CHAIN, inputs(rng, 1))
    drawing = CHAIN.draw(inputs(rng, 1))
    stranger = Value(ops.placeholder(dtype="float64").node)
    refuses(student, drawing.graph(), [stranger])
    refuses(student, drawing.graph(), [drawing.xs[0], stranger])
    refuses(student, drawing.graph(2), [drawing.values[-1]])  # below y, not above it


@bucket(TASK, "unreachable", hint="None from every rule on the way means: not differentiable.")
def test_no_differentiable_way(student, runner, rng):
    judge(student, runner, CHAIN, inputs(rng, 1))
    drawing = CHAIN.draw(inputs(rng, 1))
    x, middle = drawing.xs[0], drawing.values[2]
    step = ops.cast_like(ops.greater(middle, 0.0), middle)
    refuses(student, Graph((step,)), [x])
    refuses(student, Graph((ops.mul(ops.stop_gradient(middle), 2.0),)), [x])


@bucket(TASK, "unreachable", hint="One grad_y per y, or GradientError.")
def test_wrong_number_of_upstream_gradients(student, runner, rng):
    judge(student, runner, CHAIN, inputs(rng, 1), upstream=True, rng=rng)
    drawing = CHAIN.draw(inputs(rng, 1))
    dys = [Value(ops.placeholder(dtype="float64").node) for _ in range(3)]
    refuses(student, drawing.graph(2, 4), drawing.xs, dys)
    refuses(student, drawing.graph(2, 4), drawing.xs, dys[:1])


@bucket(TASK, "none", hint="A rule answers None for an input without gradient: skip it.")
def test_inputs_without_gradient(student, runner, rng):
    (array,) = inputs(rng, 1)
    drawing = CHAIN.draw([array])
    x, y = drawing.xs[0], drawing.values[-1]
    gate = ops.cast_like(ops.greater(x, 0.1), x)  # None through greater, None for cast_like's like
    loss = ops.add(ops.mul(y, gate), ops.zeros_like(x))
    built = ask(student, Graph((loss,)), [x])
    (want,) = derivatives(CHAIN.forward(), [array], (array > 0.1)[None].astype(float))
    check.close(runner.run(built, drawing.feeds)[0], want)


@bucket(TASK, "none", hint="A gradient may be blocked on one way and flow on another.")
def test_one_way_blocked(student, runner, rng):
    (array,) = inputs(rng, 1)
    drawing = LATE_LEFT.draw([array])
    x, y = drawing.xs[0], drawing.values[-1]
    built = ask(student, Graph((ops.mul(y, ops.stop_gradient(x)),)), [x])
    (want,) = derivatives(LATE_LEFT.forward(), [array], array[None])
    check.close(runner.run(built, drawing.feeds)[0], want)


@bucket(TASK, "outputs", hint="A node can have several results, each with an adjoint of its own.")
def test_node_with_two_results(student, runner, rng):
    def forward(c, d, xp, x):
        return xp.tanh(c * x) * (d * x)

    (array,) = inputs(rng, 1)
    a, b = (float(c) for c in rng.uniform(0.5, 2, 2) * [1, -1])
    op, rule = twin(a, b)
    for c, d in ((a, b), (a, a), (b, b)):  # both results, only the first, only the second
        x = Value(ops.placeholder(dtype="float64").node)
        first, second = op(x)
        feeds = {x: array, first: a * array, second: b * array}
        left, right = (first if k == a else second for k in (c, d))
        graph = Graph((ops.mul(ops.tanh(left), right),))
        parts = Parts(graph, rules={op: rule})
        built = ask(student, graph, [x], None, parts)
        (want,) = derivatives(partial(forward, c, d), [array])
        check.close(runner.run(built, feeds)[0], want)
        check.equal(parts.calls[first.node], 1, "calls of the rule of the node with two results")


@bucket(TASK, "second", hint="The gradient is a graph like any other: differentiate it again.")
def test_second_derivative(student, runner, rng):
    for sketch in [CHAIN, LATE_LEFT]:
        (array,) = inputs(rng, 1)
        drawing = sketch.draw([array])
        first = ask(student, drawing.graph(), drawing.xs)
        second = ask(student, first, drawing.xs)
        (want,) = derivatives(slope(sketch.forward(), 0), [array], tolerance=1e-5)
        check.close(runner.run(second, drawing.feeds)[0], want, "second derivative")


@bucket(TASK, "second", hint="d2y/dx dw: the first gradient depends on the other input as well.")
def test_mixed_derivative(student, runner, rng):
    sketch = Sketch(2, (("mul", 0, 1), ("tanh", 2), ("mul", 3, 0), ("add", 4, 2)))
    arrays = inputs(rng, 2)
    drawing = sketch.draw(arrays)
    x, w = drawing.xs
    first = ask(student, drawing.graph(), [x])
    second = ask(student, first, [w, x])
    by_x, by_w = derivatives(slope(sketch.forward(), 0), arrays, tolerance=1e-5)
    for got, want in zip(runner.run(second, drawing.feeds), (by_w, by_x)):
        check.close(got, want, "second derivative")


@bucket(TASK, "once", hint="Call each rule once: first add up all that its users contribute.")
def test_each_rule_is_called_once(student, runner, rng):
    for sketch in (LATE_LEFT, LATE_RIGHT, random_sketch(rng, 2, 12)):
        drawing, parts, built = judge(student, runner, sketch, inputs(rng, sketch.inputs))
        parts.called_once(drawing.nodes())
        parts.little_else(built, 3)


@bucket(TASK, "once", hint="y has 2^n ways to x, but the graph has n nodes: so must its gradient.")
def test_tower_of_diamonds(student, runner, rng):
    floors = int(rng.integers(24, 30))
    steps = tuple(("add", index, index) for index in range(floors))
    drawing, parts, built = judge(student, runner, Sketch(1, steps), [rng.normal(size=2) / 2**25])
    parts.called_once(drawing.nodes())
    parts.little_else(built, 3)


@bucket(TASK, "pruned", hint="Only nodes between xs and ys are differentiated.")
def test_nodes_off_the_way_are_left_alone(student, runner, rng):
    steps = (("tanh", 0), ("tanh", 1), ("exp", 3), ("mul", 2, 4), ("neg", 5), ("exp", 6))
    sketch, arrays = Sketch(2, steps), inputs(rng, 2)
    drawing = sketch.draw(arrays)
    parts = Parts(drawing.graph())
    built = ask(student, drawing.graph(), drawing.xs[:1], None, parts)
    check.close(runner.run(built, drawing.feeds)[0], derivatives(sketch.forward(), arrays)[0])
    parts.called_once(drawing.nodes(2, 5, 6, 7))


@bucket(TASK, "depth", hint="Python's stack is about 1,000 calls deep: loop over graph.nodes.")
def test_deep_chain(student, runner, rng):
    judge(student, runner, CHAIN, inputs(rng, 1))  # the derivative of an even chain is a guess
    depth = 1_100
    steps = tuple(("neg", index) for index in range(depth))
    drawing = Sketch(1, steps).draw([rng.normal(size=2)])
    # a callback per node would take longer than all other tests: the worker's engine has a rule of
    # neg, and on a chain, where each value has one contribution, max is an accumulation
    rules = CallbackTable({"neg": Own("tinyflow.adjoints.elementwise:neg_adjoint")})
    answer = student.gradient(drawing.graph(), drawing.xs, None, rules, Own("builtins:max"))
    built = check.graph(answer, 1, "gradient")
    check.close(runner.run(built, drawing.feeds)[0], np.full(2, (-1.0) ** depth), "gradient")
