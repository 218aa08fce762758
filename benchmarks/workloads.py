"""The training steps that are compared: sizes, initial values and data, the same for everyone.

Batch 100, float32. W1: softmax regression 784-10, SGD. W2: MLP 784-100-10 with ReLU, SGD.
A step takes numpy arrays in, runs forward, backward and update, and returns the loss as a float.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["WORKLOADS", "Workload"]

BATCH = 100
Array = np.ndarray


@dataclass(frozen=True, slots=True)
class Workload:
    """One training step: a title, its limit over PyTorch eager, layer sizes and learning rate."""

    title: str
    limit: float
    sizes: tuple[int, ...]
    learning_rate: float
    dense_labels: bool

    def parameters(self) -> dict[str, Array]:
        """Initial values by name: weights (out, in) and hidden biases."""
        rng = np.random.default_rng(0)
        found: dict[str, Array] = {}
        for layer, (n, m) in enumerate(zip(self.sizes, self.sizes[1:]), 1):
            found[f"w{layer}"] = (rng.standard_normal((m, n)) * 0.05).astype(np.float32)
            if layer < len(self.sizes) - 1:
                found[f"b{layer}"] = (rng.standard_normal(m) * 0.05).astype(np.float32)
        return found

    def batch(self) -> tuple[Array, Array]:
        """One batch: images (100, 784), labels as class numbers or one-hot rows."""
        rng = np.random.default_rng(1)
        images = rng.random((BATCH, self.sizes[0]), np.float32)
        labels = rng.integers(0, self.sizes[-1], BATCH)
        if self.dense_labels:
            return images, np.eye(self.sizes[-1], dtype=np.float32)[labels]
        return images, labels


WORKLOADS = {
    "W1": Workload("W1 softmax 784-10", 0.60, (784, 10), 0.01, dense_labels=True),
    "W2": Workload("W2 MLP 784-100-10", 0.70, (784, 100, 10), 0.05, dense_labels=False),
}
