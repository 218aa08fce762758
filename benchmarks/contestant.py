"""One contestant in a process of its own: ``python -m benchmarks.contestant NAME``.

Reads commands on standard input, answers one JSON line each: ``build W1`` -> seconds to the first
loss (frameworks imported and arrays made before) and the first losses; ``run N`` -> seconds of each
of N steps.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

for _threads in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_threads] = "1"  # before numpy and torch are imported
os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

__all__ = ["CONTESTANTS", "Contestant"]


@dataclass(frozen=True, slots=True)
class Contestant:
    """Where to find a contestant: ``function`` of ``module``, which imports ``framework``."""

    framework: str
    module: str
    function: str = "build"

    @property
    def installed(self) -> bool:
        """True if the framework can be imported."""
        return importlib.util.find_spec(self.framework) is not None


CONTESTANTS = {
    "tinyflow": Contestant("tinyflow", "benchmarks.on_tinyflow"),
    "torch eager": Contestant("torch", "benchmarks.on_torch"),
    "torch.compile": Contestant("torch", "benchmarks.on_torch", "build_compiled"),
    "torch one graph": Contestant("torch", "benchmarks.on_torch", "build_whole"),
    "JAX jit": Contestant("jax", "benchmarks.on_jax"),
    "TensorFlow": Contestant("tensorflow", "benchmarks.on_tensorflow"),
}


def prepare(name: str) -> Callable[..., Callable[[], float]]:
    """Import a contestant, on one thread; returns what builds its step."""
    entry = CONTESTANTS[name]
    if entry.framework in ("torch", "tinyflow"):
        import torch

        torch.set_num_threads(1)
    build: Callable[..., Callable[[], float]] = getattr(
        importlib.import_module(entry.module), entry.function
    )
    return build


def serve(name: str) -> None:
    """Answer commands until standard input ends."""
    if hasattr(os, "sched_setaffinity"):  # one core: some frameworks cannot be told to use one
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a framework prints must not mix with the answers
    from benchmarks.workloads import WORKLOADS

    step: Callable[[], float] = lambda: 0.0  # noqa: E731 - replaced by the first build
    for line in sys.stdin:
        command, argument = line.split()
        answer: dict[str, Any] = {}
        if command == "build":
            try:
                make, work = prepare(name), WORKLOADS[argument]
                parameters, batch = work.parameters(), work.batch()
                began = time.perf_counter()
                step = make(work, parameters, batch)
                losses = [step()]
                answer["seconds"] = time.perf_counter() - began
                answer["losses"] = [*losses, step(), step()]
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}"[:300]}
        else:
            answer["seconds"] = []
            for _ in range(int(argument)):
                began = time.perf_counter()
                step()
                answer["seconds"].append(time.perf_counter() - began)
        answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    serve(sys.argv[1])
