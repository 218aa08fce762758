"""The plain road: walk a graph, call kernels, keep every array. Layer: runtime.

The oracle of every pass, and what runs a release in which later stages are still to be written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np

from tinyflow import ops
from tinyflow.backends.numpy_ import NUMPY
from tinyflow.backends.table import KernelTable
from tinyflow.errors import FeedError, RunError, TinyflowError
from tinyflow.ir import Graph, Node, Value, topological_order
from tinyflow.ops.rules import kernel_dtypes
from tinyflow.runtime.failure import failure
from tinyflow.types import default_dtype

__all__ = ["Watch", "interpret"]

Array = Any  # what the kernel table computes with: numpy arrays or torch tensors
Watch = Callable[[Node, Sequence[Array], Sequence[Array]], None]  # node, its inputs, its outputs


def interpret(
    graph: Graph,
    feeds: Mapping[Value, Array] | None = None,
    variables: MutableMapping[str, Array] | None = None,
    kernels: KernelTable = NUMPY,
    key: tuple[int, int] = (0, 0),
    watch: Watch | None = None,
) -> list[Array]:
    """Compute the outputs of ``graph``; None for a ``group``.

    Args:
        feeds: arrays for placeholders, or for any inner value (which is then not computed).
        variables: contents by variable name. Reads follow versions: W@k is the array made by the
            k-th write in this graph, else the content at the start. Writes are committed to this
            mapping at the end, all or none; a fetched bare variable is read after all writes.
        kernels: the backend, NUMPY unless told; arrays are its arrays.
        key: (session seed, run count) for random ops.
        watch: called after each node that a kernel computed.

    Raises:
        FeedError: a placeholder is not fed. RunError: a variable has no content, a kernel fails.
    """
    state = variables if variables is not None else {}
    machine = _Machine(graph, dict(feeds or {}), state, kernels, key, watch)
    for node in machine.order():
        machine.run(node)
    results = [machine.fetch(value) for value in graph.outputs]
    state.update(machine.written())
    return results


class _Machine:
    """Arrays by value, and the writes that wait for the end of the run."""

    def __init__(
        self,
        graph: Graph,
        feeds: dict[Value, Array],
        state: Mapping[str, Array],
        kernels: KernelTable,
        key: tuple[int, int],
        watch: Watch | None,
    ) -> None:
        self.graph, self.state, self.kernels, self.key = graph, state, kernels, key
        self.watch = watch
        self.fed = feeds
        self.arrays: dict[Value, Array] = dict(feeds)
        self.writes: dict[Node, dict[int, Node]] = {}  # variable -> write number -> assign
        for node in self._reachable():
            if node.op.mutates:
                target = node.inputs[0]
                self.writes.setdefault(target.node, {})[target.version + 1] = node

    def order(self) -> tuple[Node, ...]:
        """Data, control, and each read after the write that it follows; fed values cut the walk."""
        return self._reachable()

    def _reachable(self) -> tuple[Node, ...]:
        return topological_order((value.node for value in self.graph.outputs), self._needs)

    def _needs(self, node: Node) -> list[Node]:
        if self.fed and all(value in self.fed for value in node.outputs):
            return []
        stores = [store for value in node.inputs if (store := self._write_before(value))]
        return (
            [v.node for v in node.inputs] + list(node.after) + [s for s in stores if s is not node]
        )

    def _write_before(self, value: Value) -> Node | None:
        numbers = [n for n in self.writes.get(value.node, {}) if n <= value.version]
        return self.writes[value.node][max(numbers)] if numbers else None

    def run(self, node: Node) -> None:
        """Compute the outputs of one node, unless all of them are fed."""
        if all(value in self.arrays for value in node.outputs):
            return
        if node.op.name in ("variable", "group"):
            return
        if node.op.name == "placeholder":
            raise FeedError("placeholder is not fed", node=node, fix="Give it in feed_dict.")
        if node.op.name == "constant":
            self.arrays[Value(node)] = _number(self.kernels, node)
            return
        inputs = [self.read(value, node) for value in node.inputs]
        extra = {"key": self.key} if node.op.random else {}
        try:
            inputs = self._cast(node, inputs)
            result = self.kernels[node.op].run(*inputs, **node.attrs, **extra)
        except TinyflowError as error:
            raise error.at(node) from None
        except (ValueError, TypeError, RuntimeError, IndexError, MemoryError) as error:
            raise failure(error, node) from error
        results = result if len(node.outputs) > 1 else (result,)
        if self.watch is not None:
            self.watch(node, inputs, results)
        weak = bool(inputs) and all(isinstance(x, bool | int | float) for x in inputs)
        for value, array in zip(node.outputs, results, strict=True):
            self.arrays.setdefault(value, array.item() if weak and not array.shape else array)

    def _cast(self, node: Node, inputs: list[Array]) -> list[Array]:
        """Inputs in the dtypes that the kernel needs. Python numbers stay weak, as constants."""
        have = [self.kernels.dtype_of(x) if hasattr(x, "dtype") else None for x in inputs]
        need = kernel_dtypes(node.op, node.attrs, have, [None] * len(node.outputs))
        cast = self.kernels[ops.cast].run
        return [
            x if old is None or new is None or old is new else cast(x, dtype=new)
            for x, old, new in zip(inputs, have, need)
        ]

    def read(self, value: Value, reader: Node) -> Array:
        """The array of a value; a variable at its version."""
        if value in self.arrays:
            return self.arrays[value]
        store = self._write_before(value)
        if store is not None and reader is not store:
            return self.arrays[Value(store)]
        name = value.node.name or ""
        if name in self.state:
            return self.state[name]
        if reader.op.mutates and reader.inputs[0] is value:
            return None  # assign looks at the new content only
        raise RunError(
            f"variable '{name}' is not initialised",
            node=reader,
            fix="Run tf.initialize_all_variables() or assign it first.",
        )

    def fetch(self, value: Value) -> Array:
        """The array of an output."""
        if value.node.op.name == "group":
            return None
        if value.node.op.name == "variable":
            last = max(self.writes.get(value.node, {0: None}))
            value = Value(value.node, 0, last)
        array = self.read(value, value.node)
        if isinstance(array, bool | int | float):
            number = np.asarray(array)
            return self.kernels.from_numpy(number, default_dtype(number))
        return array

    def written(self) -> dict[str, Array]:
        """Last content of each written variable, by name."""
        return {
            variable.name or "": self.arrays[Value(stores[max(stores)])]
            for variable, stores in self.writes.items()
        }


def _number(kernels: KernelTable, node: Node) -> Array:
    """A constant as an array of the backend; a weak Python number as that number."""
    value, dtype = node.attrs["value"], node.attrs["dtype"]
    return value.item() if dtype is None else kernels.from_numpy(value, dtype)
