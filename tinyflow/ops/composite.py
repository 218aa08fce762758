"""What composite ops are: elementwise ops and reductions over the last axis. Layer: ops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinyflow.ir import Op, Value
from tinyflow.ops import nn, transformer
from tinyflow.ops.elementwise import add, cast, div, equal, exp, log, mul, neg, sub
from tinyflow.ops.layout import reshape
from tinyflow.ops.reduction import reduce_max, reduce_mean, reduce_sum
from tinyflow.ops.site import Rule, Site
from tinyflow.ops.state import constant
from tinyflow.ops.transformer import rsqrt

__all__ = ["FORMULAS"]

_LAST: Mapping[str, Any] = {"reduction_indices": (-1,), "keepdims": True}


def _log_softmax(x: Value) -> Value:
    """x - max - log Σ exp(x - max)."""
    shifted = sub(x, reduce_max(x, **_LAST))
    total: Value = reduce_sum(exp(shifted), **_LAST)
    result: Value = sub(shifted, log(total))
    return result


def _softmax(site: Site) -> Value:
    x = site.inputs[0]
    powers = exp(sub(x, reduce_max(x, **_LAST)))
    result: Value = div(powers, reduce_sum(powers, **_LAST))
    return result


def _softmax_grad(site: Site) -> Value:
    """y * (dy - Σ dy * y)."""
    dy, y = site.inputs
    result: Value = mul(y, sub(dy, reduce_sum(mul(dy, y), **_LAST)))
    return result


def _log_softmax_grad(site: Site) -> Value:
    """dy - exp(y) * Σ dy."""
    dy, y = site.inputs
    result: Value = sub(dy, mul(exp(y), reduce_sum(dy, **_LAST)))
    return result


def _normal(site: Site, x: Value) -> tuple[Value, Value]:
    """(x - mean) / √(variance + epsilon) along the last axis, and the factor 1 / √."""
    centred = sub(x, reduce_mean(x, **_LAST))
    variance = reduce_mean(mul(centred, centred), **_LAST)
    scale: Value = rsqrt(add(variance, site.node.attrs["epsilon"]))
    return mul(centred, scale), scale


def _layer_norm(site: Site) -> Value:
    x, gamma, beta = site.inputs
    result: Value = add(mul(_normal(site, x)[0], gamma), beta)
    return result


def _layer_norm_grad(site: Site) -> tuple[Value, ...]:
    dy, x, gamma = site.inputs
    normal, scale = _normal(site, x)
    g = mul(dy, gamma)
    inner = mul(normal, reduce_mean(mul(g, normal), **_LAST))
    dx = mul(scale, sub(sub(g, reduce_mean(g, **_LAST)), inner))
    rows = tuple(range(len(site.shape(0)) - 1))
    dgamma, dbeta = (
        reduce_sum(each, reduction_indices=rows, keepdims=False) for each in (mul(dy, normal), dy)
    )
    return dx, dgamma, dbeta


def _dense_loss(site: Site) -> Value:
    logits, labels = site.inputs
    weighted = mul(labels, _log_softmax(logits))
    result: Value = neg(reduce_sum(weighted, reduction_indices=(-1,), keepdims=False))
    return result


def _mean_dense_loss(site: Site) -> Value:
    result: Value = reduce_mean(_dense_loss(site), reduction_indices=None, keepdims=False)
    return result


def _one_hot(site: Site, labels: Value, shape: tuple[int, ...]) -> Value:
    """1 where the column is the label, else 0: (n,) -> (n, c)."""
    rows, classes = shape
    columns = constant(np.arange(classes))
    hit = equal(reshape(labels, shape=(rows, 1)), columns)
    result: Value = cast(hit, dtype=site.dtype())
    return result


def _checked(x: Value, one_hot: Value, labels: Value, shape: tuple[int, ...]) -> Value:
    """x, once every row of ``one_hot`` has its one."""
    rows = reduce_sum(one_hot, reduction_indices=(-1,), keepdims=False)
    hits = reduce_sum(rows, reduction_indices=None, keepdims=False)
    result: Value = nn.checked_labels(x, hits, labels, classes=shape[-1])
    return result


def _log_p(site: Site, logits: Value) -> Value:
    return logits if site.node.attrs["normalised"] else _log_softmax(logits)


def _sparse_loss(site: Site) -> Value:
    logits, labels = site.inputs
    one_hot = _one_hot(site, labels, site.shape(0))
    picked = mul(one_hot, _log_p(site, logits))
    rows = reduce_sum(picked, reduction_indices=(-1,), keepdims=False)
    loss = reduce_mean(neg(rows), reduction_indices=None, keepdims=False)
    return _checked(loss, one_hot, labels, site.shape(0))


def _sparse_grad(site: Site) -> Value:
    """(p - one hot) * dy / n."""
    dy, logits, labels = site.inputs
    p = exp(_log_p(site, logits))
    one_hot = _one_hot(site, labels, site.shape(1))
    slope = mul(sub(p, one_hot), div(dy, float(site.shape(1)[0])))
    return _checked(slope, one_hot, labels, site.shape(1))


FORMULAS: Mapping[Op, Rule] = {
    transformer.layer_norm: _layer_norm,
    transformer.layer_norm_grad: _layer_norm_grad,
    nn.softmax: _softmax,
    nn.log_softmax: lambda site: _log_softmax(site.inputs[0]),
    nn.softmax_grad: _softmax_grad,
    nn.log_softmax_grad: _log_softmax_grad,
    nn.softmax_cross_entropy_with_logits: _dense_loss,
    nn.mean_softmax_cross_entropy_with_logits: _mean_dense_loss,
    nn.mean_sparse_softmax_cross_entropy_with_logits: _sparse_loss,
    nn.sparse_softmax_cross_entropy_grad: _sparse_grad,
}
