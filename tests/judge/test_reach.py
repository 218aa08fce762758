"""The search for ready-made answers finds one that was left behind."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from autograder.authoring import reach
from autograder.authoring.manifest import load_homework
from autograder.judge import Judge

ROOT = Path(__file__).parents[2]
LEFT_BEHIND = '''

def spare(node, dy):
    """Left behind on purpose."""
    z = node.outputs[0]
    return (ops.mul(dy, ops.sub(1.0, ops.mul(z, z))),)
'''


@pytest.fixture
def leaky(tmp_path: Path) -> Path:
    """A course whose engine holds the answer of tanh_adjoint under another name."""
    for name in ("tinyflow", "course", "assignments"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignore)
    with (tmp_path / "tinyflow" / "adjoints" / "random.py").open("a") as file:
        file.write(LEFT_BEHIND)
    return tmp_path


def test_an_answer_left_in_the_engine_is_found(leaky, solved, monkeypatch):
    names = ["numpy:tanh", "tinyflow.adjoints.random:spare", "os:abort", "time:sleep"]
    monkeypatch.setattr(reach, "callables", lambda: names)
    with Judge(load_homework(leaky, "hw2_autodiff"), leaky) as judge:
        found = reach.try_everything(judge, solved, b"secret")
    assert found.tried == 4
    assert ("tanh_adjoint", "tinyflow.adjoints.random:spare") in found.solve
    assert {task for task, _ in found.solve} == {"tanh_adjoint"}
    assert ("relu_adjoint", "tinyflow.adjoints.random:spare") in found.in_form


def test_everything_callable_is_tried_once():
    names = reach.callables()
    assert len(names) == len(set(names)) > 2_000
    for name in ("builtins:sum", "numpy:gradient", "tinyflow.ops.linalg:MATMUL"):
        assert any(name.partition(":")[0] == other.partition(":")[0] for other in names)
