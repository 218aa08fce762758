"""Hidden tests of broadcast_to_adjoint: z = x repeated to a larger shape."""

from autograder.judge.plugin import bucket
from autograder.suites.hw2_autodiff.adjoint import answer, ask
from tinyflow import ops

WORKER = "rules"  # rules keep no state: one worker serves them all
RULE = "broadcast_to_adjoint"


def question(x, shape, rng, **options):
    """``x`` repeated to ``shape``."""

    def repeat(xp, x):
        return xp.broadcast_to(x, shape)

    return ask(ops.broadcast_to, [x], repeat, rng, shape=shape, **options)


@bucket(RULE, "new_axes", hint="Axes in front that x does not have are summed away.")
def test_new_axes_in_front(student, runner, rng):
    answer(student, runner, RULE, question(rng.normal(size=3), (2, 3), rng))
    answer(student, runner, RULE, question(rng.normal(size=(2, 3)), (3, 4, 2, 3), rng))


@bucket(RULE, "new_axes", hint="A scalar collects from every element.")
def test_scalar(student, runner, rng):
    answer(student, runner, RULE, question(rng.normal(), (3, 4), rng, dtype="float32"))


@bucket(RULE, "stretched", hint="An axis of size 1 that was repeated is summed back to size 1.")
def test_axis_of_size_one(student, runner, rng):
    for shape in [(1, 4), (3, 1)]:
        answer(student, runner, RULE, question(rng.normal(size=shape), (3, 4), rng))


@bucket(RULE, "stretched", hint="An axis of size 1 that stayed 1 is not summed away.")
def test_axis_that_stays_one(student, runner, rng):
    answer(student, runner, RULE, question(rng.normal(size=(1, 3)), (1, 3), rng))
    answer(student, runner, RULE, question(rng.normal(size=(2, 1, 1)), (2, 1, 3), rng))


@bucket(RULE, "both", hint="New axes and stretched axes can come together.")
def test_new_and_stretched_axes(student, runner, rng):
    for shape in [(3, 1), (1, 3), (1, 1)]:
        answer(student, runner, RULE, question(rng.normal(size=shape), (3, 3, 3), rng))
