"""Hidden tests of reduce_sum_adjoint: z = the sum of x along some axes."""

from autograder.judge.plugin import bucket
from autograder.suites.hw2_autodiff.adjoint import answer, ask
from tinyflow import ops

WORKER = "rules"  # rules keep no state: one worker serves them all
RULE = "reduce_sum_adjoint"


def question(x, axes, keepdims, rng, **options):
    """The sum of ``x`` along ``axes`` (None: all)."""

    def total(xp, x):
        every = tuple(range(x.ndim)) if axes is None else axes
        return xp.sum(x, every, keepdims=keepdims)

    attrs = {"reduction_indices": axes, "keepdims": keepdims}
    return ask(ops.reduce_sum, [x], total, rng, **attrs, **options)


@bucket(RULE, "all", hint="Every element was added once: each gets the whole dy.")
def test_sum_of_everything(student, runner, rng):
    for keepdims in [False, True]:
        answer(student, runner, RULE, question(rng.normal(size=(3, 4)), None, keepdims, rng))


@bucket(RULE, "all", hint="The adjoint is dy itself, times nothing: not x, not 1/n.")
def test_float32_vector(student, runner, rng):
    answer(student, runner, RULE, question(rng.normal(size=5), None, False, rng, dtype="float32"))


@bucket(RULE, "axes", hint="The summed axis is gone from dy: put it back before you repeat.")
def test_one_axis(student, runner, rng):
    for axis in [0, 1, 2]:
        answer(student, runner, RULE, question(rng.normal(size=(2, 3, 4)), (axis,), False, rng))


@bucket(RULE, "axes", hint="On a square matrix the wrong axis fits as well; only the numbers tell.")
def test_square_matrix(student, runner, rng):
    for axis in [0, 1]:
        answer(student, runner, RULE, question(rng.normal(size=(3, 3)), (axis,), False, rng))


@bucket(RULE, "axes", hint="Several axes, and negative ones: pass reduction_indices on as it is.")
def test_several_and_negative_axes(student, runner, rng):
    for axes in [(0, 2), (-1,), (-3, -1), (1, 0)]:
        answer(student, runner, RULE, question(rng.normal(size=(3, 3, 3)), axes, False, rng))


@bucket(RULE, "keepdims", hint="With keepdims the summed axes are still there, of size 1.")
def test_kept_axes(student, runner, rng):
    for axes in [(0,), (1,), (0, -1)]:
        answer(student, runner, RULE, question(rng.normal(size=(3, 2, 3)), axes, True, rng))
