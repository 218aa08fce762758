"""Grade every hostile notebook with the real judge: what it earns, what it leaks, what it leaves.

After each group an honest notebook is graded by the same judge, and must be graded as ever.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import groupby
from pathlib import Path

import pytest

from autograder.authoring.manifest import INTEGRATION, load_homework
from autograder.demo.hostile import CORPUS, Hostile, load_corpus
from autograder.grading.marks import Mark, mark
from autograder.grading.rebuild import read_skeleton, rebuild
from autograder.intake import parse_cells
from autograder.outcome import Outcome, State
from autograder.report.feedback import Sheet, feedback_page
from tests.hostile.world import HOMEWORK, ROOT, Use, World, world

HOMEWORKS = load_homework(ROOT, HOMEWORK)
TASKS = tuple(task.name for task in HOMEWORKS.tasks)
FUNCTIONS = {task.symbol: task.name for task in HOMEWORKS.tasks if task.function}
SECRETS = ("canary-of", "Hidden tests of", "### BEGIN SOLUTION")
SAFE_TAGS = frozenset(
    "html head meta title style body main header section div span h1 h2 b i ul li details summary "
    "pre table thead tbody tr th td".split()
)


def honest(group: str) -> Hostile:
    """The solved notebook, to be graded after a group of attacks."""
    has = ("div_adjoint", "accumulate", INTEGRATION)
    return Hostile(f"{group}/~honest", "all tasks done", TASKS, {}, {}, {"judged": has})


def corpus() -> Iterator[Hostile]:
    """All attacks, each group followed by an honest notebook."""
    for group, members in groupby(load_corpus(ROOT / CORPUS), lambda h: h.id.partition("/")[0]):
        yield from members
        yield honest(group)


CASES = tuple(corpus())


@pytest.fixture(scope="module")
def here() -> Iterator[World]:
    """One judge for the whole corpus."""
    folder = Path(tempfile.mkdtemp(prefix="hostile-"))
    folder.chmod(0o755)  # the worker's user could read all of it, were it not locked in
    with world(folder) as made:
        yield made
    left = [path.name for path in folder.iterdir() if path.name not in ("private", "beside")]
    shutil.rmtree(folder)
    assert left == []


@pytest.fixture(scope="module")
def at_first(here: World) -> Use:
    """Memory and descriptors once an honest notebook has been graded."""
    here.grade(honest("first"), frozenset(TASKS))
    return Use.now(here)


def judged_tasks(case: Hostile) -> frozenset[str]:
    """All tasks, or those that the notebook answers or attacks."""
    if case.facts.get("all"):
        return frozenset(TASKS)
    if "judged" in case.facts:
        return frozenset(case.facts["judged"])
    sources = "\n".join(case.cells.values())
    attacked = {t for f, t in FUNCTIONS.items() if re.search(rf"\b{f}\b", sources)}
    return frozenset({*case.has, *attacked, *case.facts.get("states", {}), "relu_adjoint"})


def marks_of(outcome: Outcome, tasks: frozenset[str]) -> Mark:
    judged = tuple(task for task in HOMEWORKS.tasks if task.name in tasks)
    return mark(outcome, replace(HOMEWORKS, tasks=judged))


def earned_what_it_should(case: Hostile, found: Mark) -> None:
    """Full points for right answers that were not ruined, nothing for anything else."""
    spoilt = case.facts.get("spoils", ())
    for entry in found.tasks:
        name, states = entry.task.name, {b.name: b.state.value for b in entry.buckets}
        assert State.GRADER_ERROR not in states.values(), (name, details(entry.buckets))
        if name not in case.has:
            assert entry.earned == 0, (name, states)
        elif name not in spoilt:
            assert entry.earned == entry.task.points, (name, states, details(entry.buckets))
        expected = case.facts.get("states", {}).get(name)
        assert expected is None or entry.state in expected, (name, states, details(entry.buckets))


def details(buckets) -> list[str]:
    return [test.detail[-400:] for bucket in buckets for test in bucket.tests if test.detail][:3]


def told_nothing(notebook: bytes, outcome: Outcome, found: Mark) -> None:
    """No secret anywhere; to the student no word of hidden tests, and none that the code chose."""
    hints = {test.hint for test in outcome.tests}
    said = json.dumps([outcome.output_tail, outcome.notes, [t.detail for t in outcome.tests]])
    assert not [word for word in SECRETS if word in said], outcome.output_tail
    page = page_of(notebook, found)
    assert "smuggled" not in page
    for test in outcome.tests:
        assert test.test.partition("::")[2].partition("[")[0] not in page
        assert not test.detail or test.detail.partition("\n")[0] in hints | {"not written yet"} or (
            test.detail not in page
        )
        assert test.line is None or re.fullmatch(r"cell \d+, line \d+", test.line)
    assert_harmless(page)


def page_of(notebook: bytes, found: Mark) -> str:
    """The feedback page that the student would get."""
    skeleton = read_skeleton(ROOT / "assignments" / HOMEWORK / f"{HOMEWORK}.ipynb")
    shown = rebuild(skeleton, parse_cells(notebook))
    judged = replace(HOMEWORKS, tasks=tuple(entry.task for entry in found.tasks))
    return feedback_page(Sheet(judged, found, shown))


def assert_harmless(page: str) -> None:
    """Only our tags, no address, no handler, no character that a terminal would obey."""
    seen: list[tuple[str, str]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            seen.extend((tag, name) for name, _ in [("", ""), *attrs])

    Reader().feed(page)
    assert {tag for tag, _ in seen} <= SAFE_TAGS
    names = {name for _, name in seen}
    assert not [n for n in names if n.startswith("on") or n in ("src", "href", "srcdoc", "action")]
    assert "default-src 'none'" in page.partition("<body>")[0]
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", page)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_notebook_earns_what_its_right_answers_earn_and_leaves_nothing(
    here: World, at_first: Use, case: Hostile
) -> None:
    zygote = here.judge.sandbox.zygote_pid
    tasks = judged_tasks(case)
    outcome = here.grade(case, tasks)
    found = marks_of(outcome, tasks)
    earned_what_it_should(case, found)
    told_nothing(here.notebook(case), outcome, found)
    assert "smuggled" not in outcome.output_tail or case.id.startswith(("leaks", "exits"))
    assert here.processes() == []
    assert here.files() == here.untouched
    assert here.judge.sandbox.zygote_pid == zygote


def test_the_whole_honest_notebook_still_earns_everything(here: World, at_first: Use) -> None:
    outcome = here.grade(honest("last"), frozenset(TASKS))
    assert {test.state for test in outcome.tests} == {State.PASSED}
    assert marks_of(outcome, frozenset(TASKS)).earned == HOMEWORKS.points


def test_memory_and_descriptors_were_given_back(here: World, at_first: Use) -> None:
    more = Use.now(here).more_than(at_first)
    assert more["judge_bytes"] < 400 << 20 and more["zygote_bytes"] < 100 << 20, more
    assert more["judge_files"] <= 0 and more["zygote_files"] <= 0, more


def test_the_corpus_covers_every_kind_of_attack() -> None:
    attacks = [case for case in CASES if not case.id.endswith("~honest")]
    assert len(attacks) >= 40
    assert {case.id.partition("/")[0] for case in attacks} == {
        *("bombs", "exits", "frames", "graphs", "judge", "leaks", "metadata", "network"),
        *("patches", "reading", "state", "time"),
    }
