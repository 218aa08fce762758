"""Grade every hostile notebook with the real judge: what it earns, what it leaks, what it leaves.

After each group an honest notebook is graded by the same judge, and must be graded as ever.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from autograder.authoring.manifest import INTEGRATION
from autograder.demo.hostile import Hostile, load_corpus, shown_attacks
from autograder.mutants.bank import BankError
from autograder.outcome import State
from autograder.sandbox import Callback, Malformed
from tests.hostile.pages import told_nothing
from tests.hostile.rules import COURSE, TASKS, corpus, examine, honest
from tests.hostile.world import ROOT, Use, World, world
from tests.sandbox.ordinary_user import become

CASES = tuple(corpus())
GROUPS = {
    *("bombs", "exits", "frames", "graphs", "judge", "leaks", "metadata", "network"),
    *("patches", "reading", "state", "time"),
}


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
    examine(here, honest("first", frozenset({"accumulate", INTEGRATION})))
    return Use.now(here)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_notebook_earns_what_its_right_answers_earn_and_leaves_nothing(
    here: World, at_first: Use, case: Hostile
) -> None:
    outcome, found = examine(here, case)
    told_nothing(here.notebook(case), outcome, found)


def test_the_whole_honest_notebook_still_earns_everything(here: World, at_first: Use) -> None:
    outcome, found = examine(here, honest("last", TASKS))
    assert {test.state for test in outcome.tests} == {State.PASSED}
    assert found.earned == COURSE.points


def test_memory_and_descriptors_were_given_back(here: World, at_first: Use) -> None:
    more = Use.now(here).more_than(at_first)
    assert more["judge_bytes"] < 400 << 20 and more["zygote_bytes"] < 100 << 20, more
    assert more["judge_files"] <= 0 and more["zygote_files"] <= 0, more


def test_a_given_function_that_builds_too_much_is_the_students_fault(here: World) -> None:
    cell = {"cell_type": "code", "metadata": {}, "source": "def f(g): return g()"}
    worker = here.judge.sandbox.worker()
    worker.load(json.dumps({"cells": [cell], "nbformat": 4}).encode(), None)
    with pytest.raises(Malformed, match="built too much"):
        worker.call("f", Callback(lambda: np.zeros(65 << 20, np.uint8)))


def test_an_ordinary_user_is_protected_as_well() -> None:
    """A handful of the corpus, graded by somebody who is not root."""
    as_root = os.getuid() == 0
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile.ordinary"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=(lambda: become(54_322)) if as_root else None,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1])["grade"] == "kernel"


def test_the_corpus_covers_every_kind_of_attack() -> None:
    attacks = [case for case in CASES if not case.id.endswith("~honest")]
    assert len(attacks) >= 40
    assert {case.id.partition("/")[0] for case in attacks} == GROUPS
    assert len({case.title for case in attacks}) == len(attacks)


def test_the_demonstration_shows_attacks_of_the_corpus() -> None:
    shown = shown_attacks(ROOT)
    assert len(shown) >= 5 and all(attack.cells and not attack.has for attack in shown)


def test_a_corpus_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BankError, match="no hostile notebooks"):
        load_corpus(tmp_path)
    (tmp_path / "time").mkdir()
    (tmp_path / "time" / "loop.py").write_text("# /// variant\n# has = []\n# ///\npass\n")
    with pytest.raises(BankError, match=r"loop\.py: the block needs a title"):
        load_corpus(tmp_path)
