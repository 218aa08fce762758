"""Kernels of ``fused``: native code where it fits, else the body node by node. Layer: backends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

import numpy as np

from tinyflow import ops
from tinyflow.backends.native import NativeKernel, compile_nest
from tinyflow.backends.table import Array, Kernel, KernelTable
from tinyflow.codegen.expression import Unsupported
from tinyflow.codegen.scalar import nest
from tinyflow.codegen.space import iteration_space
from tinyflow.ir import Graph, Value
from tinyflow.ops.fused import body_inputs
from tinyflow.passes import DTYPES, SHAPES, infer

__all__ = ["Launcher", "Structure", "fused_kernel", "native", "structure"]

Launcher = Callable[[Graph], Callable[[Sequence[Array]], None] | None]


@dataclass(frozen=True, slots=True)
class Structure:
    """A body, compared by what it computes and not by identity."""

    lines: tuple[object, ...]
    body: Graph = field(compare=False)


@lru_cache(maxsize=1024)
def native(body: Graph) -> NativeKernel | None:
    """One native kernel for ``body``; None if none can be generated or compiled here.

    Bodies that compute the same on arrays of the same shapes share it.
    """
    return _make(structure(body))


def structure(body: Graph) -> Structure:
    """What two bodies that compute the same on arrays of the same shapes have in common."""
    body = _typed(body)
    return Structure(_lines(body), body)


@lru_cache(maxsize=1024)
def _make(structure: Structure) -> NativeKernel | None:
    try:
        space = iteration_space(structure.body)
        return compile_nest(nest(structure.body), space.rows, space.columns)
    except Unsupported:
        return None


def _lines(body: Graph) -> tuple[object, ...]:
    shapes, dtypes = body.fact(SHAPES), body.fact(DTYPES)
    place = {node: index for index, node in enumerate(body.nodes)}
    lines: list[object] = [tuple((place[v.node], v.index) for v in body.outputs)]
    for node in body.nodes:
        attrs = [
            (k, x.tobytes() if isinstance(x, np.ndarray) else x) for k, x in node.attrs.items()
        ]
        read = tuple((place[v.node], v.index) for v in node.inputs)
        types = tuple((shapes[v], dtypes[v]) for v in node.outputs)
        name = node.name if node.op.name == "placeholder" else None
        lines.append((node.op, tuple(attrs), read, types, name))
    return tuple(lines)


def fused_kernel(table: KernelTable, launcher: Launcher | None = None) -> Kernel:
    """The kernel of ``fused`` for a table: ``run(*inputs, out=None, body)``.

    ``out`` is an array, or one per output of a body with several. The generated kernel runs if
    every array has the shape and dtype of the body and is contiguous; else the kernels of ``table``
    do. ``launcher(body)`` is that kernel, called with the inputs and outputs, or None where there
    is none; by default the native one of the CPU.
    """
    launched = launcher or partial(_on_addresses, table)

    def run(*inputs: Array, body: Graph, out: Any = None) -> Any:
        body = _typed(body)
        several = len(body.outputs) > 1
        targets = list(out) if several and out is not None else [out] * len(body.outputs)
        launch = launched(body)
        if launch is None or not _fit(table, body, inputs, targets):
            results = _walk(table, body, inputs)
            for i, target in enumerate(targets):
                if target is not None:
                    target[...] = results[i]
                    results[i] = target
        else:
            results = [_target(table, body, v, t) for v, t in zip(body.outputs, targets)]
            launch([*inputs, *results])
        return tuple(results) if several else results[0]

    if launcher is not None:
        return Kernel(run, writes_out=True)
    return Kernel(run, writes_out=True, native=lambda attrs, *_: native(attrs["body"]))


def _on_addresses(table: KernelTable, body: Graph) -> Callable[[Sequence[Array]], None] | None:
    kernel = native(body)
    if kernel is None:
        return None
    return lambda arrays: kernel.call(*(table.address(array) or 0 for array in arrays))


@lru_cache(maxsize=1024)
def _typed(body: Graph) -> Graph:
    return body if SHAPES in body.facts and DTYPES in body.facts else infer(body)


def _fit(
    table: KernelTable, body: Graph, inputs: Sequence[Array], targets: Sequence[Array | None]
) -> bool:
    """True if all arrays are as the native kernel takes them for granted."""
    shapes, dtypes = body.fact(SHAPES), body.fact(DTYPES)
    return all(
        x is None
        or (
            (hasattr(x, "shape") and tuple(x.shape) == shapes[v])
            and table.dtype_of(x) is dtypes[v]
            and table.address(x) is not None
        )
        for v, x in zip((*body_inputs(body), *body.outputs), (*inputs, *targets))
    )


def _target(table: KernelTable, body: Graph, value: Value, out: Array | None) -> Array:
    if out is not None:
        return out
    shape, dtype = body.fact(SHAPES)[value], body.fact(DTYPES)[value]
    return table.empty(shape, dtype)  # type: ignore[arg-type]  # static, or there were no kernel


def _walk(table: KernelTable, body: Graph, inputs: Sequence[Array]) -> list[Array]:
    """The outputs, computed node by node."""
    found: dict[Value, Array] = dict(zip(body_inputs(body), inputs))
    for node in body.nodes:
        if node.op.name == "constant":
            dtype = body.fact(DTYPES)[Value(node)]
            assert dtype is not None  # infer leaves no constant without
            found[Value(node)] = table.from_numpy(node.attrs["value"], dtype)
        elif node.op.name != "placeholder":
            arrays = [found[value] for value in node.inputs]
            found[Value(node)] = table[node.op].run(*arrays, **node.attrs)
    copy = table[ops.identity].run
    return [copy(found[value]) for value in body.outputs]
