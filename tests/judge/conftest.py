"""One judge with real walls for the tests that need student code to misbehave."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autograder.authoring.manifest import load_homework
from autograder.judge import Judge
from autograder.sandbox import Limits

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def judge() -> Iterator[Judge]:
    """The judge of hw2_autodiff, impatient."""
    homework = load_homework(ROOT, "hw2_autodiff")
    with Judge(homework, ROOT, limits=Limits(call_s=2.0)) as made:
        yield made


@pytest.fixture(scope="session")
def solved() -> bytes:
    """The solved notebook."""
    return (ROOT / "solutions" / "hw2_autodiff" / "hw2_autodiff.ipynb").read_bytes()
