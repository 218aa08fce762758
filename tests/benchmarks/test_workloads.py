"""Speed is only compared between steps that compute the same: the contestants' first losses."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import on_tinyflow, on_torch
from benchmarks.workloads import TINY, WORKLOADS


@pytest.mark.parametrize("key", TINY)
def test_first_losses_agree_with_pytorch(key: str) -> None:
    work = TINY[key]
    parameters, batch = work.parameters(), work.batch()
    ours = on_tinyflow.build(work, parameters, batch)
    theirs = on_torch.build(work, parameters, batch)
    got, expected = [ours() for _ in range(3)], [theirs() for _ in range(3)]
    np.testing.assert_allclose(got, expected, rtol=work.tolerance)
    if work.rate:
        assert len(set(expected)) == 3  # it does train


def test_tiny_workloads_stand_for_all() -> None:
    assert TINY.keys() == {key.split("-")[0] for key in WORKLOADS}
    for key, work in WORKLOADS.items():
        assert work.net is TINY[key.split("-")[0]].net
        assert work.aim < work.limit < 1


def test_parameters_and_batches_are_the_same_for_everyone() -> None:
    for work in TINY.values():
        for one, other in zip(work.batch(), work.batch()):
            np.testing.assert_array_equal(one, other)
        one, other = work.parameters(), work.parameters()
        assert one.keys() == work.shapes.keys()
        assert all((one[name] == other[name]).all() for name in one)
