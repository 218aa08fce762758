"""Torch kernels on another device than the CPU: "meta" knows shapes and devices, and no numbers."""

from __future__ import annotations

import inspect
import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings

from tinyflow import ops
from tinyflow.backends import cuda
from tinyflow.backends.cuda import GpuTable, triton_launch
from tinyflow.backends.fused import fused_kernel
from tinyflow.backends.table import WITHOUT_KERNEL, Kernel
from tinyflow.backends.torch_ import TORCH
from tinyflow.errors import RunError
from tinyflow.ir import Graph, Op
from tinyflow.ops import OPS
from tinyflow.types import Device, DType

from ..codegen.bodies import gelu, placeholder, softmax, typed
from ..codegen.tile import CURRENT, Pointer, language
from ..ops.conftest import Case, _cases

META = torch.device("meta")
CPU = torch.device("cpu")
READS_NUMBERS = {  # to check or to count them: only a real device can
    ops.checked_labels, ops.mean_sparse_softmax_cross_entropy_with_logits, ops.gather,
    ops.sparse_softmax_cross_entropy_grad, ops.gather_grad, ops.max_pool2d_take,
}  # fmt: skip
COMPUTED = [op for op in OPS.values() if op not in WITHOUT_KERNEL and op not in READS_NUMBERS]


@pytest.mark.parametrize("op", COMPUTED, ids=lambda op: op.name)
def test_a_kernel_computes_where_its_inputs_are(op: Op) -> None:
    """Every array that it makes on the way is there too, or torch would refuse to mix them."""
    table = GpuTable(META)

    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(_cases(op))
    def check(case: Case) -> None:
        inputs = [torch.from_numpy(np.array(array)).to(META) for array in case.inputs]
        result = table[op].run(*inputs, **case.kwargs)
        results = result if isinstance(result, tuple) else (result,)
        assert [r.device for r in results] == [META] * case.outputs
        assert [tuple(r.shape) for r in results] == case.out_shapes

    check()


def test_arrays_are_made_on_the_device() -> None:
    table = GpuTable(META)
    arena = table.arena(256)
    made = [
        *(arena, table.empty((2, 3), DType.float32), table.empty((2, 3), DType.int64, (1, 2))),
        *(table.place(arena, 64, (3,), DType.float32), table.from_numpy(np.ones(2), DType.bool)),
        *(table.from_feed(np.ones(2)), table.laid_out(table.from_feed(np.ones((2, 2))), (1, 2))),
    ]
    assert {array.device for array in made} == {META}
    assert table.host_view(made[0]) is None


def test_feeds_are_copied_and_fetches_too() -> None:
    table, given_ = GpuTable(CPU), np.arange(3.0)
    array = table.from_feed(given_)
    given_[:] = 7
    np.testing.assert_array_equal(table.to_numpy(array), [0, 1, 2])
    table.to_numpy(array)[:] = 7
    np.testing.assert_array_equal(table.to_numpy(array), [0, 1, 2])
    table.recording = True
    assert table.to_numpy(array) is array


def test_an_op_added_to_the_cpu_later_is_on_the_gpu_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TORCH, "_rows", dict(TORCH))
    table = GpuTable(META)
    strange = Op("strange", ("x",), ops.exp.shape, ops.exp.dtype)
    TORCH.add(strange, Kernel(torch.exp))
    assert strange in table and set(table) == set(TORCH)
    with pytest.raises(RunError, match="'exp' has a kernel for torch on meta"):
        table.add(ops.exp, Kernel(torch.exp))


def test_a_missing_gpu_is_named_with_those_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "gpus", lambda: [CPU, CPU])
    assert cuda.gpu_table(Device("gpu", 1)).device is CPU
    with pytest.raises(RunError, match="got gpu:2; expected gpu:0, gpu:1, cpu or numpy"):
        cuda.gpu_table(Device("gpu", 2))
    monkeypatch.setattr(cuda, "gpus", lambda: [])
    with pytest.raises(RunError, match=r"got gpu:0; expected cpu or numpy. Use tf.Session\('cpu'"):
        cuda.gpu_table(Device("gpu", 0))


@pytest.fixture
def triton(monkeypatch: pytest.MonkeyPatch) -> None:
    """Triton's interpreter where it is installed, else a stand-in that launches numpy programs."""
    cuda._load.cache_clear()
    if find_spec("triton"):
        return

    class Jit:
        def __init__(self, function: Any) -> None:
            assert "def kernel" in inspect.getsource(function) or function.__name__ != "kernel"
            self.function = function

        def __call__(self, *args: Any) -> Any:
            return self.function(*args)

        def __getitem__(self, grid: tuple[int]) -> Any:
            def launch(*args: Any, BLOCK: int) -> None:  # as Triton spells it
                arrays = [Pointer(a.numpy()) if isinstance(a, torch.Tensor) else a for a in args]
                for CURRENT[0] in range(grid[0]):
                    with np.errstate(all="ignore"):
                        self.function(*arrays, BLOCK=BLOCK)

            return launch

    package = ModuleType("triton")
    package.jit, package.language = Jit, language()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "triton", package)
    monkeypatch.setitem(sys.modules, "triton.language", package.language)  # type: ignore[attr-defined]


@pytest.mark.parametrize("body", [gelu(2500), gelu(1), softmax(3, 40)])
def test_a_fused_kernel_is_generated_and_launched(body: Graph, triton: None) -> None:
    launched = []

    def launcher(asked: Graph) -> Any:
        launch = triton_launch(asked, CPU)
        assert launch is not None
        return lambda arrays: launched.append(len(arrays)) or launch(arrays)

    kernel = fused_kernel(TORCH, launcher)
    assert kernel.native is None  # the executor must not bind addresses
    (shape,) = {tuple(n.attrs["shape"]) for n in body.nodes if n.op is ops.placeholder}
    x = torch.from_numpy(np.random.default_rng(0).normal(size=shape).astype("float32"))
    expected = fused_kernel(TORCH, lambda asked: None).run(x, body=body)
    out = torch.empty_like(expected)
    assert kernel.run(x, body=body, out=out) is out
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-6)
    assert launched == [2]


def test_what_triton_cannot_say_runs_unfused() -> None:
    body = typed(ops.reduce_sum(placeholder(0, (3, 4)), reduction_indices=(0,)))
    assert triton_launch(body, CPU) is None
    x = torch.ones(3, 4)
    result = GpuTable(CPU)[ops.fused].run(x, body=body)
    np.testing.assert_array_equal(result, [3, 3, 3, 3])
