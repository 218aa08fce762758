"""Hidden tests of the adjoint of the mean sparse softmax cross entropy."""

import numpy as np

from autograder.judge.plugin import bucket
from autograder.suites.hw2_autodiff.adjoint import answer, ask
from tinyflow import ops

WORKER = "rules"  # rules keep no state: one worker serves them all
TASK = "cross_entropy_adjoint"
RULE = "mean_sparse_softmax_cross_entropy_with_logits_adjoint"


def question(logits, labels, rng, **options):
    """The mean cross entropy of ``logits`` (n, c) and ``labels`` (n,)."""

    def loss(xp, logits):
        highest = xp.amax(logits, 1, keepdims=True)
        shifted = logits - highest
        log_sum = xp.log(xp.sum(xp.exp(shifted), 1))
        return xp.mean(log_sum - shifted[range(len(labels)), labels])

    op = ops.mean_sparse_softmax_cross_entropy_with_logits
    return ask(op, [logits], loss, rng, integers=[labels], **options)


def batch(rng, rows, classes):
    """Random logits, and labels in which not all classes occur equally often."""
    return rng.normal(size=(rows, classes)), rng.integers(classes, size=rows)


@bucket(TASK, "softmax", hint="softmax(logits) minus one at the right class, for each row.")
def test_unit_upstream_and_one_row(student, runner, rng):
    logits, labels = batch(rng, 1, 5)
    answer(student, runner, RULE, question(logits, labels, rng, upstream=1.0))


@bucket(TASK, "softmax", hint="All rows may have the same class, and some classes no row.")
def test_labels_repeat(student, runner, rng):
    labels = np.full(1, int(rng.integers(3)))
    answer(student, runner, RULE, question(rng.normal(size=(1, 3)), labels, rng, upstream=1.0))


@bucket(TASK, "softmax", hint="exp of a large logit overflows; softmax itself does not.")
def test_large_logits(student, runner, rng):
    logits = rng.normal(size=(1, 4)) + rng.choice([-900, 900])
    answer(student, runner, RULE, question(logits, rng.integers(4, size=1), rng, upstream=1.0))


@bucket(TASK, "mean", hint="The loss is a mean over the rows: so is its adjoint.")
def test_mean_over_rows(student, runner, rng):
    for rows in [2, 3, 7]:
        logits, labels = batch(rng, rows, 5)
        answer(student, runner, RULE, question(logits, labels, rng, upstream=1.0))


@bucket(TASK, "mean", hint="n counts rows, not classes and not elements.")
def test_more_rows_than_classes_and_fewer(student, runner, rng):
    for rows, classes in ((6, 2), (2, 6)):
        logits, labels = batch(rng, rows, classes)
        answer(student, runner, RULE, question(logits, labels, rng, upstream=1.0))


@bucket(TASK, "upstream", hint="dy is 1 only when the loss itself is differentiated.")
def test_upstream_gradient_scales_everything(student, runner, rng):
    logits, labels = batch(rng, 1, 4)
    for dy in rng.normal(size=2) * [1, 30]:
        answer(student, runner, RULE, question(logits, labels, rng, upstream=dy))


@bucket(TASK, "upstream", hint="dy, 1/n and softmax together, in float32.")
def test_everything_together(student, runner, rng):
    logits, labels = batch(rng, 5, 3)
    dy = rng.uniform(2, 3)
    answer(student, runner, RULE, question(logits, labels, rng, upstream=dy, dtype="float32"))
