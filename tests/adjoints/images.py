"""Cases of the ops on images."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from tinyflow import ops
from tinyflow.ir import Graph, Value
from tinyflow.passes import SHAPES, infer

from .case import Case, normal, positive

WINDOWS = {
    "plain": {},
    "strided, padded": {"strides": (2, 1), "padding": (1, 1, 1, 1)},
    "padded unevenly": {"strides": (1, 2), "padding": (0, 2, 1, 0)},
    "same": {"strides": (2, 3), "padding": None},
}
SPREAD = {
    "in groups": {"groups": 2, "strides": (2, 1), "padding": (1, 1, 1, 1)},
    "dilated": {"dilations": (2, 3), "padding": (2, 1, 2, 2)},
    "dilated in groups, same": {"dilations": (1, 2), "groups": 2, "padding": None},
}


def convolutions() -> list[Case]:
    """Convolution and its gradients: strides, padding, groups, dilation."""
    cases = []
    for how, window in {**WINDOWS, **SPREAD}.items():
        groups: int = window.get("groups", 1)
        x, weight, bias = normal(2, 2, 4, 3), normal(4, 2 // groups, 3, 2), normal(4)
        y = ops.conv2d(ops.constant(x), ops.constant(weight), **window)
        dy = normal(*infer(Graph((y,))).fact(SHAPES)[y])
        conv = partial(ops.conv2d, **window)
        cases += [
            Case(f"conv2d {how}", conv, (x, weight, bias)),
            Case(f"conv2d without bias {how}", conv, (x, weight)),
            Case(
                f"conv2d_input_grad {how}",
                partial(ops.conv2d_input_grad, **window),
                (dy, weight),
                (x,),
            ),
            Case(
                f"conv2d_weight_grad {how}",
                partial(ops.conv2d_weight_grad, **window),
                (dy, x),
                (weight,),
            ),
            Case(
                f"gradient of the bias {how}",
                lambda *a, w=window: ops.conv2d_weight_grad(*a, bias=True, **w)[1],
                (dy,),
                (x, weight),
            ),
        ]
    return cases


def images() -> list[Case]:
    """Pools, strips of zeros, flattening."""
    cases = []
    for how, window in WINDOWS.items():
        x, pooled = normal(2, 2, 4, 3), {"ksize": (3, 2), **window}
        y = ops.avg_pool2d(ops.constant(x), **pooled)
        dy = normal(*infer(Graph((y,))).fact(SHAPES)[y])
        cases += [
            Case(f"max_pool2d {how}", lambda x, p=pooled: ops.max_pool2d(x, **p)[0], (x,)),
            Case(f"max_pool2d_take {how}", partial(_taken, pooled), (x,), (normal(*x.shape),)),
            Case(f"max_pool2d_grad {how}", partial(_put_back, pooled), (dy[:, :2],), (x,)),
            Case(f"avg_pool2d {how}", partial(ops.avg_pool2d, **pooled), (x,)),
            Case(
                f"avg_pool2d of what is there {how}",
                partial(ops.avg_pool2d, count_padding=False, **pooled),
                (x,),
            ),
            Case(
                f"avg_pool2d_grad {how}",
                partial(ops.avg_pool2d_grad, **pooled),
                (dy[:, :2],),
                (x,),
            ),
        ]
    for amount in (2, -1, 0):
        strip = {"dim": -2, "pad": amount}
        cases += [
            Case(f"pad {amount}", partial(ops.pad, **strip), (normal(2, 3, 2),)),
            Case(f"crop {amount}", partial(ops.crop, **strip), (normal(2, 3, 2),)),
        ]
    return [*cases, Case("flatten_layer", ops.flatten_layer, (normal(2, 3, 2),))]


def _taken(window: dict[str, Any], x: Value, other: Value) -> Value:
    index = ops.max_pool2d(other, **window)[1]
    return ops.max_pool2d_take(x, index, **window)


def _put_back(window: dict[str, Any], dy: Value, x: Value) -> Value:
    index = ops.max_pool2d(x, **window)[1]
    return ops.max_pool2d_grad(dy, index, x, **window)


def normalisation() -> list[Case]:
    """Normalisation by the statistics of the batch, or by given ones."""
    x, dy = normal(2, 3, 2, 2), normal(2, 3, 2, 2)
    gamma, beta, mean, variance = normal(3), normal(3), normal(3), positive(3)
    moving = (mean, variance)

    def moved(x: Any, gamma: Any, beta: Any, mean: Any, variance: Any) -> torch.Tensor:
        return (x - mean) / torch.sqrt(variance + 0.1) * gamma + beta

    def graded(which: int) -> Callable[..., Value]:
        return lambda *a: ops.batch_norm_grad(*a, epsilon=0.1)[which]

    def formula(which: int, dy: Any, x: Any, gamma: Any, mean: Any, variance: Any) -> torch.Tensor:
        s = (variance.view(3, 1, 1) + 0.1) ** -0.5
        z = (x - mean.view(3, 1, 1)) * s
        dgamma, dbeta = (dy * z).sum((0, 2, 3)), dy.sum((0, 2, 3))
        m1, m2 = ((d / 8).view(3, 1, 1) for d in (dbeta, dgamma))
        return (gamma.view(3, 1, 1) * s * (dy - m1 - z * m2), dgamma, dbeta)[which]

    def batch(which: int, x: Any, gamma: Any, beta: Any, mean: Any, variance: Any) -> torch.Tensor:
        results = torch.var_mean(x, (0, 2, 3), correction=0)
        y = torch.nn.functional.batch_norm(x, None, None, gamma, beta, True, 0.0, 0.1)
        return (y, *reversed(results))[which]

    names = ("dx", "dgamma", "dbeta")
    return [
        *[
            Case(
                f"batch_norm {which}",
                lambda *a, w=which: ops.batch_norm(*a, epsilon=0.1)[w],
                (x, gamma, beta),
                moving,
                partial(batch, which),
            )
            for which in range(3)
        ],
        Case(
            "batch_norm without training",
            partial(ops.batch_norm, training=False, epsilon=0.1),
            (x, gamma, beta, *moving),
            (),
            lambda x, *p: moved(x, *(each.view(3, 1, 1) for each in p)),
        ),
        *[
            Case(
                f"batch_norm_grad {name}",
                graded(which),
                (dy, x, gamma, *moving),
                (),
                partial(formula, which),
            )
            for which, name in enumerate(names)
        ],
    ]
