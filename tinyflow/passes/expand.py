"""Write composite ops as the elementwise ops and reductions that they are. Layer: passes.

A kernel of its own is the best form of a softmax, unless its neighbours can be fused with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyflow import ops
from tinyflow.ir import Graph, Node, Op, Value, rewrite
from tinyflow.passes.infer import DTYPES, SHAPES
from tinyflow.types import DType, Shape, is_static

__all__ = ["expand"]

_LAST: Mapping[str, Any] = {"reduction_indices": (-1,), "keepdims": True}


@dataclass(frozen=True, slots=True)
class _Site:
    """A node under rewriting: its new inputs, and what is known of its old ones."""

    node: Node
    inputs: tuple[Value, ...]
    shapes: tuple[Shape, ...]
    dtype: DType


def expand(graph: Graph) -> Graph:
    """Expand softmax, its relatives and losses along the last axis of static floating arrays.

    Labels of a sparse loss are compared with 0, 1, ... in each column; ``checked_labels`` refuses
    wrong ones first, as the kernel of the loss does. Types are lost.
    """
    shapes, dtypes = graph.fact(SHAPES), graph.fact(DTYPES)

    def rule(node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...] | None:
        formula, dtype = _FORMULAS.get(node.op), dtypes[Value(node)]
        known = tuple(shapes[value] for value in node.inputs)
        if formula is None or dtype not in (DType.float32, DType.float64):
            return None
        if not all(is_static(shape) for shape in known) or not _last_axis(node, known):
            return None
        return (formula(_Site(node, inputs, known, dtype)),)

    return rewrite(graph, rule)[0]


def _last_axis(node: Node, shapes: tuple[Shape, ...]) -> bool:
    rank = max(len(shape or ()) for shape in shapes)
    return node.attrs.get("axis", -1) in (-1, rank - 1) and rank > 0 and (0,) not in shapes


def _log_softmax(x: Value) -> Value:
    """x - max - log Σ exp(x - max)."""
    shifted = ops.sub(x, ops.reduce_max(x, **_LAST))
    total: Value = ops.reduce_sum(ops.exp(shifted), **_LAST)
    result: Value = ops.sub(shifted, ops.log(total))
    return result


def _softmax(site: _Site) -> Value:
    x = site.inputs[0]
    powers = ops.exp(ops.sub(x, ops.reduce_max(x, **_LAST)))
    result: Value = ops.div(powers, ops.reduce_sum(powers, **_LAST))
    return result


def _softmax_grad(site: _Site) -> Value:
    """y * (dy - Σ dy * y)."""
    dy, y = site.inputs
    result: Value = ops.mul(y, ops.sub(dy, ops.reduce_sum(ops.mul(dy, y), **_LAST)))
    return result


def _log_softmax_grad(site: _Site) -> Value:
    """dy - exp(y) * Σ dy."""
    dy, y = site.inputs
    result: Value = ops.sub(dy, ops.mul(ops.exp(y), ops.reduce_sum(dy, **_LAST)))
    return result


def _dense_loss(site: _Site) -> Value:
    logits, labels = site.inputs
    weighted = ops.mul(labels, _log_softmax(logits))
    result: Value = ops.neg(ops.reduce_sum(weighted, reduction_indices=(-1,), keepdims=False))
    return result


def _mean_dense_loss(site: _Site) -> Value:
    result: Value = ops.reduce_mean(_dense_loss(site), reduction_indices=None, keepdims=False)
    return result


def _one_hot(site: _Site, labels: Value, shape: Shape) -> Value:
    """1 where the column is the label, else 0: (n,) -> (n, c)."""
    assert shape is not None
    rows, classes = shape
    checked = ops.checked_labels(labels, classes=classes)
    columns = ops.constant(np.arange(classes or 0))
    hit = ops.equal(ops.reshape(checked, shape=(rows, 1)), columns)
    result: Value = ops.cast(hit, dtype=site.dtype)
    return result


def _log_p(site: _Site, logits: Value) -> Value:
    return logits if site.node.attrs["normalised"] else _log_softmax(logits)


def _sparse_loss(site: _Site) -> Value:
    logits, labels = site.inputs
    picked = ops.mul(_one_hot(site, labels, site.shapes[0]), _log_p(site, logits))
    rows = ops.reduce_sum(picked, reduction_indices=(-1,), keepdims=False)
    result: Value = ops.reduce_mean(ops.neg(rows), reduction_indices=None, keepdims=False)
    return result


def _sparse_grad(site: _Site) -> Value:
    """(p - one hot) * dy / n."""
    dy, logits, labels = site.inputs
    p = ops.exp(_log_p(site, logits))
    rows = (site.shapes[1] or (1,))[0] or 1
    slope = ops.sub(p, _one_hot(site, labels, site.shapes[1]))
    result: Value = ops.mul(slope, ops.div(dy, float(rows)))
    return result


_FORMULAS: Mapping[Op, Callable[[_Site], Value]] = {
    ops.softmax: _softmax,
    ops.log_softmax: lambda site: _log_softmax(site.inputs[0]),
    ops.softmax_grad: _softmax_grad,
    ops.log_softmax_grad: _log_softmax_grad,
    ops.softmax_cross_entropy_with_logits: _dense_loss,
    ops.mean_softmax_cross_entropy_with_logits: _mean_dense_loss,
    ops.mean_sparse_softmax_cross_entropy_with_logits: _sparse_loss,
    ops.sparse_softmax_cross_entropy_grad: _sparse_grad,
}
