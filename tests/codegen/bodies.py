"""Bodies of fused groups, and how to run them: what the tests of code generation draw from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tinyflow import ops
from tinyflow.backends.native import NativeKernel, c_kernel, llvm_kernel
from tinyflow.backends.numpy_ import NUMPY
from tinyflow.codegen.scalar import nest
from tinyflow.codegen.space import iteration_space
from tinyflow.ir import Graph, Value
from tinyflow.ops.fused import body_inputs
from tinyflow.passes import DTYPES, SHAPES, infer, specialise

Rung = Callable[[Graph, Sequence[np.ndarray]], list[np.ndarray]]


def placeholder(number: int, shape: Sequence[int], dtype: str = "float32") -> Value:
    """The input ``x<number>`` of a body."""
    return ops.placeholder(dtype=dtype, shape=tuple(shape), name=f"x{number}")


def typed(*outputs: Value) -> Graph:
    """A body with facts and concrete ops."""
    return infer(specialise(infer(Graph(outputs))))


def softmax(n: int, m: int, dtype: str = "float32") -> Graph:
    """Softmax of each row."""
    x = placeholder(0, (n, m), dtype)
    e = ops.exp(ops.sub(x, ops.reduce_max(x, reduction_indices=(-1,), keepdims=True)))
    return typed(ops.div(e, ops.reduce_sum(e, reduction_indices=(-1,), keepdims=True)))


def gelu(n: int, dtype: str = "float32") -> Graph:
    """0.5 x (1 + tanh(0.8 (x + 0.04 x³))): elementwise."""
    x = placeholder(0, (n,), dtype)
    inner = ops.mul(0.8, ops.add(x, ops.mul(ops.mul(ops.mul(x, x), x), 0.04)))
    return typed(ops.mul(ops.mul(0.5, x), ops.add(1.0, ops.tanh(inner))))


def adam(n: int) -> Graph:
    """One step of Adam on n numbers: the new moments and the new parameter."""
    p, m, v, g = (placeholder(number, (n,)) for number in range(4))
    first = ops.add(ops.mul(m, 0.9), ops.mul(g, 0.1))
    second = ops.add(ops.mul(v, 0.999), ops.mul(ops.mul(g, g), 0.001))
    step = ops.div(ops.mul(first, 0.001), ops.add(ops.sqrt(second), 1e-8))
    return typed(first, second, ops.sub(p, step))


def kernel(body: Graph, rung: Callable[..., NativeKernel | None] = llvm_kernel) -> NativeKernel:
    """The native kernel of a body that has one."""
    space = iteration_space(body)
    made = rung(nest(body), space.rows, space.columns)
    assert made is not None
    return made


def read(body: Graph, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The arrays that a body reads: a random one may leave some out."""
    return [arrays[int(value.node.name[1:])] for value in body_inputs(body)]


def native(rung: Callable[..., NativeKernel | None]) -> Rung:
    """Run bodies by machine code of one kind."""

    def run(body: Graph, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        results = [NUMPY.empty(body.fact(SHAPES)[v], body.fact(DTYPES)[v]) for v in body.outputs]
        for array in results:
            array[...] = 7
        used = read(body, arrays)
        kernel(body, rung).call(*(array.ctypes.data for array in (*used, *results)))
        return results

    return run


def unfused(body: Graph, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Run a body node by node."""
    found: dict[Value, Any] = dict(zip(body_inputs(body), read(body, arrays)))
    for node in body.nodes:
        if node.op.name == "constant":
            dtype = body.fact(DTYPES)[Value(node)]
            found[Value(node)] = NUMPY.from_numpy(node.attrs["value"], dtype)
        elif node.op.name != "placeholder":
            given = [found[value] for value in node.inputs]
            found[Value(node)] = NUMPY[node.op].run(*given, **node.attrs)
    return [np.asarray(found[value]) for value in body.outputs]


RUNGS: dict[str, Rung] = {
    "llvm": native(llvm_kernel),
    "c": native(c_kernel),
    "unfused": unfused,
}


@dataclass(frozen=True)
class Recipe:
    """A body to be built in any dtype: shapes of the inputs, then (op, operands) in order."""

    space: tuple[int, ...]
    inputs: tuple[tuple[int, ...], ...]
    steps: tuple[tuple[str, tuple[int, ...]], ...]
    outputs: tuple[int, ...]

    def body(self, dtype: str) -> Graph:
        """The body, all of it in this dtype."""
        values = [placeholder(i, shape, dtype) for i, shape in enumerate(self.inputs)]
        for name, operands in self.steps:
            values.append(_STEPS[name](*(values[i] for i in operands)))
        return typed(*(values[i] for i in self.outputs))


def _last(op: Any, keepdims: bool) -> Callable[[Value], Value]:
    def build(x: Value) -> Value:
        return op(x, reduction_indices=(-1,), keepdims=keepdims)

    return build


_STEPS: dict[str, Callable[..., Value]] = {
    "add": ops.add,
    "sub": ops.sub,
    "mul": ops.mul,
    "div": lambda x, y: ops.div(x, ops.add(ops.mul(y, y), 1.0)),
    "tanh": ops.tanh,
    "exp": lambda x: ops.exp(ops.tanh(x)),
    "log": lambda x: ops.log(ops.add(ops.mul(x, x), 0.5)),
    "sigmoid": ops.sigmoid,
    "sqrt": lambda x: ops.sqrt(ops.add(ops.mul(x, x), 0.1)),
    "pow": lambda x: ops.pow(ops.add(ops.mul(x, x), 0.5), 1.7),
    "relu": ops.relu,
    "neg": ops.neg,
    "half": lambda x: ops.mul(x, 0.5),
    "sum": _last(ops.reduce_sum, True),
    "mean": _last(ops.reduce_mean, True),
    "max": _last(ops.reduce_max, True),
    "row": _last(ops.reduce_sum, False),
    "columns": lambda x: ops.reduce_sum(x, reduction_indices=tuple(range(x_rank(x) - 1))),
    "total": lambda x: ops.reduce_sum(x),
    "average": lambda x: ops.reduce_mean(x),
}
_UNARY = ("tanh", "exp", "log", "sigmoid", "sqrt", "pow", "relu", "neg", "half")
_BINARY = ("add", "sub", "mul", "div")


def x_rank(x: Value) -> int:
    """Rank of an elementwise value, by its widest input."""
    ranks, stack = [0], [x]
    while stack:
        node = stack.pop().node
        if node.op.name == "placeholder":
            ranks.append(len(node.attrs["shape"]))
        stack += node.inputs
    return max(ranks)


@st.composite
def recipes(draw: Any) -> Recipe:
    """Random graphs over a space of rank 1 to 3: elementwise steps, reductions along rows, and
    outputs of every level."""
    space = tuple(draw(st.lists(st.sampled_from([1, 2, 3, 5, 17, 40]), min_size=1, max_size=3)))
    row, column = (*space[:-1], 1), (1,) * (len(space) - 1) + space[-1:]
    shapes = [space, row, column, space[-1:], ()]
    inputs = [space, *draw(st.lists(st.sampled_from(shapes), max_size=3))]
    full = [i == 0 or shape == space for i, shape in enumerate(inputs)]
    steps: list[tuple[str, tuple[int, ...]]] = []
    for _ in range(draw(st.integers(1, 12))):
        known = len(full)
        kind = draw(st.sampled_from(["unary", "unary", "binary", "binary", "binary", "fold"]))
        if kind == "fold":
            at = draw(st.sampled_from([i for i in range(known) if full[i]]))
            steps.append((draw(st.sampled_from(["sum", "mean", "max"])), (at,)))
            full.append(False)
        elif kind == "unary":
            at = draw(st.integers(0, known - 1))
            steps.append((draw(st.sampled_from(_UNARY)), (at,)))
            full.append(full[at])
        else:
            a = draw(st.sampled_from([i for i in range(known) if full[i]]))
            b = draw(st.integers(0, known - 1))
            steps.append((draw(st.sampled_from(_BINARY)), draw(st.permutations((a, b)))))
            full.append(True)
    ends = ["row", "columns", "total", "average"] if len(space) > 1 else ["row", "average"]
    for name in draw(st.lists(st.sampled_from(ends), max_size=2)):
        at = draw(
            st.sampled_from(
                [i for i in range(len(inputs) + len(steps)) if i < len(full) and full[i]]
            )
        )
        steps.append((name, (at,)))
    made = len(inputs) + len(steps)
    last = draw(st.sampled_from([i for i in range(len(full)) if full[i]]))
    outputs = {last, *range(len(full), made)}
    if draw(st.booleans()):
        outputs.add(draw(st.integers(len(inputs), made - 1)))
    return Recipe(space, tuple(inputs), tuple(steps), tuple(sorted(outputs)))
