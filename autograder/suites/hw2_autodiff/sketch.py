"""A straight-line computation in two forms: graph and oracle. Part of the suite."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autograder.judge.oracle import Array, Forward
from tinyflow import ops
from tinyflow.ir import Graph, Node, Value

__all__ = ["Drawing", "Sketch", "random_sketch"]

_FORWARD: Mapping[str, Callable[..., Any]] = {
    "add": lambda xp, a, b: a + b,
    "sub": lambda xp, a, b: a - b,
    "mul": lambda xp, a, b: a * b,
    "neg": lambda xp, a: -a,
    "tanh": lambda xp, a: xp.tanh(a),
    "exp": lambda xp, a: xp.exp(a),
    "div": lambda xp, a, b: a / b,
}
MAX_DEGREE = 4
_SAFE = ("add", "sub", "mul", "neg", "tanh")  # stay of moderate size however they are combined


@dataclass(frozen=True, slots=True)
class Drawing:
    """A sketch as a graph: all its values, inputs first, and what to feed."""

    values: tuple[Value, ...]
    inputs: int
    feeds: dict[Value, Array]

    @property
    def xs(self) -> list[Value]:
        """The input placeholders."""
        return list(self.values[: self.inputs])

    def graph(self, *outputs: int) -> Graph:
        """The graph of the values at ``outputs`` (the last value if none is named)."""
        return Graph(tuple(self.values[index] for index in outputs or (-1,)))

    def nodes(self, *steps: int) -> list[Node]:
        """Nodes of the values at ``steps``; all steps if none is named."""
        chosen = steps or range(self.inputs, len(self.values))
        return [self.values[index].node for index in chosen]


@dataclass(frozen=True, slots=True)
class Sketch:
    """``steps`` such as ("mul", 0, 2): op and indices of its operands, counted inputs first.

    All values have one shape, so that any step may follow any other.
    """

    inputs: int
    steps: tuple[tuple[Any, ...], ...]

    def draw(self, arrays: Sequence[Array]) -> Drawing:
        """Build the nodes; ``arrays`` (float64) are the contents of the inputs."""
        leaves = [Value(ops.placeholder(dtype="float64").node) for _ in range(self.inputs)]
        values = list(leaves)
        for name, *operands in self.steps:
            values.append(ops.OPS[name](*(values[index] for index in operands)))
        return Drawing(tuple(values), self.inputs, dict(zip(leaves, arrays)))

    def forward(self, *outputs: int) -> Forward:
        """For the oracles: the values at ``outputs`` (the last if none is named), stacked."""

        def run(xp: Any, *arrays: Any) -> Any:
            values = list(arrays)
            for name, *operands in self.steps:
                values.append(_FORWARD[name](xp, *(values[index] for index in operands)))
            return xp.stack([values[index] for index in outputs or (-1,)])

        return run


def random_sketch(rng: np.random.Generator, inputs: int, steps: int) -> Sketch:
    """Random steps in which every input and every step reaches the last one.

    No value is a polynomial of high degree, so that the oracles stay accurate.
    """
    unread, degrees = list(range(inputs)), [1] * inputs
    taken: list[tuple[Any, ...]] = []
    while len(taken) < steps or len(unread) > 1:
        late = len(taken) >= steps
        name = "add" if late else str(rng.choice(_SAFE))
        first = unread.pop(int(rng.integers(len(unread))))
        if name in ("neg", "tanh"):
            taken.append((name, first))
            degrees.append(1 if name == "tanh" else degrees[first])
        else:
            second = unread.pop() if late else int(rng.integers(len(degrees)))
            unread = [index for index in unread if index != second]
            if name == "mul" and degrees[first] + degrees[second] > MAX_DEGREE:
                name = "sub"
            pair = (first, second) if rng.random() < 0.5 else (second, first)
            taken.append((name, *pair))
            combine = sum if name == "mul" else max
            degrees.append(combine([degrees[first], degrees[second]]))
        unread.append(len(degrees) - 1)
    return Sketch(inputs, tuple(taken))
