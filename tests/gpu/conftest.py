"""Each test here runs twice: on the CPU in place of a GPU, and on a GPU if there is one."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.conftest import NOT_RUN, NOT_RUN_KEY
from tinyflow.backends import cuda

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
    """Leave out what needs a GPU where there is none, and count it for the summary line."""
    if torch.cuda.is_available():
        return
    real = {item for item in items if _params(item).get("gpu") == REAL}
    items[:] = [item for item in items if item not in real]
    if hasattr(config, "workeroutput"):  # a worker of xdist tells its controller
        config.workeroutput[NOT_RUN] = len(real)
    else:
        config.stash[NOT_RUN_KEY] = len(real)
