"""What every graded notebook, hostile or not, must earn and leave behind."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import groupby

from autograder.authoring.manifest import load_homework
from autograder.demo.hostile import CORPUS, Hostile, load_corpus
from autograder.grading.marks import BucketMark, Mark, mark
from autograder.outcome import Outcome, State
from tests.hostile.world import HOMEWORK, ROOT, World

COURSE = load_homework(ROOT, HOMEWORK)
TASKS = frozenset(task.name for task in COURSE.tasks)
FUNCTIONS = {task.symbol: task.name for task in COURSE.tasks if task.function}
SAID = "smuggled"  # what notebooks say when they got something out; no source holds the whole word
MAY_PRINT = ("leaks/", "exits/")  # they smuggle by other ways than their output


def honest(place: str, judged: frozenset[str]) -> Hostile:
    """The solved notebook, to be graded after attacks."""
    return Hostile(
        f"{place}/~honest", "all tasks done", tuple(TASKS), {}, {}, {"judged": tuple(judged)}
    )


def corpus() -> Iterator[Hostile]:
    """All attacks, each group followed by an honest notebook."""
    for group, members in groupby(load_corpus(ROOT / CORPUS), lambda h: h.id.partition("/")[0]):
        yield from members
        yield honest(group, frozenset({"mul_adjoint", "accumulate"}))


def judged_tasks(case: Hostile) -> frozenset[str]:
    """All tasks, or those that the notebook answers or attacks, and one that it leaves alone."""
    if case.facts.get("all"):
        return TASKS
    if "judged" in case.facts:
        return frozenset(case.facts["judged"])
    sources = "\n".join(case.cells.values())
    attacked = {t for f, t in FUNCTIONS.items() if re.search(rf"\b{f}\b", sources)}
    return frozenset({*case.has, *attacked, *case.facts.get("states", {}), "relu_adjoint"})


def examine(world: World, case: Hostile) -> tuple[Outcome, Mark]:
    """Grade a notebook, and assert what it earned and that it left nothing."""
    zygote, tasks = world.judge.sandbox.zygote_pid, judged_tasks(case)
    outcome = world.grade(case, tasks)
    found = marks_of(outcome, tasks)
    earned_what_it_should(case, found)
    assert SAID not in outcome.output_tail or case.id.startswith(MAY_PRINT)
    assert world.processes() == []
    assert world.files() == world.untouched
    assert world.judge.sandbox.zygote_pid == zygote
    return outcome, found


def marks_of(outcome: Outcome, tasks: frozenset[str]) -> Mark:
    """The mark of the tasks that were judged."""
    judged = tuple(task for task in COURSE.tasks if task.name in tasks)
    return mark(outcome, replace(COURSE, tasks=judged))


def earned_what_it_should(case: Hostile, found: Mark) -> None:
    """Full points for right answers that were not ruined, nothing for anything else."""
    wanted: Mapping[str, list[str]] = case.facts.get("states", {})
    for entry in found.tasks:
        name, states = entry.task.name, {b.name: b.state.value for b in entry.buckets}
        report = name, states, details(entry.buckets)
        assert State.GRADER_ERROR not in states.values(), report
        if name not in case.has:
            assert entry.earned == 0, report
        elif name not in case.facts.get("spoils", ()):
            assert entry.earned == entry.task.points, report
        assert name not in wanted or entry.state in wanted[name], report


def details(buckets: tuple[BucketMark, ...]) -> list[str]:
    """Some of what the instructor would read, for the message of a failed test."""
    return [test.detail[-400:] for bucket in buckets for test in bucket.tests if test.detail][:3]
