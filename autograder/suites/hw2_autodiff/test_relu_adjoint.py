"""Hidden tests of relu_adjoint: z = max(x, 0)."""

import numpy as np

from autograder.judge.plugin import bucket
from autograder.suites.hw2_autodiff.adjoint import answer, ask
from tinyflow import ops

WORKER = "rules"  # rules keep no state: one worker serves them all
RULE = "relu_adjoint"


def rectify(xp, x):
    return x * (x > 0)


def both_signs(rng, shape):
    """Numbers of both signs, none near the kink at 0."""
    x = rng.uniform(0.1, 2, shape) * rng.choice([-1, 1], shape)
    x.flat[:2] = np.abs(x.flat[0]), -np.abs(x.flat[1])
    return x


@bucket(RULE, "gate", hint="Where x > 0, relu is the identity; elsewhere it is constant.")
def test_gate_opens_where_x_is_positive(student, runner, rng):
    answer(student, runner, RULE, ask(ops.relu, [both_signs(rng, (3, 5))], rectify, rng))


@bucket(RULE, "gate", hint="The sign of dy must not matter, nor its size: pass on dy itself.")
def test_upstream_gradient_of_both_signs(student, runner, rng):
    dy = rng.normal(size=8) * [1, 1, 10, 10, -1, -1, 100, 100]
    question = ask(ops.relu, [both_signs(rng, 8)], rectify, rng, upstream=dy)
    answer(student, runner, RULE, question)


@bucket(RULE, "gate", hint="Compare x, not its size: tiny and huge inputs pass alike.")
def test_size_of_x_does_not_matter(student, runner, rng):
    x = both_signs(rng, 6) * [1, 1, 100, 100, 1e-2, 1e-2]
    answer(student, runner, RULE, ask(ops.relu, [x], rectify, rng, dtype="float32"))


@bucket(RULE, "kink", hint="At x = 0 the specification chooses 0.")
def test_zero_at_the_kink(student, runner, rng):
    question = ask(ops.relu, [both_signs(rng, 6)], rectify, rng)
    x = question.feeds[question.node.inputs[0]]
    x[3:5] = 0.0
    question.expected[0][3:5] = 0.0
    answer(student, runner, RULE, question)
