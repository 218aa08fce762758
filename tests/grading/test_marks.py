"""Marks are arithmetic over outcomes and manifest."""

from dataclasses import replace

from small_course import HOMEWORK

from autograder.grading.marks import changes, mark, uniform_outcome
from autograder.outcome import Outcome, State, TestOutcome


def outcome(homework, **states):
    """An outcome in which every bucket has two tests; ``states`` names those that did not pass."""
    tests = [
        TestOutcome(f"t_{bucket}_{n}", task.name, bucket, State.PASSED, "", 0.0)
        for task in homework.tasks
        for bucket in task.buckets
        for n in (1, 2)
    ]
    tests = [replace(t, state=states.get(t.test, State.PASSED)) for t in tests]
    return Outcome(HOMEWORK, "ann", "a" * 64, "s", "e", 0, tuple(tests), 1.0)


def test_all_tests_passed_is_full_marks(homework):
    got = mark(outcome(homework), homework)
    assert (got.earned, got.points, got.state) == (12.5, 12.5, State.PASSED)


def test_a_bucket_is_all_or_nothing(homework):
    got = mark(outcome(homework, t_both_2=State.FAILED), homework)
    assert got.task("mul_adjoint").earned == 2.0
    assert got.state is State.FAILED


def test_a_grader_error_holds_the_mark_never_zero_never_full(homework):
    got = mark(outcome(homework, t_both_2=State.GRADER_ERROR), homework)
    assert got.earned is None
    assert got.task("mul_adjoint").earned is None
    assert got.task("gradient").earned == 5.0


def test_a_bucket_without_tests_holds_the_mark(homework):
    full = outcome(homework)
    kept = tuple(test for test in full.tests if test.bucket != "diamonds")
    assert mark(replace(full, tests=kept), homework).task("gradient").earned is None


def test_no_tests_at_all_is_held_not_full(homework):
    assert mark(replace(outcome(homework), tests=()), homework).earned is None


def test_tests_of_unknown_buckets_earn_nothing(homework):
    full = outcome(homework)
    extra = TestOutcome("t", "gradient", "invented", State.PASSED, "", 0.0)
    assert mark(replace(full, tests=(*full.tests, extra)), homework).earned == 12.5


def test_reweighting_needs_no_new_outcome(homework):
    task = homework.tasks[0]
    heavier = replace(task, buckets={"values": 20.0, "both": 3.0})
    other = replace(homework, tasks=(heavier, *homework.tasks[1:]))
    assert mark(outcome(homework, t_both_1=State.FAILED), other).task("mul_adjoint").earned == 20.0


def test_a_void_test_no_longer_counts(homework):
    lenient = replace(homework, void=frozenset({"t_both_1"}))
    assert mark(outcome(homework, t_both_1=State.FAILED), lenient).earned == 12.5
    assert mark(outcome(homework, t_both_2=State.FAILED), lenient).earned == 9.5


def test_a_regrade_says_which_buckets_moved(homework):
    before = mark(outcome(homework, t_both_1=State.FAILED), homework)
    after = mark(outcome(homework, t_diamonds_1=State.GRADER_ERROR), homework)
    found = [(c.task, c.bucket, c.before, c.after) for c in changes(before, after)]
    assert found == [("mul_adjoint", "both", 0.0, 3.0), ("gradient", "diamonds", 5.0, None)]
    assert changes(after, after) == []


def test_an_unjudged_submission_is_uniform(homework):
    zero = mark(uniform_outcome(homework, "ann", "0", State.MALFORMED, "is empty"), homework)
    held = mark(uniform_outcome(homework, "ann", "0", State.GRADER_ERROR, "?"), homework)
    assert (zero.earned, held.earned, zero.notes) == (0.0, None, ("is empty",))
