"""The kernels of ``fused``: the ladder, and when the body runs node by node."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from tinyflow import ops
from tinyflow.backends import fused as backend
from tinyflow.backends import native as ladder
from tinyflow.backends.fused import native
from tinyflow.backends.numpy_ import NUMPY
from tinyflow.backends.table import KernelTable
from tinyflow.backends.torch_ import TORCH
from tinyflow.ir import Graph, from_json, parse, text, to_json
from tinyflow.ops import OPS

from .bodies import gelu, placeholder, softmax, typed

each_table = pytest.mark.parametrize("table", [NUMPY, TORCH], ids=lambda table: table.name)


def array(table: KernelTable, x: np.ndarray) -> Any:
    return x if table is NUMPY else torch.from_numpy(x)


@pytest.fixture
def nothing_loaded() -> Iterator[None]:
    """Forget what was compiled, and afterwards that nothing could be."""
    for made in (ladder._load_library, backend._make):
        made.cache_clear()
    yield
    for made in (ladder._load_library, backend._make):
        made.cache_clear()


def test_the_ladder_begins_with_llvm() -> None:
    made = native(gelu(12))
    assert made is not None and made.language == "LLVM"
    assert made.source.count("define void @launch") == 1
    assert "for c in columns" in str(made.nest)


def test_bodies_that_compute_the_same_share_a_kernel() -> None:
    assert native(gelu(12)) is native(gelu(12))
    assert native(gelu(12)) is not native(gelu(11))
    x = placeholder(0, (3,))
    kernels = [native(typed(ops.mul(x, number))) for number in (1.5, 1.5, 2.5)]
    assert kernels[0] is kernels[1] and kernels[0] is not kernels[2]


@pytest.mark.usefixtures("nothing_loaded")
def test_without_llvmlite_a_c_compiler_does_it(monkeypatch: Any) -> None:
    monkeypatch.setattr(ladder, "llvm", None)
    made = native(gelu(13))
    assert made is not None and made.language == "C"


@pytest.mark.usefixtures("nothing_loaded")
@each_table
def test_without_a_compiler_the_body_runs_node_by_node(
    table: KernelTable, monkeypatch: Any
) -> None:
    monkeypatch.setattr(ladder, "llvm", None)
    monkeypatch.setattr(ladder, "_compiler", lambda: None)
    body = softmax(3, 5)
    assert native(body) is None
    x = np.arange(15, dtype="float32").reshape(3, 5)
    got = table.to_numpy(table[ops.fused].run(array(table, x), body=body))
    np.testing.assert_allclose(got, torch.softmax(torch.from_numpy(x), -1), rtol=1e-6)


@pytest.mark.usefixtures("nothing_loaded")
def test_a_compiler_that_fails_is_no_compiler(monkeypatch: Any) -> None:
    monkeypatch.setattr(ladder, "llvm", None)
    monkeypatch.setattr(ladder, "find", lambda name: None)
    monkeypatch.setattr(ladder, "C_FLAGS", ("--no-such-flag",))
    assert native(gelu(14)) is None


@pytest.mark.usefixtures("nothing_loaded")
def test_a_library_that_cannot_be_loaded_is_no_library(monkeypatch: Any) -> None:
    def refuse(path: str) -> None:
        raise OSError(f"{path}: failed to map segment")

    monkeypatch.setattr(ladder, "llvm", None)
    monkeypatch.setattr(ladder.ctypes, "CDLL", refuse)
    assert native(gelu(15)) is None


def watched(monkeypatch: Any) -> list[int]:
    """Count how often a body is walked."""
    walks: list[int] = []
    walk = backend._walk

    def count(*args: Any) -> Any:
        walks.append(1)
        return walk(*args)

    monkeypatch.setattr(backend, "_walk", count)
    return walks


@each_table
def test_arrays_that_do_not_fit_run_node_by_node(table: KernelTable, monkeypatch: Any) -> None:
    walks, body = watched(monkeypatch), gelu(10)
    x = np.linspace(-2, 2, 20, dtype="float32")
    run = table[ops.fused].run
    plain = run(array(table, x[:10].copy()), body=body)
    assert not walks
    strided = run(array(table, x)[::2], body=body)
    assert len(walks) == 1
    exact = run(array(table, x[:10].astype("float64")), body=body)
    assert len(walks) == 2 and table.to_numpy(exact).dtype == "float64"
    target = array(table, np.zeros(20, "float32"))
    assert run(array(table, x[:10].copy()), body=body, out=target[::2]) is not None
    assert len(walks) == 3
    np.testing.assert_allclose(table.to_numpy(plain), table.to_numpy(exact), rtol=1e-5)
    np.testing.assert_allclose(table.to_numpy(target)[::2], table.to_numpy(plain), rtol=1e-5)
    inner = 0.8 * (x[::2] + 0.04 * x[::2] ** 3)
    np.testing.assert_allclose(
        table.to_numpy(strided), 0.5 * x[::2] * (1 + np.tanh(inner)), rtol=1e-5, atol=1e-7
    )


@each_table
def test_no_elements_run_node_by_node(table: KernelTable) -> None:
    x = placeholder(0, (0, 3))
    body = typed(ops.exp(x), ops.reduce_sum(x, reduction_indices=(0,)))
    assert native(body) is None
    a, b = table[ops.fused].run(array(table, np.zeros((0, 3), "float32")), body=body)
    assert tuple(a.shape) == (0, 3)
    np.testing.assert_array_equal(table.to_numpy(b), [0, 0, 0])


@each_table
def test_several_results_go_where_they_are_told(table: KernelTable) -> None:
    x = placeholder(0, (4,))
    body = typed(ops.neg(x), ops.exp(x))
    given = array(table, np.array([0, 1, 2, 3], "float32"))
    outs = [array(table, np.zeros(4, "float32")) for _ in range(2)]
    got = table[ops.fused].run(given, body=body, out=outs)
    assert got[0] is outs[0] and got[1] is outs[1]
    np.testing.assert_array_equal(table.to_numpy(outs[0]), [0, -1, -2, -3])
    np.testing.assert_allclose(table.to_numpy(outs[1]), np.exp([0, 1, 2, 3]), rtol=1e-6)


PRINTED = """\
%0 = placeholder(dtype=float32, shape=[3]) "x"
%1 = fused(%0, body={%0 = placeholder(dtype=float32, shape=[3]) "x0" ¦ %1 = exp(%0) ¦ return %1})
return %1
"""


def test_a_body_prints_in_braces() -> None:
    x = ops.placeholder(dtype="float32", shape=(3,), name="x")
    node = ops.fused(x, body=typed(ops.exp(placeholder(0, (3,)))))
    assert text(Graph((node,))) == PRINTED
    nested = ops.fused(
        x, body=Graph((ops.fused(placeholder(0, (3,)), body=node.node.attrs["body"]),))
    )
    for graph in (Graph((node,)), Graph((nested,))):
        assert text(parse(text(graph), OPS)) == text(graph)


def test_a_node_survives_both_text_forms_and_still_runs() -> None:
    x = ops.placeholder(dtype="float32", shape=(3, 5), name="x")
    graph = Graph((ops.fused(x, body=softmax(3, 5)),))
    for again in (parse(text(graph), OPS), from_json(to_json(graph), OPS)):
        assert text(again) == text(graph)
        body = again.outputs[0].node.attrs["body"]
        given = np.ones((3, 5), "float32")
        np.testing.assert_allclose(NUMPY[ops.fused].run(given, body=body), 0.2, rtol=1e-6)
