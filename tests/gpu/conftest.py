"""Each test here runs twice: on the CPU in place of a GPU, and on a GPU if there is one."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tinyflow.backends import cuda

_NOT_RUN: list[str] = []
STAND_IN, REAL = "cpu in place of a gpu", "gpu"


@pytest.fixture(params=[STAND_IN, REAL], autouse=True)
def gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> torch.device:
    """The device behind "gpu:0"."""
    if request.param == STAND_IN:
        monkeypatch.setattr(cuda, "gpus", lambda: [torch.device("cpu")] * 2)
    return cuda.gpus()[0]


def _params(item: pytest.Item) -> dict[str, Any]:
    return item.callspec.params if hasattr(item, "callspec") else {}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs a GPU where there is none, and remember how many tests that are."""
    if torch.cuda.is_available():
        return
    real = [i for i in items if _params(i).get("gpu") == REAL]
    _NOT_RUN.extend(item.nodeid for item in real)
    left_out = set(real)
    items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what did not run; it counts neither as passed nor as skipped."""
    if _NOT_RUN:
        terminalreporter.write_line(f"GPU tests: {len(_NOT_RUN)} not run, no CUDA device here")
