"""Documents execute: the Python blocks of the README run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import tinyflow as tf

ROOT = Path(__file__).resolve().parent.parent


def blocks(document: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / document).read_text(), re.M | re.S)


def test_the_readmes_example_trains(capsys: pytest.CaptureFixture[str]) -> None:
    tf.reset_default_graph()
    names: dict[str, object] = {}
    for source in blocks("README.md"):
        exec(source, names)
    assert "def run(key" in capsys.readouterr().out
    assert float(np.asarray(names["value"])) < 0.3


def test_every_path_of_the_readmes_table_exists() -> None:
    table = (ROOT / "README.md").read_text().split("## Where does X live?")[1].split("##")[0]
    paths = re.findall(r"`([\w./]+/[\w./]*|\w+\.py)`", table)
    assert len(paths) > 20
    missing = [path for path in paths if not (ROOT / path).exists()]
    assert not missing, missing


def test_numbered_decisions_have_a_title() -> None:
    pages = sorted((ROOT / "course" / "decisions").glob("*.md"))
    for number, page in enumerate(pages, 1):
        assert page.name.startswith(f"{number:04d}-"), page
        assert page.read_text().startswith(f"# {number}. "), page
