"""Every road gives the same numbers: both backends, every prefix of the pipeline, the executor."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from tests.runtime.graphs import Case, cases
from tinyflow.backends.numpy_ import NUMPY
from tinyflow.backends.table import KernelTable
from tinyflow.backends.torch_ import TORCH
from tinyflow.ir import Graph, parse, text
from tinyflow.ops import OPS
from tinyflow.passes import KNOWN_DTYPES, KNOWN_SHAPES, OPTIONS, STANDARD, Pipeline, with_options
from tinyflow.program import lower
from tinyflow.runtime.executor import emit
from tinyflow.runtime.interpreter import interpret
from tinyflow.types import DType

ORDINARY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

PIPELINES = [
    pytest.param(STANDARD, id="standard"),
    *(pytest.param(with_options(STANDARD, [word]), id=word) for word in OPTIONS),
    pytest.param(with_options(STANDARD, OPTIONS), id="all options"),
]
Arrays = list[np.ndarray]


def walk(case: Case, graph: Graph, kernels: KernelTable) -> tuple[Arrays, dict[str, np.ndarray]]:
    """Outputs and variables after the interpreter ran ``graph``."""
    feeds = {v: kernels.from_numpy(a, DType.float64) for v, a in case.feeds.items()}
    state = {k: kernels.from_numpy(a, DType.float64) for k, a in case.variables.items()}
    results = interpret(graph, feeds, state, kernels)
    after = {name: kernels.to_numpy(array) for name, array in state.items()}
    return [kernels.to_numpy(array) for array in results], after


def execute(case: Case, graph: Graph) -> tuple[Arrays, dict[str, np.ndarray]]:
    """Outputs and variables after the emitted function ran."""
    state = {k: TORCH.from_numpy(a, DType.float64) for k, a in case.variables.items()}
    program = lower(graph, list(case.feeds))
    run = emit(program, TORCH, state).run
    outputs = run((0, 0), *(TORCH.from_numpy(a, DType.float64) for a in case.feeds.values()))
    return outputs, {name: TORCH.to_numpy(array) for name, array in state.items()}


def typed(case: Case) -> Graph:
    shapes = {value: array.shape for value, array in case.feeds.items()}
    dtypes = dict.fromkeys(case.feeds, DType.float64)
    graph = case.graph.with_fact(KNOWN_SHAPES, shapes)
    return graph.with_fact(KNOWN_DTYPES, dtypes)


def assert_same(got: tuple[Arrays, dict], expected: tuple[Arrays, dict]) -> None:  # type: ignore[type-arg]
    for a, b in zip(got[0], expected[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
    for name, array in expected[1].items():
        np.testing.assert_allclose(got[1][name], array, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("pipeline", PIPELINES)
@ORDINARY
@given(cases())
def test_both_backends_agree_after_every_prefix_of_the_pipeline(
    pipeline: Pipeline, case: Case
) -> None:
    expected = walk(case, case.graph, NUMPY)
    for step in pipeline.trace(typed(case)):
        assert_same(walk(case, step.graph, NUMPY), expected)
        assert_same(walk(case, step.graph, TORCH), expected)


@pytest.mark.parametrize("pipeline", PIPELINES)
@ORDINARY
@given(cases())
def test_the_emitted_function_agrees_with_the_interpreter(pipeline: Pipeline, case: Case) -> None:
    graph = pipeline(typed(case))
    assert_same(execute(case, graph), walk(case, case.graph, NUMPY))


@ORDINARY
@given(cases())
def test_random_graphs_survive_printing_and_parsing(case: Case) -> None:
    assert text(parse(text(case.graph), OPS)) == text(case.graph)
