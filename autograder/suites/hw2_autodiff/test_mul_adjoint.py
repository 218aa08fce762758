"""Hidden tests of mul_adjoint: z = x * y."""

from autograder.judge.plugin import bucket
from autograder.suites.hw2_autodiff.adjoint import answer, ask
from tinyflow import ops

WORKER = "rules"  # rules keep no state: one worker serves them all
RULE = "mul_adjoint"


def product(xp, x, y):
    return x * y


@bucket(RULE, "product", hint="Each adjoint is dy times the *other* operand.")
def test_operands_are_told_apart(student, runner, rng):
    x, y = rng.normal(size=(2, 3, 5))
    answer(student, runner, RULE, ask(ops.mul, [x, y], product, rng))


@bucket(RULE, "product", hint="The chain rule multiplies by dy, whatever dy is.")
def test_upstream_gradient_may_be_zero_or_large(student, runner, rng):
    x, y = rng.normal(size=(2, 7))
    dy = rng.normal(size=7) * [0, 1, 10, 100, -1, -10, 0]
    answer(student, runner, RULE, ask(ops.mul, [x, y], product, rng, upstream=dy))


@bucket(RULE, "product", hint="The adjoints have the dtype of the inputs: write 2.0, not an array.")
def test_float32_stays_float32(student, runner, rng):
    x, y = rng.normal(size=(2, 5))
    answer(student, runner, RULE, ask(ops.mul, [x, y], product, rng, dtype="float32"))


@bucket(RULE, "same_operand", hint="For x * x the rule still returns one adjoint per operand.")
def test_square_gets_one_adjoint_per_operand(student, runner, rng):
    x = rng.normal(size=(3, 2))
    answer(student, runner, RULE, ask(ops.mul, [x, x], product, rng, shared=True))


@bucket(RULE, "broadcast", hint="An input that broadcasting repeated collects from all its copies.")
def test_first_operand_repeated(student, runner, rng):
    x, y = rng.normal(size=5), rng.normal(size=(3, 5))
    answer(student, runner, RULE, ask(ops.mul, [x, y], product, rng))


@bucket(RULE, "broadcast", hint="Both operands may be the smaller one: look after x and y alike.")
def test_second_operand_repeated(student, runner, rng):
    x, y = rng.normal(size=(2, 3, 4)), rng.normal(size=(3, 1))
    answer(student, runner, RULE, ask(ops.mul, [x, y], product, rng))


@bucket(RULE, "broadcast", hint="Two operands can each be repeated, along different axes.")
def test_both_operands_repeated(student, runner, rng):
    x, y = rng.normal(size=(3, 1)), rng.normal(size=(1, 4))
    answer(student, runner, RULE, ask(ops.mul, [x, y], product, rng))


@bucket(RULE, "broadcast", hint="A scalar is repeated too: its adjoint is a scalar again.")
def test_scalar_operand(student, runner, rng):
    x, y = rng.normal(size=(2, 3)), rng.normal()
    answer(student, runner, RULE, ask(ops.mul, [x, y], product, rng))
