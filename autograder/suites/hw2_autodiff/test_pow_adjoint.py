"""Hidden tests of pow_adjoint: z = x ^ y."""

from dataclasses import replace

import numpy as np

from autograder.judge.oracle import derivatives
from autograder.judge.plugin import bucket
from autograder.suites.hw2_autodiff.adjoint import answer, ask
from tinyflow import ops

WORKER = "rules"  # rules keep no state: one worker serves them all
RULE = "pow_adjoint"


def power(xp, x, y):
    return x**y


def ask_whole(x, exponent, rng):
    """A question at bases of any sign, one whole exponent for all.

    Along the base the oracles apply. Along the exponent there is no derivative where x <= 0; the
    convention of the specification counts: log(x) is replaced by 0.
    """
    question = ask(ops.pow, [np.abs(x) + 0.5, exponent], power, rng)
    question.feeds[question.node.inputs[0]] = x
    dy = question.feeds[question.dy]
    (along_base,) = derivatives(lambda xp, base: base**exponent, [x], dy)
    log = np.log(np.where(x > 0, x, 1.0))
    return replace(question, expected=(along_base, np.sum(dy * x**exponent * log)))


@bucket(RULE, "base", hint="Along the base: y * x^(y - 1), times dy.")
def test_base_and_exponent_both_vary(student, runner, rng):
    x, y = rng.uniform(0.5, 2.5, (3, 5)), rng.normal(size=(3, 5))
    answer(student, runner, RULE, ask(ops.pow, [x, y], power, rng), only=0)


@bucket(RULE, "base", hint="x^2 has a derivative at negative x as well.")
def test_negative_base_with_whole_exponent(student, runner, rng):
    x = rng.uniform(0.5, 2, 6) * [1, -1, 1, -1, -1, 1]
    answer(student, runner, RULE, ask_whole(x, rng.choice([2.0, 3.0, 4.0]), rng), only=0)


@bucket(RULE, "base", hint="x^3 has the derivative 0 at x = 0: nothing may divide by x there.")
def test_base_zero(student, runner, rng):
    x = rng.uniform(0.5, 2, 5) * [0, 1, 1, 0, 1]
    answer(student, runner, RULE, ask_whole(x, rng.choice([2.0, 3.0]), rng), only=0)


@bucket(RULE, "exponent", hint="Along the exponent: z * log(x), times dy.")
def test_exponential_with_random_base(student, runner, rng):
    x, y = rng.uniform(0.2, 3, 7), rng.uniform(-2, 2, 7)
    answer(student, runner, RULE, ask(ops.pow, [x, y], power, rng, dtype="float32"), only=1)


@bucket(RULE, "exponent", hint="0 * log(0) is NaN in floating point; make x safe before the log.")
def test_exponent_is_finite_where_the_base_is_not_positive(student, runner, rng):
    x = rng.uniform(0.5, 2, 6) * [1, 0, -1, 1, 0, -1]
    answer(student, runner, RULE, ask_whole(x, 2.0, rng), only=1)


@bucket(RULE, "broadcast", hint="An exponent shared by many elements collects from all of them.")
def test_exponent_repeated(student, runner, rng):
    x, y = rng.uniform(0.5, 2, (3, 4)), rng.uniform(1, 3, (3, 1))
    answer(student, runner, RULE, ask(ops.pow, [x, y], power, rng))
    answer(student, runner, RULE, ask(ops.pow, [x, rng.uniform(1, 3)], power, rng))


@bucket(RULE, "broadcast", hint="A base shared by many exponents collects from all of them.")
def test_base_repeated(student, runner, rng):
    x, y = rng.uniform(0.5, 2, 4), rng.uniform(1, 3, (2, 3, 4))
    answer(student, runner, RULE, ask(ops.pow, [x, y], power, rng))
