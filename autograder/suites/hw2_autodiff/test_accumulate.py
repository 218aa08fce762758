"""Hidden tests of accumulate: the adjoint of a value with several users."""

import numpy as np

from autograder.judge import check
from autograder.judge.plugin import bucket
from autograder.sandbox.errors import StudentError
from tinyflow import ops
from tinyflow.ir import Graph, Value

WORKER = "rules"  # rules keep no state: one worker serves them all
TASK = "accumulate"


def contributions(rng, count, shape=(2, 3)):
    """``count`` placeholders and their random contents."""
    leaves = [Value(ops.placeholder(dtype="float64").node) for _ in range(count)]
    return leaves, {leaf: rng.normal(size=shape) for leaf in leaves}


def total(student, runner, listed, feeds):
    """Ask for the sum of ``listed``, compare it, and return the nodes that were built."""
    built = Graph((check.value(student.accumulate(listed)),))
    check.known_leaves(built, [leaf.node for leaf in feeds])
    expected = np.sum([feeds[leaf] for leaf in listed], axis=0)
    check.close(runner.run(built, feeds)[0], expected, "the sum", rtol=1e-9)
    return check.new_nodes(built, [leaf.node for leaf in feeds])


@bucket(TASK, "sum", hint="Every contribution counts, however many there are.")
def test_all_contributions_count(student, runner, rng):
    for count in [2, 3, 4, 5, 9]:
        total(student, runner, *contributions(rng, count))


@bucket(TASK, "sum", hint="Add up what you are given, whatever its shape.")
def test_scalars_and_wide_arrays(student, runner, rng):
    total(student, runner, *contributions(rng, 3, shape=()))
    total(student, runner, *contributions(rng, 6, shape=(1, 2, 3)))


@bucket(TASK, "sum", hint="Read the contributions; do not use them up.")
def test_contributions_stay_as_they_are(student, runner, rng):
    leaves, feeds = contributions(rng, 4)
    lent = student.lend(leaves)
    for _ in range(2):
        built = Graph((check.value(student.accumulate(lent)),))
        expected = np.sum([feeds[leaf] for leaf in leaves], axis=0)
        check.close(runner.run(built, feeds)[0], expected, "the sum", rtol=1e-9)
    after = check.values(student.look(lent), len(leaves), "the contributions after the call")
    check.equal(after, tuple(leaves), "the contributions after the call")


@bucket(TASK, "repeats", hint="A contribution that is listed twice counts twice.")
def test_repeated_contribution_counts_each_time(student, runner, rng):
    leaves, feeds = contributions(rng, 2)
    a, b = leaves
    for listed in ([a, a], [a, b, a], [b, a, a, b, a]):
        total(student, runner, listed, feeds)


@bucket(TASK, "cost", hint="k contributions need k - 1 additions; one needs none.")
def test_no_more_additions_than_needed(student, runner, rng):
    for count in [1, 2, 7, 33]:
        new = total(student, runner, *contributions(rng, count))
        check.at_most(len(new), count - 1, f"nodes built for {count} contributions")


@bucket(TASK, "cost", hint="Nothing remains from one call to the next.")
def test_two_calls_in_a_row(student, runner, rng):
    first, second = contributions(rng, 3), contributions(rng, 4)
    for listed, feeds in (first, second, first):
        check.at_most(len(total(student, runner, listed, feeds)), len(listed) - 1, "nodes built")


@bucket(TASK, "nothing", hint="Nothing to add up has no shape either: raise GradientError.")
def test_nothing_to_accumulate_is_an_error(student, runner, rng):
    total(student, runner, *contributions(rng, 2))
    try:
        got = student.accumulate([])
    except StudentError as error:
        check.equal(error.name, "TinyflowError", "the error")
    else:
        check.fail("accumulate([])", got, "GradientError")
