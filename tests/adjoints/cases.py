"""One entry per op with a gradient rule, several where attributes or shapes matter.

No placeholder has a shape, so a rule that needs one fails here.
"""

from __future__ import annotations

import numpy as np
import torch

from tinyflow import ops
from tinyflow.ir import Graph, Value

from .case import PAIRS, Case, normal, positive
from .images import convolutions, images, normalisation
from .parts import chosen, joined, picked, transformer

LABELS = np.array([2, 0, 1, 1])


def _elementwise() -> list[Case]:
    cases = []
    for how, (a, b) in PAIRS.items():
        cases += [
            Case(f"add {how}", ops.add, (normal(*a), normal(*b))),
            Case(f"sub {how}", ops.sub, (normal(*a), normal(*b))),
            Case(f"mul {how}", ops.mul, (normal(*a), normal(*b))),
            Case(f"div {how}", ops.div, (normal(*a), normal(*b))),
            Case(f"pow {how}", ops.pow, (positive(*a), normal(*b))),
        ]
    x = normal(3, 4)
    return [
        *cases,
        Case("mul with itself", lambda x: ops.mul(x, x), (x,)),
        Case("pow of any sign", lambda x: ops.pow(x, 3), (x,)),
        Case("number ^ x", lambda x: ops.pow(2.0, x), (x,)),
        Case("number / x", lambda x: ops.div(2.0, x), (x,)),
        *[Case(op.name, op, (x,)) for op in (ops.neg, ops.exp, ops.tanh, ops.sigmoid, ops.relu)],
        *[Case(op.name, op, (positive(3, 4),)) for op in (ops.log, ops.sqrt)],
        Case("cast", lambda x: ops.cast(x, dtype="float64"), (x,)),
        Case("cast_like", ops.cast_like, (x,), (normal(2),)),
        *[
            Case(op.name, op, (x, normal(3, 4)))
            for op in (ops.relu_grad, ops.tanh_grad, ops.sigmoid_grad)
        ],
    ]


def _reductions() -> list[Case]:
    cases = []
    smooth = (ops.reduce_sum, ops.reduce_mean, ops.reduce_prod)
    for op in (*smooth, ops.reduce_max, ops.reduce_min):
        for axes in (None, (), (1,), (-1, 0), (0, 1, 2)):
            for keep in (False, True):
                name = f"{op.name} {axes} {'kept' if keep else ''}"
                attrs = {"reduction_indices": axes, "keepdims": keep}
                cases.append(Case(name, lambda x, o=op, a=attrs: o(x, **a), (normal(2, 3, 2),)))
    one, two = normal(2, 3, 2), normal(2, 3, 2)
    one[0, 1, 0] = two[0, 1, 0] = two[0, 2, 0] = two[1, 0, 1] = 0
    for zeros, x in (("one zero", one), ("zeros", two)):
        for axes in (None, (1,), (0, -2)):
            attrs = {"reduction_indices": axes}
            cases.append(
                Case(f"product of {zeros} {axes}", lambda x, a=attrs: ops.reduce_prod(x, **a), (x,))
            )
    return cases


def _matrices() -> list[Case]:
    cases = []
    for ta in (False, True):
        for tb in (False, True):
            how = {"transpose_a": ta, "transpose_b": tb}
            a = normal(4, 2) if ta else normal(2, 4)
            b = normal(3, 4) if tb else normal(4, 3)
            which = f"{'t' if ta else 'n'}{'t' if tb else 'n'}"
            cases += [
                Case(f"matmul {which}", lambda x, y, k=how: ops.matmul(x, y, **k), (a, b)),
                Case(
                    f"gemm {which}",
                    lambda c, x, y, k=how: ops.gemm(c, x, y, alpha=0.7, beta=-2.0, **k),
                    (normal(2, 3), a, b),
                ),
            ]
    return [
        *cases,
        Case("matmul with itself", lambda x: ops.matmul(x, x), (normal(3, 3),)),
        Case("linear", ops.linear, (normal(3, 4), normal(2, 4), normal(2))),
        Case("linear without bias", ops.linear, (normal(3, 4), normal(2, 4))),
        Case("linear of images", ops.linear, (normal(3, 2, 2, 2), normal(5, 8), normal(5))),
    ]


def _layout() -> list[Case]:
    wide, like = normal(2, 3, 4), np.ones((2, 3, 4))
    cases = [
        Case("reshape", lambda x: ops.reshape(x, shape=(4, -1)), (wide,)),
        Case("reshape_like", ops.reshape_like, (wide,), (np.ones((6, 4)),)),
        Case("transpose", ops.transpose, (wide,)),
        Case("transpose perm", lambda x: ops.transpose(x, perm=(2, 0, 1)), (wide,)),
        Case("broadcast_to", lambda x: ops.broadcast_to(x, shape=(2, 3, 4)), (normal(3, 1),)),
        Case("broadcast_to same", lambda x: ops.broadcast_to(x, shape=(3, 4)), (normal(3, 4),)),
        Case("broadcast_to scalar", lambda x: ops.broadcast_to(x, shape=(2, 2)), (normal(),)),
        Case("broadcast_like", ops.broadcast_like, (normal(3, 1),), (like,)),
    ]
    cases += [
        Case(f"sum_like {shape}", ops.sum_like, (wide,), (np.ones(shape),))
        for shape in ((2, 3, 4), (3, 1), (), (1, 1, 4))
    ]
    for axes, shape in {(1,): (2, 4), (0, 2): (3,), (-1,): (2, 3), None: (), (0,): (1, 4)}.items():
        cases.append(
            Case(
                f"broadcast_like {axes} from {shape}",
                lambda x, y, a=axes: ops.broadcast_like(x, y, reduction_indices=a, keepdims=False),
                (normal(*shape),),
                (like,),
            )
        )
    return cases


def _nn() -> list[Case]:
    cases = []
    for axis in (-1, 0, 1):
        for op in (ops.softmax, ops.log_softmax):
            cases.append(
                Case(f"{op.name} {axis}", lambda x, o=op, a=axis: o(x, axis=a), (normal(2, 3, 2),))
            )
        for op in (ops.softmax_grad, ops.log_softmax_grad):
            pair = (normal(2, 3, 2), normal(2, 3, 2))
            cases.append(
                Case(f"{op.name} {axis}", lambda g, y, o=op, a=axis: o(g, y, axis=a), pair)
            )
    rows = (normal(4, 3), positive(4, 3))  # rows of the targets do not sum to 1
    sparse_grad = ops.sparse_softmax_cross_entropy_grad
    return [
        *cases,
        Case(
            "sparse cross entropy",
            ops.mean_sparse_softmax_cross_entropy_with_logits,
            (normal(4, 3),),
            (LABELS,),
        ),
        Case(
            "sparse cross entropy, float labels, scaled",
            lambda x, t: ops.mul(ops.mean_sparse_softmax_cross_entropy_with_logits(x, t), 5.0),
            (normal(4, 3),),
            (LABELS.astype(np.float64),),
        ),
        Case(
            sparse_grad.name,
            sparse_grad,
            (normal(), normal(4, 3)),
            (LABELS,),
            lambda g, x, t: g * (x.softmax(1) - torch.eye(3, dtype=x.dtype)[t]) / 4,
        ),
        Case(
            "cross entropy",
            ops.softmax_cross_entropy_with_logits,
            rows,
            torch=lambda x, t: -(t * x.log_softmax(1)).sum(1),
        ),
        Case(
            "mean cross entropy",
            ops.mean_softmax_cross_entropy_with_logits,
            rows,
            torch=lambda x, t: -(t * x.log_softmax(1)).sum(1).mean(),
        ),
    ]


def _state() -> list[Case]:
    def product(x: Value, y: Value) -> Value:
        dy = ops.placeholder(dtype="float64", name="dy")
        slopes = (ops.mul(dy, y), ops.mul(dy, x))
        return ops.with_gradient(ops.mul(x, y), x, y, backward=Graph((dy, *slopes)))

    return [
        Case("identity", ops.identity, (normal(2, 3),)),
        Case("copy_to", lambda x: ops.copy_to(x, device="cpu:1"), (normal(2, 3),)),
        Case("with_gradient", product, (normal(2, 3), normal(2, 3))),
    ]


CASES = [
    *_elementwise(),
    *_reductions(),
    *_matrices(),
    *_layout(),
    *_nn(),
    *convolutions(),
    *images(),
    *normalisation(),
    *_state(),
    *chosen(),
    *joined(),
    *picked(),
    *transformer(),
]
