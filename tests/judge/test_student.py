"""The proxy of a submission: fresh workers, bounded patience."""

from __future__ import annotations

import pytest

from autograder.judge.student import Runner, Student
from autograder.sandbox import Budget, Crashed, NotImplementedByStudent, TimedOut
from tests.judge.fake import FakeWorker, notebook

CRASH = "from autograder.sandbox import Crashed\ndef crash():\n    raise Crashed('gone')"
COUNTER = "calls = 0\ndef count():\n    global calls\n    calls += 1\n    return calls"


def student(*sources, **options):
    made: list[FakeWorker] = []
    options.setdefault("budget", Budget(60))
    proxy = Student(lambda: FakeWorker(made), notebook(*sources), (), **options)
    return proxy, made


def test_attributes_are_functions_of_the_notebook():
    proxy, _ = student("def twice(x):\n    return 2 * x")
    assert proxy.twice(4) == 8
    assert proxy.call("twice", 5) == 10


def test_a_missing_function_is_not_implemented():
    proxy, _ = student("x = 1")
    with pytest.raises(NotImplementedByStudent):
        proxy.twice(4)


def test_a_group_of_tests_shares_one_worker_and_the_next_gets_a_fresh_one():
    proxy, made = student(COUNTER)
    proxy.begin("a", "first")
    assert [proxy.count(), proxy.count()] == [1, 2]
    proxy.begin("b", "first")
    assert proxy.count() == 3
    proxy.begin("b", "second")
    assert proxy.count() == 1
    assert [worker.alive for worker in made] == [False, True]


def test_a_slow_notebook_keeps_its_worker():
    proxy, made = student(COUNTER, slow_load_s=0.0)
    proxy.begin("a", "first")
    proxy.count()
    proxy.begin("b", "second")
    assert proxy.count() == 2
    assert len(made) == 1


def test_a_slow_notebook_that_was_given_functions_of_the_judge_gets_a_fresh_worker():
    proxy, made = student(COUNTER, slow_load_s=0.0)
    proxy.begin("a", "first")
    proxy.count()
    made[0].given = 1
    proxy.begin("b", "second")
    assert proxy.count() == 1


def test_a_runner_that_dies_is_replaced_twice_for_a_task_and_then_no_more():
    class Dying(FakeWorker):
        def run(self, graph, feeds):
            self.alive = False
            raise TimedOut("no answer in time")

    made: list[FakeWorker] = []
    runner = Runner(lambda: Dying(made), Budget(60))
    for task, runners in (("heavy", 2), ("other", 4)):
        runner.begin(task)
        for _ in range(4):
            with pytest.raises(TimedOut, match="no answer"):
                runner.run(None, {})
        assert len(made) == runners


def test_a_dead_worker_is_replaced_twice_for_a_task_and_then_no_more():
    proxy, made = student(CRASH, COUNTER)
    proxy.begin("bad", "group")
    for _ in range(4):
        with pytest.raises(Crashed, match="gone"):
            proxy.crash()
    assert len(made) == 2
    proxy.begin("good", "group")
    assert proxy.count() == 1


def test_a_notebook_that_cannot_be_loaded_is_loaded_once():
    made: list[FakeWorker] = []
    fault = TimedOut("too slow")
    proxy = Student(lambda: FakeWorker(made, fault), notebook(""), (), Budget(60))
    for group in ("a", "b"):
        proxy.begin("task", group)
        with pytest.raises(TimedOut, match="too slow"):
            proxy.anything()
    assert len(made) == 1
    assert proxy.report is None


def test_the_budget_of_the_submission_ends_every_call():
    proxy, made = student(COUNTER, budget=Budget(0))
    with pytest.raises(TimedOut, match="time of all its tests"):
        proxy.count()
    with pytest.raises(TimedOut, match="time of all its tests"):
        Runner(lambda: FakeWorker(made), Budget(0)).run(None, {})
    assert not made


def test_a_call_may_take_no_longer_than_the_budget_leaves():
    proxy, made = student(COUNTER, budget=Budget(3), call_s=10)
    proxy.count()
    assert made[0].timeout <= 3
