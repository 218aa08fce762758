"""Hidden tests of the whole: the student's gradient, accumulate and adjoints, together."""

from autograder.judge import check
from autograder.judge.oracle import derivatives, slope
from autograder.judge.parts import whole
from autograder.judge.plugin import bucket
from tinyflow import ops
from tinyflow.ir import Graph, Value

TASK = "integration"


def differentiate(student, homework, graph, xs):
    """The gradient made of the student's parts only; ops that are not tasks keep given rules."""
    adjoints, accumulate = whole(homework)
    built = check.graph(student.gradient(graph, xs, None, adjoints, accumulate), len(xs))
    check.known_leaves(built, graph.nodes)
    return built


def leaves(*arrays):
    """Placeholders and what they hold."""
    values = [Value(ops.placeholder(dtype=a.dtype.name).node) for a in arrays]
    return values, dict(zip(values, arrays))


def formula(xp, x, w):
    """Uses every elementwise task twice or more, with broadcasting: x (3, 4), w (4,)."""
    a = xp.tanh(x * w) / (w * w + 1.5)
    b = (a * a + 0.5) ** 1.7
    return b * xp.tanh(b / (x * x + 1)) - a * w


def formula_graph(x, w):
    """The same as nodes."""
    a = ops.div(ops.tanh(ops.mul(x, w)), ops.add(ops.mul(w, w), 1.5))
    b = ops.pow(ops.add(ops.mul(a, a), 0.5), 1.7)
    c = ops.tanh(ops.div(b, ops.add(ops.mul(x, x), 1.0)))
    return ops.sub(ops.mul(b, c), ops.mul(a, w))


def network(labels, repeats):
    """A network with shared weights and a penalty, and the mean cross entropy as its loss."""

    def forward(xp, x, w1, bias, w2):
        hidden = x @ w1.T + xp.broadcast_to(bias, (x.shape[0], bias.shape[0]))
        hidden = hidden * (hidden > 0)
        for _ in range(repeats):
            hidden = xp.tanh(hidden @ w2) + hidden
        logits = hidden @ w2
        shifted = logits - xp.amax(logits, 1, keepdims=True)
        log_sum = xp.log(xp.sum(xp.exp(shifted), 1))
        loss = xp.mean(log_sum - shifted[range(len(labels)), labels])
        return loss + 0.1 * xp.sum(w1**2.0) + 0.1 * xp.sum(w2**2.0)

    return forward


def network_graph(x, w1, bias, w2, labels, shape, repeats):
    """The same as nodes; ``shape`` is that of the hidden layer."""
    hidden = ops.add(ops.matmul(x, w1, transpose_b=True), ops.broadcast_to(bias, shape=shape))
    hidden = ops.relu(hidden)
    for _ in range(repeats):
        hidden = ops.add(ops.tanh(ops.matmul(hidden, w2)), hidden)
    logits = ops.matmul(hidden, w2)
    loss = ops.mean_sparse_softmax_cross_entropy_with_logits(logits, labels)
    for weight in (w1, w2):
        loss = ops.add(loss, ops.mul(ops.reduce_sum(ops.pow(weight, 2.0)), 0.1))
    return loss


@bucket(TASK, "formula", hint="All your parts together must give what each promises alone.")
def test_formula_with_broadcasting(student, runner, rng, homework):
    arrays = [rng.normal(size=(3, 4)), rng.normal(size=4)]
    (x, w), feeds = leaves(*arrays)
    built = differentiate(student, homework, Graph((formula_graph(x, w),)), [x, w])
    expected = derivatives(formula, arrays)
    for got, want in zip(runner.run(built, feeds), expected):
        check.close(got, want)


@bucket(TASK, "network", hint="A network with shared weights: does each part pass its own tests?")
def test_network(student, runner, rng, homework):
    for repeats in [1, 3]:
        n, k, m = 5, 4, 3
        labels = rng.integers(m, size=n)
        arrays = [rng.normal(size=s) for s in ((n, k), (m, k), (m,), (m, m))]
        (*xs, given), feeds = leaves(*arrays, labels)
        loss = network_graph(*xs, given, (n, m), repeats)
        built = differentiate(student, homework, Graph((loss,)), xs)
        expected = derivatives(network(labels, repeats), arrays)
        for got, want in zip(runner.run(built, feeds), expected):
            check.close(got, want)


@bucket(TASK, "second_order", hint="Your adjoints are graphs too: differentiate them once more.")
def test_second_derivative_through_own_adjoints(student, runner, rng, homework):
    arrays = [rng.normal(size=(2, 3)), rng.normal(size=3)]
    (x, w), feeds = leaves(*arrays)
    first = differentiate(student, homework, Graph((formula_graph(x, w),)), [w])
    second = differentiate(student, homework, first, [x, w])
    expected = derivatives(slope(formula, 1), arrays, tolerance=1e-4)
    for got, want in zip(runner.run(second, feeds), expected):
        check.close(got, want, rtol=1e-5)


@bucket(TASK, "training", hint="Descend along your gradient: the loss of a network must fall.")
def test_training_step_lowers_the_loss(student, runner, rng, homework):
    n, k, m = 12, 6, 4
    x, labels = rng.normal(size=(n, k)), rng.integers(m, size=n)
    weights = [0.5 * rng.normal(size=s) for s in ((m, k), (m,), (m, m))]
    (given_x, *xs, given), feeds = leaves(x, *weights, labels)
    loss = network_graph(given_x, *xs, given, (n, m), 1)
    built = differentiate(student, homework, Graph((loss,)), xs)
    losses = []
    for _ in range(4):
        *slopes, value = runner.run(Graph((*built.outputs, loss)), feeds)
        losses.append(float(value))
        # at each step: weights that merely shrink lower the loss as well
        _, *expected = derivatives(network(labels, 1), [x, *(feeds[leaf] for leaf in xs)])
        for leaf, got, want in zip(xs, slopes, expected):
            check.close(got, want, "a gradient of training")
            feeds[leaf] = feeds[leaf] - 0.1 * got
    if losses[-1] >= losses[0]:
        check.fail("losses of 4 steps", losses, "a falling sequence")
