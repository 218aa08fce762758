"""How much a worker may use. Layer: sandbox."""

from __future__ import annotations

import time
from dataclasses import dataclass

__all__ = ["ONE_THREAD", "Budget", "Limits"]

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one worker. Memory counts on top of what the zygote's modules occupy."""

    memory_bytes: int = 1 << 30
    call_s: float = 10.0  # wall time of one call
    load_s: float = 30.0  # wall time of loading the notebook
    cpu_s: int = 120  # processor time of the worker's whole life
    life_s: float = 300.0  # wall time of the worker's whole life; kept by the zygote
    threads: int = 256
    files: int = 64
    output_kept_bytes: int = 64 << 10
    output_most_bytes: int = 32 << 20


class Budget:
    """Wall time that all workers of one submission share, so that 40 slow tests end too."""

    def __init__(self, total_s: float) -> None:
        self.total_s = total_s
        self._end = time.monotonic() + total_s

    @property
    def left_s(self) -> float:
        """Seconds left, at least 0."""
        return max(0.0, self._end - time.monotonic())
