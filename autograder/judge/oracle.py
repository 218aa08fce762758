"""What the gradient really is, twice: float64 differences and torch autograd. Layer: judge.

The forward computation is written once, by the suite, with functions that numpy and torch share.
Neither oracle uses the engine, so an error in the engine cannot agree with itself here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

__all__ = ["Array", "Forward", "OracleError", "derivatives", "differences", "slope"]

Array = npt.NDArray[np.float64]
Forward = Callable[..., Any]  # forward(xp, *arrays) -> array, where xp is numpy or torch


class OracleError(RuntimeError):
    """The two oracles disagree: the test is wrong, not the student."""


def derivatives(
    forward: Forward,
    arrays: Sequence[Array],
    upstream: Array | None = None,
    *,
    step: float = 1e-5,
    tolerance: float = 1e-6,
) -> list[Array]:
    """d sum(forward(xp, *arrays) * upstream) / d array, for each of ``arrays`` (float64).

    Computed by torch autograd and confirmed by central differences of the numpy forward; raises
    OracleError if they differ by more than ``tolerance`` of the largest entry. A kink closer than
    ``step`` misleads differences, so a much smaller step has the last word.
    """
    exact = _autograd(forward, arrays, upstream)
    if _confirms(differences(forward, arrays, upstream, step), exact, tolerance):
        return exact
    rough = differences(forward, arrays, upstream, step / 100)
    if not _confirms(rough, exact, 10 * tolerance):
        raise OracleError(f"torch says {exact}, differences say {rough}")
    return exact


def _confirms(rough: Sequence[Array], exact: Sequence[Array], tolerance: float) -> bool:
    return all(
        np.allclose(a, b, rtol=0, atol=tolerance * float(np.abs(b).max(initial=1.0)))
        for a, b in zip(rough, exact, strict=True)
    )


def differences(
    forward: Forward, arrays: Sequence[Array], upstream: Array | None = None, step: float = 1e-5
) -> list[Array]:
    """Central differences of sum(forward(numpy, *arrays) * upstream), entry by entry."""
    point = [np.array(array, np.float64) for array in arrays]

    def total() -> float:
        result = np.asarray(forward(np, *point))
        return float(np.sum(result if upstream is None else result * upstream))

    found = []
    for array in point:
        slope = np.empty_like(array)
        for index in np.ndindex(array.shape):
            here = array[index]
            array[index] = here + step
            above = total()
            array[index] = here - step
            slope[index] = (above - total()) / (2 * step)
            array[index] = here
        found.append(slope)
    return found


def _autograd(forward: Forward, arrays: Sequence[Array], upstream: Array | None) -> list[Array]:
    xp: ModuleType = torch
    leaves = [torch.tensor(array, dtype=torch.float64, requires_grad=True) for array in arrays]
    result = forward(xp, *leaves)
    total = (result if upstream is None else result * torch.tensor(upstream)).sum()
    grads = torch.autograd.grad(total, leaves, allow_unused=True)
    return [
        np.zeros(array.shape) if grad is None else grad.numpy()
        for array, grad in zip(arrays, grads, strict=True)
    ]


def slope(forward: Forward, position: int) -> Forward:
    """The derivative of sum(forward) by one array, as a forward computation of its own.

    Its ``derivatives`` are then second derivatives of ``forward``.
    """

    def derivative(xp: Any, *arrays: Any) -> Any:
        if xp is torch:
            return _first(forward, arrays, position)
        leaves = [torch.tensor(array, requires_grad=True) for array in arrays]
        return _first(forward, leaves, position).detach().numpy()

    return derivative


def _first(forward: Forward, leaves: Sequence[Any], position: int) -> Any:
    total = forward(torch, *leaves).sum()
    return torch.autograd.grad(total, leaves[position], create_graph=True)[0]
