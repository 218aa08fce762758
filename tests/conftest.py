"""One thread for torch: small kernels on a busy machine otherwise wait for each other.

Where there is no GPU, Triton interprets what it is given.
"""

import os
from importlib.util import find_spec
from typing import Any

import pytest
import torch

torch.set_num_threads(1)
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # Triton reads it when it is imported

NOT_RUN = "gpu tests not run"
NOT_RUN_KEY = pytest.StashKey[int]()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """What a worker of xdist left out; all of them collect the same tests."""
    found = getattr(node, "workeroutput", {}).get(NOT_RUN, 0)
    node.config.stash[NOT_RUN_KEY] = max(found, node.config.stash.get(NOT_RUN_KEY, 0))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what did not meet a GPU: it counts neither as passed nor as skipped."""
    left_out = config.stash.get(NOT_RUN_KEY, 0)
    if left_out:
        terminalreporter.write_line(f"GPU tests: {left_out} not run, no CUDA device here")
    how = (
        "triton's interpreter and compiler"
        if find_spec("triton")
        else "a numpy stand-in (no triton here)"
    )
    terminalreporter.write_line(f"generated Triton text: run by {how}, not by a GPU")
