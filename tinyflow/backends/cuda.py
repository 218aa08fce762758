"""What only a GPU needs: its table of kernels, generated Triton, replay of graphs. Layer: backends.

The kernels are those of the CPU, on tensors of a CUDA device. This road has not run on a GPU yet:
its tests let the CPU stand in for one.
"""

from __future__ import annotations

import linecache
import sys
import warnings
from collections import ChainMap
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import cache, lru_cache
from importlib.util import find_spec
from time import perf_counter_ns
from typing import Any

import numpy as np
import torch

from tinyflow import ops
from tinyflow.backends.fused import Structure, fused_kernel, structure
from tinyflow.backends.table import Array, Run
from tinyflow.backends.torch_ import TORCH, made_on
from tinyflow.backends.torch_table import TorchTable
from tinyflow.codegen.expression import Unsupported
from tinyflow.codegen.scalar import nest
from tinyflow.codegen.space import iteration_space
from tinyflow.codegen.triton import TritonKernel, triton_kernel
from tinyflow.errors import DTypeError, RunError
from tinyflow.ir import Graph
from tinyflow.program import Program
from tinyflow.types import Device

__all__ = ["GpuTable", "Replay", "gpu_table", "gpus", "triton_launch"]

Capture = Callable[[Callable[[], list[Any]]], tuple[Callable[[], None], list[Any]]]


def gpus() -> list[torch.device]:
    """The CUDA devices of this machine that torch can use."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return [torch.device("cuda", index) for index in range(count)]


def gpu_table(device: Device, replays: bool = False) -> GpuTable:
    """A table for one session on "gpu:N"; raises RunError if this machine lacks that GPU."""
    found = gpus()
    if device.index >= len(found):
        known = ", ".join(f"gpu:{index}" for index in range(len(found)))
        raise RunError(
            "this machine has no such device",
            got=str(device),
            expected=f"{known}, cpu or numpy" if known else "cpu or numpy",
            fix="Use another one." if known else "Use tf.Session('cpu').",
        )
    return GpuTable(found[device.index], replays)


class GpuTable(TorchTable):
    """The kernels of torch on one GPU, for one session.

    Ops added to the table of the CPU are here too. With ``replays``, programs that neither fail nor
    draw run as CUDA graphs. ``capture`` may be set to another way of recording.
    """

    def __init__(self, device: torch.device, replays: bool = False) -> None:
        super().__init__(f"torch on {device}", {}, TORCH.namespace, device)
        own = {**made_on(device), ops.fused: fused_kernel(self, self._launcher)}
        self._rows = ChainMap(own, TORCH._rows)
        self.replays, self.recording = replays, False
        self.capture: Capture = self._capture

    def from_feed(self, array: Array) -> Array:
        return torch.from_numpy(np.array(array)).to(self.device)

    def to_numpy(self, array: Array) -> Array:
        """A new numpy array; while a graph is recorded, the array itself: its content comes later.

        Raises DTypeError for bfloat16.
        """
        if array.dtype is torch.bfloat16:
            raise DTypeError("numpy has no bfloat16", fix="Cast to float32 before fetching.")
        return array if self.recording else array.to("cpu", copy=True).numpy()

    def host_view(self, array: Array) -> None:
        return None  # numpy cannot look there

    def now_ns(self) -> int:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return perf_counter_ns()

    def launched(self, run: Run, program: Program) -> Run:
        steady = not any(s.op.can_fail or s.op.random for s in program.instructions)
        return Replay(self, run) if self.replays and steady else run

    def _launcher(self, body: Graph) -> Callable[[Sequence[Array]], None] | None:
        return triton_launch(body, self.device) if self.device.type == "cuda" else None

    def _capture(self, run: Callable[[], list[Any]]) -> tuple[Callable[[], None], list[Any]]:
        """Record a run as a CUDA graph: nothing is computed until it is replayed."""
        graph = torch.cuda.CUDAGraph()
        with (
            torch.cuda.device(self.device),
            torch.cuda.graph(graph, capture_error_mode="thread_local"),
        ):
            results = run()
        return graph.replay, results


class Replay:
    """An emitted function that is recorded once, and then started as a whole.

    The first run is an ordinary one, in which libraries set themselves up. The second records on
    arrays of its own, into which feeds are copied from then on. What cannot be recorded keeps
    running as it is, with a warning.
    """

    def __init__(self, table: GpuTable, run: Run) -> None:
        self.table, self.run = table, run
        self.runs = 0
        self.feeds: tuple[Array, ...] = ()
        self.replay: Callable[[], None] | None = None
        self.results: list[Any] = []

    def __call__(self, key: tuple[int, int], *feeds: Array) -> list[Any]:
        """Run on feeds and return new numpy arrays."""
        self.runs += 1
        if self.runs == 2:
            self._record(key, feeds)
        if self.replay is None:
            return self.run(key, *feeds)
        for mine, given in zip(self.feeds, feeds):
            mine.copy_(given)
        self.replay()
        return [None if array is None else self.table.to_numpy(array) for array in self.results]

    def _record(self, key: tuple[int, int], feeds: tuple[Array, ...]) -> None:
        self.feeds = tuple(feed.clone() for feed in feeds)
        self.table.recording = True
        try:
            self.replay, self.results = self.table.capture(lambda: self.run(key, *self.feeds))
        except RuntimeError as error:
            warnings.warn(f"runs step by step, not as a CUDA graph: {error}", stacklevel=2)
        finally:
            self.table.recording = False


@lru_cache(maxsize=1024)
def triton_launch(body: Graph, device: torch.device) -> Callable[[Sequence[Array]], None] | None:
    """The generated kernel of a body, called with contiguous inputs and outputs on ``device``.

    None without Triton, or if Triton text cannot say what the body computes.
    """
    if "triton" not in sys.modules and find_spec("triton") is None:
        return None
    made = _generated(structure(body))
    if made is None:
        return None
    kernel, rows, columns = made
    function = _load(kernel.source)

    def launch(arrays: Sequence[Array]) -> None:
        with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
            function[(kernel.grid,)](*arrays, rows, columns, BLOCK=kernel.block)

    return launch


@lru_cache(maxsize=1024)
def _generated(found: Structure) -> tuple[TritonKernel, int, int] | None:
    try:
        space = iteration_space(found.body)
        kernel = triton_kernel(nest(found.body), space.rows, space.columns)
    except Unsupported:
        return None
    return kernel, space.rows, space.columns


@cache
def _load(source: str) -> Any:
    """The function ``kernel`` of a generated module. Triton asks for its text by file name."""
    name = f"<triton kernel {hash(source):x}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    names: dict[str, Any] = {"__name__": name}
    exec(compile(source, name, "exec"), names)
    return names["kernel"]
