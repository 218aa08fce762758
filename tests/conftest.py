"""One thread for torch: small kernels on a busy machine otherwise wait for each other."""

from importlib.util import find_spec
from typing import Any

import torch

torch.set_num_threads(1)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what generated GPU text ran on: nothing is skipped, but it may not have met a GPU."""
    how = "triton's interpreter" if find_spec("triton") else "a numpy stand-in (no triton here)"
    terminalreporter.write_line(f"generated Triton text: run by {how}, not by a GPU")
