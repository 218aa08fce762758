"""What is compared: sizes, initial values and data, the same for everyone.

All float32. A step takes numpy arrays in, runs forward, backward and update, and returns the loss
as a float; W5 has no update and returns one element. ``TINY`` has the same networks in a size that
tests can afford.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks import nets

__all__ = ["TINY", "WORKLOADS", "Workload"]

Array = np.ndarray[Any, Any]
Shapes = dict[str, tuple[int, ...]]
CLASSES = 10


@dataclass(frozen=True, slots=True)
class Workload:
    """One kind of step.

    ``shapes`` are those of the parameters, ``x`` that of the batch. ``labels`` says whether the
    batch has class numbers ("int"), one-hot rows ("one-hot") or none (""). ``rate`` is the learning
    rate; 0: nothing is trained. ``scale`` is the deviation of the initial weights. ``limit`` and
    ``aim`` are ratios of our step to PyTorch eager's, ``build_limit_s`` and ``build_aim_s`` seconds
    to our first loss.
    """

    title: str
    net: nets.Net
    shapes: Mapping[str, tuple[int, ...]]
    x: tuple[int, ...]
    limit: float = 1.0
    aim: float = 1.0
    labels: str = ""
    rate: float = 0.01
    adam: bool = False
    scale: float = 0.05
    build_limit_s: float | None = None
    build_aim_s: float | None = None

    @property
    def tolerance(self) -> float:
        """How far first losses may differ, relatively; Adam magnifies noise in small slopes."""
        return 2e-3 if self.adam else 1e-4

    def parameters(self) -> dict[str, Array]:
        """Initial values by name: ones for gammas, zeros for betas, else normal numbers."""
        rng = np.random.default_rng(0)
        found: dict[str, Array] = {}
        for name, shape in self.shapes.items():
            start = rng.standard_normal(shape, np.float32) * np.float32(self.scale)
            start = np.ones(shape, np.float32) if "gamma" in name else start
            found[name] = np.zeros(shape, np.float32) if "beta" in name else start
        return found

    def batch(self) -> tuple[Array, ...]:
        """One batch: x, and labels if there are any."""
        rng = np.random.default_rng(1)
        if not self.labels:
            return (rng.standard_normal(self.x, np.float32),)
        x, labels = rng.random(self.x, np.float32), rng.integers(0, CLASSES, self.x[0])
        return x, np.eye(CLASSES, dtype=np.float32)[labels] if self.labels == "one-hot" else labels


def _mlp(*sizes: int) -> Shapes:
    found: Shapes = {}
    for layer, (n, m) in enumerate(pairwise(sizes), 1):
        found[f"w{layer}"] = (m, n)
        if layer < len(sizes) - 1:
            found[f"b{layer}"] = (m,)
    return found


def _lenet(size: int, first: int, second: int, hidden: int) -> Shapes:
    left = ((size - 4) // 2 - 4) // 2
    return {
        "c1": (first, 1, 5, 5), "d1": (first,), "c2": (second, first, 5, 5), "d2": (second,),
        "w1": (hidden, second * left * left), "w2": (CLASSES, hidden),
    }  # fmt: skip


def _resnet(size: int, *widths: int) -> Shapes:
    found: Shapes = {"c1": (widths[0], 3, 5, 5)}
    for r, (n, m) in enumerate(zip((widths[0], *widths), widths), 1):
        layers: Shapes = {f"r{r}a": (m, n, 3, 3), f"r{r}b": (m, m, 3, 3)}
        if n != m:
            layers[f"r{r}c"] = (m, n, 1, 1)
        for name, shape in layers.items():
            found |= {name: shape, f"{name}_gamma": (m,), f"{name}_beta": (m,)}
    left = size // 2 - 4
    return found | {"c2": (16, widths[-1], 5, 5), "w1": (CLASSES, 16 * left * left)}


def _block(width: int) -> Shapes:
    norms: Shapes = {f"{name}{at}": (width,) for at in (1, 2) for name in ("gamma", "beta")}
    sizes = {"qkv": (3 * width, width), "out": (width, width), "up": (4 * width, width)}
    for name, (m, n) in {**sizes, "down": (width, 4 * width)}.items():
        norms |= {f"w_{name}": (m, n), f"b_{name}": (m,)}
    return norms


def _chain(layers: int, width: int) -> Shapes:
    return _mlp(*[width] * (layers + 1)) | {f"b{layers}": (width,)}


def _elementwise(count: int, limit: float, aim: float) -> Workload:
    title = f"W5 elementwise chain, {count:.0e} floats".replace("e+0", "e")
    return Workload(title, nets.gelu_like, {}, (count,), limit, aim, rate=0.0)


WORKLOADS = {
    "W1": Workload(
        "W1 softmax 784-10", nets.softmax, _mlp(784, 10), (100, 784), 0.50, 0.30, "one-hot"
    ),
    "W2": Workload(
        "W2 MLP 784-100-10", nets.mlp, _mlp(784, 100, 10), (100, 784), 0.60, 0.48, "int", 0.05
    ),
    "W2b": Workload(
        "W2b MLP 784-1024-1024-10", nets.mlp, _mlp(784, 1024, 1024, 10), (100, 784), 0.90, 0.82,
        "int", 0.05,
    ),
    "W3": Workload(
        "W3 LeNet, Adam", nets.lenet, _lenet(28, 20, 50, 500), (100, 1, 28, 28), 0.53, 0.45, "int",
        0.0005, adam=True,
    ),
    "W4": Workload(
        "W4 CIFAR ResNet, Adam", nets.resnet, _resnet(32, 16, 32, 64), (100, 3, 32, 32), 0.68, 0.57,
        "int", 0.0005, adam=True,
    ),
    "W5-1e4": _elementwise(10_000, 0.25, 0.16),
    "W5-1e6": _elementwise(1_000_000, 0.20, 0.11),
    "W5-1e7": _elementwise(10_000_000, 0.10, 0.05),
    "W6": Workload(
        "W6 transformer block", nets.block, _block(256), (8, 128, 256), 0.85, 0.73
    ),
    "W7": Workload(
        "W7 chain of 1,000 layers", nets.chain, _chain(1000, 64), (100, 64), 0.55, 0.38,
        scale=0.12, build_limit_s=2.0, build_aim_s=1.0,
    ),
}  # fmt: skip

TINY = {
    "W1": Workload("softmax", nets.softmax, _mlp(12, 10), (5, 12), labels="one-hot"),
    "W2": Workload("MLP", nets.mlp, _mlp(12, 8, 10), (5, 12), labels="int"),
    "W2b": Workload("deeper MLP", nets.mlp, _mlp(12, 8, 8, 10), (5, 12), labels="int"),
    "W3": Workload(
        "LeNet", nets.lenet, _lenet(16, 3, 4, 6), (2, 1, 16, 16), labels="int", rate=0.001,
        adam=True,
    ),
    "W4": Workload(
        "ResNet", nets.resnet, _resnet(12, 4, 8), (2, 3, 12, 12), labels="int", rate=0.001,
        adam=True,
    ),
    "W5": Workload("elementwise", nets.gelu_like, {}, (100,), rate=0.0),
    "W6": Workload("transformer block", nets.block, _block(16), (2, 6, 16)),
    "W7": Workload("chain", nets.chain, _chain(6, 8), (3, 8), scale=0.12),
}  # fmt: skip
