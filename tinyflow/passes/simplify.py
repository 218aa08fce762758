"""Compute less: fold constants and normalisation, drop idle ops, share results. Layer: passes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np

from tinyflow import ops
from tinyflow.ir import Graph, Node, Value, rewrite, users
from tinyflow.ir.op import attrs_key
from tinyflow.ops.algebra import ABSORBED, FILLS, IDLE, number, repeated, shorter
from tinyflow.ops.site import Site, write_out
from tinyflow.passes.infer import DTYPES, SHAPES, carry_types, infer, remember_types
from tinyflow.types import DType, Shape, is_static

__all__ = ["Rule", "absorb", "drop_idle", "fold_constants", "merge_equal", "simplify", "sweep"]

Kind = tuple[Shape, DType | None]
Rule = Callable[[Node, Mapping[Value, Kind]], tuple[Value, ...] | None]

_FUNCTIONS = ("exp", "log", "sqrt", "tanh", "abs", "maximum", "minimum")
_NUMPY: dict[str, Any] = {"__builtins__": {}, **{name: getattr(np, name) for name in _FUNCTIONS}}


def simplify(graph: Graph) -> Graph:
    """An equal graph that computes less; types are carried along.

    Only rules that keep every result bit for bit, or up to one rounding of a constant: no
    reassociation, no ``x * 0 = 0`` (nan), nothing that changes what is written or drawn. The one
    exception is ``absorb``: images that are normalised in a convolution differ by some roundings.
    """
    return absorb(sweep(graph, fold_constants, drop_idle, merge_equal()))


def absorb(graph: Graph) -> Graph:
    """Let convolutions do the work of the inference batch normalisation that alone reads them.

    Equal up to rounding where everything is finite and variance + epsilon is above 0; nan for nan.
    A graph that writes, or in which nodes wait for others, stays as it is: there the filters may
    have to be read before a write that gamma has to be read after. The rule: ``ops/algebra.py``.
    """
    ordered = any(node.op.mutates or node.after for node in graph.nodes)
    if ordered or not any(node.op in ABSORBED for node in graph.nodes):
        return graph
    shared = {value for value, uses in users(graph).items() if len(uses) > 1} | {*graph.outputs}

    def rule(node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...] | None:
        site = Site(node, inputs, graph.fact(SHAPES), graph.fact(DTYPES))
        return write_out(ABSORBED, site) if shared.isdisjoint(node.inputs[:1]) else None

    return infer(remember_types(graph, *rewrite(graph, rule)))


def sweep(graph: Graph, *rules: Rule) -> Graph:
    """Visit all nodes once, inputs first, and let each rule improve on what the last one made.

    A rule gets a node on its new inputs, and the shape and dtype of every value made so far and of
    the node's own. It returns values of the same kinds that can stand for the node's, or None.
    """
    shapes, dtypes = graph.fact(SHAPES), graph.fact(DTYPES)
    kinds: dict[Value, Kind] = {}

    def improved(old: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...]:
        made = old.with_inputs(inputs).outputs
        kind = [(shapes[value], dtypes[value]) for value in old.outputs]
        kinds.update(zip(made, kind))
        for rule in rules:
            if (found := rule(made[0].node, kinds)) and found is not made:
                made = found
                kinds.update(zip(made, kind))
                if made != made[0].node.outputs:  # one result of an earlier node
                    break
        return made

    return carry_types(graph, *rewrite(graph, improved))


def fold_constants(node: Node, kinds: Mapping[Value, Kind]) -> tuple[Value, ...] | None:
    """Compute an elementwise op on plain numbers now: ``1 - 0.9`` becomes a constant."""
    fill = FILLS.get(node.op)
    if (fill is None and not node.op.expr) or node.after or _waits(node):
        return None
    dtype = kinds[node.outputs[0]][1]
    numbers = [number(value) for value in node.inputs]
    if dtype is None or dtype is DType.bfloat16 or None in numbers or node.attrs.get("shape"):
        return None
    try:
        with np.errstate(all="ignore"):
            names = dict(zip(node.op.inputs, numbers))
            made = fill if fill is not None else eval(node.op.expr or "", _NUMPY, names)
    except (NameError, TypeError):  # a function that numpy lacks: the kernel computes it
        return None
    return (ops.constant(np.asarray(made, dtype.numpy)[()], dtype=dtype),)


def drop_idle(node: Node, kinds: Mapping[Value, Kind]) -> tuple[Value, ...] | None:
    """Drop ``x + 0``, ``x * 1``, ``-(-x)``, moves that undo each other or move nothing.

    A transpose in front of a matmul becomes its ``transpose_a`` or ``transpose_b``.
    """
    if node.op not in IDLE or _waits(node):
        return None
    same, kind = repeated(node), kinds[node.outputs[0]]
    if same is not None and is_static(kind[0]) and kinds.get(same) == kind:
        if not ops.shows_variable(same):  # which may be written before this is read
            return (same,)
    return shorter(node)


def _waits(node: Node) -> bool:
    """True if what makes an input waits for other nodes, which must not be forgotten."""
    return any(value.node.after for value in node.inputs)


def merge_equal() -> Rule:
    """Common subexpressions: the same op on the same inputs with the same attributes runs once.

    Two random nodes with one seed draw the same numbers, so they merge too. What writes never
    merges, and reads of different versions of a variable are different inputs. The rule remembers
    what it saw: it is good for one sweep.
    """
    first: dict[Hashable, tuple[Value, ...]] = {}

    def rule(node: Node, kinds: Mapping[Value, Kind]) -> tuple[Value, ...] | None:
        keep = node.op.mutates or node.after or (node.op.leaf and node.op.name != "constant")
        if keep or node.op is ops.group:
            return None
        versions = tuple([value.version for value in node.inputs])
        key = node.op, node.inputs, versions, attrs_key(node.attrs)
        return first.setdefault(key, node.outputs)

    return rule
