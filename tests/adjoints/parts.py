"""Cases of choices, of ops on parts of arrays, and of what a transformer needs."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tinyflow import ops
from tinyflow.ir import Value

from .case import PAIRS, RNG, Case, normal, positive


def chosen() -> list[Case]:
    """The larger, the smaller, one or the other."""
    cases = []
    for how, (a, b) in PAIRS.items():
        pair = (normal(*a), normal(*b))
        mask = RNG.normal(size=b) > 0
        cases += [
            Case(f"maximum {how}", ops.maximum, pair),
            Case(f"minimum {how}", ops.minimum, pair),
            Case(f"where {how}", lambda x, y, c: ops.where(c, x, y), pair, (mask,)),
        ]
    return [
        *cases,
        Case(
            "where condition is larger", lambda x, c: ops.where(c, x, 1.0), (normal(3),), (EVERY2,)
        ),
        Case("abs", ops.abs, (normal(3, 4),)),
        Case("relu and its kink by maximum", lambda x: ops.maximum(x, 0.0), (normal(3, 4),)),
    ]


EVERY2 = np.arange(6).reshape(2, 3) % 2 == 0
IDS = np.array([[2, 0], [2, 1]])


def joined() -> list[Case]:
    """Arrays put together and taken apart, sums and products so far."""
    wide = normal(2, 6, 3)

    def parts(x: Value, unused: bool = False, **attrs: Any) -> Value:
        """Something of each part that is not linear in it."""
        first, second, *_ = ops.split(x, axis=-2, **attrs)
        return ops.mul(first, 2.0) if unused else ops.mul(ops.exp(first), second)

    return [
        Case("concat", lambda x, y: ops.concat(x, y, x, axis=-1), (normal(2, 3), normal(2, 3))),
        Case("concat of one", lambda x: ops.concat(x, axis=0), (normal(2, 3),)),
        Case(
            "concat of sizes", lambda x, y: ops.concat(x, y, axis=0), (normal(2, 3), normal(0, 3))
        ),
        Case("split", lambda x: parts(x, num=2), (wide,)),
        Case("split in sizes", lambda x: parts(x, sizes=(2, 2, 2)), (wide,)),
        Case("split, parts unused", lambda x: parts(x, unused=True, num=3), (wide,)),
        Case("split in one", lambda x: ops.split(x, num=1), (wide,)),
        Case(
            "split_like",
            lambda x, a, b: ops.mul(*ops.split_like(x, a, b, num=2, axis=1)),
            (wide,),
            (np.ones((2, 3, 3)), np.ones((2, 3, 3))),
        ),
        Case("expand_dims", lambda x: ops.expand_dims(x, axis=-2), (wide,)),
        Case("squeeze", ops.squeeze, (normal(1, 3, 1, 2),)),
        Case("squeeze axes", lambda x: ops.squeeze(x, axes=(-2,)), (normal(1, 3, 1, 2),)),
        *[
            Case(
                f"recurrence {axis} {reverse}",
                lambda a, b, x=axis, r=reverse: ops.recurrence(a, b, axis=x, reverse=r),
                (normal(2, 5), normal(2, 5)),
                torch=lambda a, b, x=axis, r=reverse: _stepped(a, b, x, r),
            )
            for axis in (0, -1)
            for reverse in (False, True)
        ],
        *[
            Case(
                f"cumsum {axis} {exclusive} {reverse}",
                lambda x, a=axis, e=exclusive, r=reverse: ops.cumsum(
                    x, axis=a, exclusive=e, reverse=r
                ),
                (wide,),
            )
            for axis in (0, -1)
            for exclusive in (False, True)
            for reverse in (False, True)
        ],
    ]


def _stepped(a: Any, b: Any, axis: int, reverse: bool) -> Any:
    """y[i] = a[i] * y[i - 1] + b[i], one by one."""
    pairs = list(zip(a.unbind(axis), b.unbind(axis)))
    rows: list[Any] = []
    for factor, term in reversed(pairs) if reverse else pairs:
        rows.append(factor * rows[-1] + term if rows else term)
    return torch.stack(rows[::-1] if reverse else rows, axis)


RANGES: dict[str, dict[str, Any]] = {
    "first axes": {"begin": (0, 1), "end": (1, 3)},
    "to the end": {"begin": (-2,), "end": (2**62,), "axes": (-1,)},
    "steps": {"begin": (0, 1), "end": (2, 4), "axes": (0, 2), "strides": (1, 2)},
    "backwards": {"begin": (3,), "end": (0,), "axes": (2,), "strides": (-2,)},
    "nothing": {"begin": (2,), "end": (1,), "axes": (1,)},
}


def picked() -> list[Case]:
    """Ranges and rows of arrays."""
    wide = normal(2, 3, 4)
    cases = []
    for name, attrs in RANGES.items():
        axes = attrs.get("axes", range(len(attrs["begin"])))
        index = [slice(None)] * 3
        for axis, *ends in zip(axes, attrs["begin"], attrs["end"], attrs.get("strides", (1, 1))):
            index[axis] = slice(*ends)
        dy = np.asarray(wide[tuple(index)])
        cases += [
            Case(f"slice {name}", lambda x, k=attrs: ops.slice(x, **k), (wide,)),
            Case(
                f"slice_grad {name}",
                lambda g, x, k=attrs: ops.slice_grad(g, x, **k),
                (dy,),
                (wide,),
            ),
        ]
    for axis in (0, 1, -1):
        x = normal(3, 3, 3)
        dy = np.take(x, IDS, axis)
        cases += [
            Case(f"gather {axis}", lambda x, i, a=axis: ops.gather(x, i, axis=a), (x,), (IDS,)),
            Case(
                f"gather_grad {axis}",
                lambda g, i, x, a=axis: ops.gather_grad(g, i, x, axis=a),
                (dy,),
                (IDS, x),
            ),
        ]
    lone = np.array(1)
    cases.append(Case("gather of one", ops.gather, (normal(3, 2),), (lone,)))
    shaped = {"begin": (0,), "end": (1,), "shape": (2, 3)}
    cases.append(
        Case("slice_grad by shape", lambda g: ops.slice_grad(g, **shaped), (normal(1, 3),))
    )
    return cases


def transformer() -> list[Case]:
    """Products of stacks of matrices, layer_norm, gelu."""
    cases = []
    for ta in (False, True):
        for tb in (False, True):
            how = {"transpose_a": ta, "transpose_b": tb}
            a = normal(2, 2, 4, 2) if ta else normal(2, 2, 2, 4)
            b = normal(2, 2, 3, 4) if tb else normal(2, 2, 4, 3)
            which = f"{'t' if ta else 'n'}{'t' if tb else 'n'}"
            build = lambda x, y, k=how: ops.batch_matmul(x, y, **k)  # noqa: E731
            cases += [
                Case(f"batch_matmul {which}", build, (a, b)),
                Case(f"batch_matmul of 3 axes {which}", build, (a[0], b[0])),
            ]
    x = normal(2, 3, 4)

    def slopes(g: Value, x: Value, gamma: Value) -> Value:
        """All three results of the backward op, each with weights of its own."""
        dx, dgamma, dbeta = ops.layer_norm_grad(g, x, gamma, epsilon=0.1)
        return ops.add(dx, ops.sub(ops.mul(dgamma, 0.3), ops.mul(dbeta, dbeta)))

    def torch_slopes(g: torch.Tensor, x: torch.Tensor, gamma: torch.Tensor) -> torch.Tensor:
        beta = torch.zeros_like(gamma, requires_grad=True)
        y = torch.nn.functional.layer_norm(x, x.shape[-1:], gamma, beta, 0.1)
        dx, dgamma, dbeta = torch.autograd.grad(y, (x, gamma, beta), g, create_graph=True)
        return dx + dgamma * 0.3 - dbeta * dbeta

    return [
        *cases,
        Case("batch_matmul of matrices", ops.batch_matmul, (normal(2, 3), normal(3, 2))),
        Case("layer_norm", ops.layer_norm, (x, normal(4), normal(4))),
        Case(
            "layer_norm of a row",
            lambda x, g, b: ops.layer_norm(x, g, b, epsilon=0.5),
            (normal(4), normal(4), normal(4)),
        ),
        Case("layer_norm_grad", slopes, (normal(2, 3, 4), x, normal(4)), torch=torch_slopes),
        Case(
            "layer_norm_grad, one result used",
            lambda g, x, w: ops.layer_norm_grad(g, x, w)[1],
            (normal(2, 3, 4), x, normal(4)),
            torch=lambda g, x, w: (
                g * torch.nn.functional.layer_norm(x, x.shape[-1:], eps=1e-5) + 0 * w
            ).sum((0, 1)),
        ),
        *[Case(op.name, op, (x,)) for op in (ops.erf, ops.gelu)],
        Case("rsqrt", ops.rsqrt, (positive(3, 4),)),
        Case("gelu_grad", ops.gelu_grad, (normal(3, 4), normal(3, 4))),
    ]
