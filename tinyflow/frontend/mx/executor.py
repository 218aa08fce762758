"""Executor: arrays of a symbol, forward and backward. Layer: frontend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinyflow import ops
from tinyflow.errors import FeedError, GradientError, RunError
from tinyflow.frontend.mx.layers import SoftmaxOutput
from tinyflow.frontend.mx.lower import Lowered, auxiliaries, lower, output_names
from tinyflow.ir import Graph, Value
from tinyflow.passes import gradient
from tinyflow.runtime.session import Session
from tinyflow.types import DType, Shape, show_shape

__all__ = ["Executor", "NDArray"]


class NDArray(np.ndarray[Any, Any]):
    """A numpy array that also answers as MXNet's do."""

    def asnumpy(self) -> np.ndarray[Any, Any]:
        """A copy as a numpy array."""
        return np.array(self)


class Executor:
    """A symbol bound to arrays; made by ``Symbol.simple_bind``.

    Attributes:
        arg_dict, grad_dict, aux_dict: arrays by name, to be written to: ``arg_dict["w"][:] = 0``.
        outputs: results of the last ``forward``.
    """

    def __init__(
        self,
        symbol: Graph,
        config: str,
        types: Mapping[str, tuple[Shape, DType]],
        heads: Sequence[DType],
        requests: Mapping[str, str],
    ) -> None:
        states = {node.name for node in auxiliaries(symbol)}
        dtypes = {name: dtype for name, (_, dtype) in types.items()}
        self._modes = {training: lower(symbol, training, dtypes) for training in (False, True)}
        self._session, self._requests = Session(config), requests
        self.arg_dict = _zeros(types, [name for name in types if name not in states])
        self.aux_dict = _zeros(types, [name for name in types if name in states])
        self.grad_dict = _zeros(types, [n for n in requests if requests[n] != "null"])
        self.outputs: list[NDArray] = []
        self._names = output_names(symbol)
        self._heads = [
            None if value.node.op is SoftmaxOutput else ops.placeholder(dtype=dtype, name="dy")
            for value, dtype in zip(symbol.outputs, heads)
        ]
        self._slopes = self._differentiated(self._modes[True])
        self._found: list[Any] | None = None  # gradients that the last forward computed
        self._trained = False

    @property
    def output_dict(self) -> dict[str, NDArray]:
        """Results of the last ``forward`` by name."""
        return dict(zip(self._names, self.outputs))

    def _differentiated(self, made: Lowered) -> list[Value]:
        """Gradients of the arguments in ``grad_dict``.

        Each x counts as an output with gradient -0.0, which changes no sum: so an x that nothing
        depends on, such as a label, has that one.
        """
        xs = [made.leaves[name] for name in self.grad_dict]
        dys = [ops.ones_like(y) if dy is None else dy for y, dy in zip(made.outputs, self._heads)]
        dys += [ops.constant(-0.0)] * len(xs)
        return list(gradient(Graph((*made.outputs, *xs)), xs, dys).outputs)

    def forward(self, is_train: bool = False, **data: Any) -> list[NDArray]:
        """Copy ``data`` into the arguments of these names, compute, and return the outputs.

        In training, dropout and batch normalisation work as in training, moving states move, and
        losses have their gradients ready. Raises FeedError for data that do not fit.
        """
        for name, given in data.items():
            array, have = np.asarray(given), self.arg_dict.get(name)
            if have is None or have.shape != array.shape:
                got = f"{name} {show_shape(array.shape)}"
                expected = ", ".join(f"{n} {show_shape(a.shape)}" for n, a in self.arg_dict.items())
                raise FeedError("data do not fit", got=got, expected=expected)
            have[...] = array
        made = self._modes[is_train]
        states = made.states if is_train else {}
        ready = self._slopes if is_train and {*self._heads} == {None} else []
        results = self._run(made, [*made.outputs, *states.values(), *ready])
        self.outputs = [np.asarray(results.pop(0)).view(NDArray) for _ in made.outputs]
        for name in states:
            self.aux_dict[name][...] = results.pop(0)
        self._found, self._trained = results if ready else None, is_train
        return self.outputs

    def backward(self, out_grads: Any = None) -> None:
        """Write or add the gradients of the last ``forward(is_train=True)`` into ``grad_dict``.

        ``out_grads``: those of the outputs, an array or a list; SoftmaxOutput needs none. Raises
        RunError if there was no such forward, GradientError if one is missing.
        """
        if not self._trained:
            raise RunError("nothing to go back through", fix="Call forward(is_train=True) first.")
        grads = out_grads if isinstance(out_grads, list | tuple) else [out_grads]
        pairs = list(zip(self._heads, [*grads, *[None] * len(self._heads)]))
        if any(head is not None and grad is None for head, grad in pairs):
            expected = f"one for each of {', '.join(self._names)}"
            raise GradientError("gradients of outputs are missing", expected=expected)
        if self._found is None and self._slopes:
            self._session.run_count -= 1  # the same run again: dropout drops the same
            given = {head: np.asarray(grad) for head, grad in pairs if head is not None}
            self._found = self._run(self._modes[True], self._slopes, given)
        for (name, slope), dx in zip(self.grad_dict.items(), self._found or ()):
            before = slope if self._requests[name] == "add" else 0.0
            found = dx if dx.shape == slope.shape else 0.0  # nothing depends on it
            slope[...] = before + found

    def _run(
        self, made: Lowered, fetches: Sequence[Value], more: Mapping[Value, Any] | None = None
    ) -> list[Any]:
        arrays = {**self.arg_dict, **self.aux_dict}
        feeds = {leaf: arrays[name].view(np.ndarray) for name, leaf in made.leaves.items()}
        feeds.update(more or {})
        return self._session.run_values(fetches, list(feeds), list(feeds.values()))


def _zeros(types: Mapping[str, Any], names: Sequence[str]) -> dict[str, NDArray]:
    made = {name: np.zeros(types[name][0], types[name][1].numpy) for name in names}
    return {name: array.view(NDArray) for name, array in made.items()}
