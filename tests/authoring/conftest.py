"""A course of two small homeworks, so that authoring can be tested without the real engine."""

import json
import shutil
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]

MANIFEST = """
[hw1_first]
title = "Halves"
order = 1
[hw1_first.tasks.half]
function = "tinyflow.maths:half"
buckets = { all = 1 }
[hw1_first.integration]
buckets = { whole = 1 }

[hw2_second]
title = "Doubles"
order = 2
[hw2_second.tasks.double]
function = "tinyflow.maths:double"
buckets = { values = 2, zero = 1.5 }
[hw2_second.integration]
buckets = { whole = 1 }

[planned.hw3_third]
order = 3
functions = ["tinyflow.later:*"]
"""

MATHS = '''"""Numbers."""

from __future__ import annotations

LIMIT = 1000


def half(x: float) -> float:
    """Half of x: half(4) is 2."""
    return x / 2


def double(
    x: float,
    limit: int = LIMIT,
) -> float:
    """Twice x.

    Example: double(4) is 8.
    """
    # the secret is to add x to itself once more
    if abs(x) > limit:
        raise ValueError("too large to be doubled in this house")
    once_more = x + 0 * limit
    return x + once_more
'''

LATER = '''"""Later."""


class Triple:
    """Three times x."""

    def __init__(self, x):
        self.secret_of_the_third = x * 3 + 0 * 12345


def quadruple(x):
    secret_of_the_fourth = x + x + x + x
    return secret_of_the_fourth
'''

TEXT = """
# Doubles

A story.

```{code-cell} ipython3
:tags: [setup]

from tinyflow.homework import check
from tinyflow.maths import LIMIT, half
```

Now you.

```{code-cell} ipython3
:task: double
```

```{code-cell} ipython3
:tags: [demo]

print(double(21))
```

```{code-cell} ipython3
:task: integration
```
"""

PUBLIC = '''"""Public tests."""


def test_public_example(student):
    assert student.double(4) == 8
'''

SUITE = '''"""Hidden tests."""

from autograder.judge.plugin import bucket


@bucket("double", "values", hint="Have you thought about numbers below zero?")
def test_negative_numbers_are_hidden(student, rng):
    """Hidden."""
    value_nobody_knows = -rng.integers(3, 9)
    assert student.double(value_nobody_knows) == 2 * value_nobody_knows
'''

FILES = {
    "course/manifest.toml": MANIFEST,
    "course/hw2_second.md": TEXT,
    "course/public/hw2_second/test_hw2_second.py": PUBLIC,
    "autograder/suites/hw2_second/test_secret_suite.py": SUITE,
    "tinyflow/__init__.py": '"""Engine."""\n',
    "tinyflow/maths.py": MATHS,
    "tinyflow/later.py": LATER,
    "tinyflow/data/table.npz": "numbers",
    "tinyflow/notes.tmp": "not part of a release",
    "nbgrader_config.py": (
        "c = get_config()\n"
        'c.CourseDirectory.source_directory = "solutions"\n'
        'c.CourseDirectory.release_directory = "assignments"\n'
    ),
}


@pytest.fixture
def course(tmp_path):
    """Root of the small course, nothing derived yet."""
    root = tmp_path / "course root"
    for name, content in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    for name in ("pyproject.toml", "constraints.txt", "LICENSE"):
        shutil.copy(REPO / name, root / name)
    return root


@pytest.fixture
def edit(course):
    """Replace text in one file of the course: ``edit("course/hw2_second.md", "old", "new")``."""

    def replace(name, old, new):
        path = course / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    return replace


def cells(path):
    """Cells of a notebook by id."""
    return {cell["id"]: cell for cell in json.loads(Path(path).read_text())["cells"]}
