"""Hidden tests of div_adjoint: z = x / y."""

from autograder.judge.plugin import bucket
from autograder.suites.hw2_autodiff.adjoint import answer, ask
from tinyflow import ops

WORKER = "rules"  # rules keep no state: one worker serves them all
RULE = "div_adjoint"


def quotient(xp, x, y):
    return x / y


def away_from_zero(rng, shape):
    """Numbers of both signs, none near 0."""
    return rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)


@bucket(RULE, "numerator", hint="Along the numerator the quotient is linear: dy over what?")
def test_numerator(student, runner, rng):
    x, y = rng.normal(size=(3, 5)), away_from_zero(rng, (3, 5))
    answer(student, runner, RULE, ask(ops.div, [x, y], quotient, rng), only=0)


@bucket(RULE, "numerator", hint="The chain rule multiplies by dy, whatever dy is.")
def test_upstream_gradient_reaches_the_numerator(student, runner, rng):
    x, y = rng.normal(size=6), away_from_zero(rng, 6)
    dy = rng.normal(size=6) * [0, 1, 10, 100, -1, -10]
    question = ask(ops.div, [x, y], quotient, rng, upstream=dy, dtype="float32")
    answer(student, runner, RULE, question, only=0)


@bucket(RULE, "denominator", hint="Differentiate x / y by y: mind the sign and the square.")
def test_denominator(student, runner, rng):
    x, y = rng.normal(size=(3, 5)), away_from_zero(rng, (3, 5))
    answer(student, runner, RULE, ask(ops.div, [x, y], quotient, rng), only=1)


@bucket(RULE, "denominator", hint="The chain rule multiplies by dy, whatever dy is.")
def test_upstream_gradient_reaches_the_denominator(student, runner, rng):
    x, y = rng.normal(size=6), away_from_zero(rng, 6)
    dy = rng.normal(size=6) * [0, 1, 10, 100, -1, -10]
    answer(student, runner, RULE, ask(ops.div, [x, y], quotient, rng, upstream=dy), only=1)


@bucket(RULE, "denominator", hint="A numerator of 0 is harmless: do not divide by x.")
def test_zero_numerator(student, runner, rng):
    x, y = rng.normal(size=5) * [0, 1, 0, 1, 1], away_from_zero(rng, 5)
    answer(student, runner, RULE, ask(ops.div, [x, y], quotient, rng), only=1)


@bucket(RULE, "denominator", hint="x and y may be one value; the denominator still has an adjoint.")
def test_value_divided_by_itself(student, runner, rng):
    x = away_from_zero(rng, 4)
    answer(student, runner, RULE, ask(ops.div, [x, x], quotient, rng, shared=True), only=1)


@bucket(RULE, "broadcast", hint="A repeated denominator collects from all its copies.")
def test_denominator_repeated(student, runner, rng):
    x, y = rng.normal(size=(2, 3, 4)), away_from_zero(rng, (3, 1))
    answer(student, runner, RULE, ask(ops.div, [x, y], quotient, rng))


@bucket(RULE, "broadcast", hint="A repeated numerator collects from all its copies.")
def test_numerator_repeated(student, runner, rng):
    x, y = rng.normal(size=4), away_from_zero(rng, (3, 4))
    answer(student, runner, RULE, ask(ops.div, [x, y], quotient, rng))


@bucket(RULE, "broadcast", hint="1 / y has a scalar numerator; y / 2 has a scalar denominator.")
def test_scalars(student, runner, rng):
    x, y = rng.normal(), away_from_zero(rng, (2, 3))
    answer(student, runner, RULE, ask(ops.div, [x, y], quotient, rng))
    answer(student, runner, RULE, ask(ops.div, [y, 1.0 + x * x], quotient, rng))
