"""One use of an op at given numbers, whose gradients are compared with the oracles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from tinyflow import ops
from tinyflow.ir import Graph, Value


@dataclass(frozen=True)
class Case:
    """``build(*xs)`` at ``inputs``; ``fixed`` are further inputs without a gradient."""

    name: str
    build: Callable[..., Value]
    inputs: tuple[np.ndarray, ...]
    fixed: tuple[np.ndarray, ...] = ()
    torch: Callable[..., torch.Tensor] | None = None  # where autograd cannot follow our kernel
    graph: Graph = field(init=False)
    xs: tuple[Value, ...] = field(init=False)
    feeds: dict[Value, Any] = field(init=False)

    def __post_init__(self) -> None:
        leaves = [
            ops.placeholder(dtype=array.dtype, name=f"x{i}")
            for i, array in enumerate((*self.inputs, *self.fixed))
        ]
        object.__setattr__(self, "graph", Graph((self.build(*leaves),)))
        object.__setattr__(self, "xs", tuple(leaves[: len(self.inputs)]))
        object.__setattr__(self, "feeds", dict(zip(leaves, (*self.inputs, *self.fixed))))


RNG = np.random.default_rng(7)


def normal(*shape: int) -> np.ndarray:
    """float64, away from 0 so that differences do not step over a kink."""
    array = RNG.normal(size=shape)
    return np.asarray(array + 0.2 * np.sign(array))


def positive(*shape: int) -> np.ndarray:
    """float64 in [0.5, 2)."""
    return RNG.uniform(0.5, 2.0, size=shape)


PAIRS = {
    "same": ((2, 3), (2, 3)),
    "row": ((2, 3), (3,)),
    "column": ((2, 1), (1, 3)),
    "scalar": ((), (2, 3)),
    "one": ((1, 1), (2,)),
}
