"""Hidden tests of tanh_adjoint: z = tanh(x)."""

from autograder.judge import check
from autograder.judge.plugin import bucket
from autograder.suites.hw2_autodiff.adjoint import answer, ask
from tinyflow import ops

WORKER = "rules"  # rules keep no state: one worker serves them all
RULE = "tanh_adjoint"


def tanh(xp, x):
    return xp.tanh(x)


@bucket(RULE, "slope", hint="1 - z^2, where z is the result, times dy.")
def test_slope(student, runner, rng):
    answer(student, runner, RULE, ask(ops.tanh, [rng.normal(size=(3, 5))], tanh, rng))


@bucket(RULE, "slope", hint="The chain rule multiplies by dy, whatever dy is.")
def test_upstream_gradient_may_be_zero_or_large(student, runner, rng):
    dy = rng.normal(size=6) * [0, 1, 10, 100, -1, -10]
    answer(student, runner, RULE, ask(ops.tanh, [rng.normal(size=6)], tanh, rng, upstream=dy))


@bucket(RULE, "slope", hint="Far from 0 tanh is flat: the adjoint is 0 there, and finite.")
def test_saturated(student, runner, rng):
    x = rng.uniform(1, 2, 6) * [1, -1, 10, -10, 20, -20]
    answer(student, runner, RULE, ask(ops.tanh, [x], tanh, rng, dtype="float32"))


@bucket(RULE, "reuse", hint="The node's result exists already: node.outputs[0].")
def test_tanh_is_not_computed_again(student, runner, rng):
    new = answer(student, runner, RULE, ask(ops.tanh, [rng.normal(size=4)], tanh, rng))
    again = sum(node.op.name in ("tanh", "exp", "sigmoid") for node in new)
    check.at_most(again, 0, "costly functions computed again")
