"""One entry per op with a gradient rule, several where attributes or shapes matter.

No placeholder has a shape, so a rule that needs one fails here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch

from tinyflow import ops
from tinyflow.ir import Graph, Value
from tinyflow.passes import SHAPES, infer


@dataclass(frozen=True)
class Case:
    """``build(*xs)`` at ``inputs``; ``fixed`` are further inputs without a gradient."""

    name: str
    build: Callable[..., Value]
    inputs: tuple[np.ndarray, ...]
    fixed: tuple[np.ndarray, ...] = ()
    torch: Callable[..., torch.Tensor] | None = None  # where autograd cannot follow our kernel
    graph: Graph = field(init=False)
    xs: tuple[Value, ...] = field(init=False)
    feeds: dict[Value, Any] = field(init=False)

    def __post_init__(self) -> None:
        leaves = [
            ops.placeholder(dtype=array.dtype, name=f"x{i}")
            for i, array in enumerate((*self.inputs, *self.fixed))
        ]
        object.__setattr__(self, "graph", Graph((self.build(*leaves),)))
        object.__setattr__(self, "xs", tuple(leaves[: len(self.inputs)]))
        object.__setattr__(self, "feeds", dict(zip(leaves, (*self.inputs, *self.fixed))))


RNG = np.random.default_rng(7)


def normal(*shape: int) -> np.ndarray:
    """float64, away from 0 so that differences do not step over a kink."""
    array = RNG.normal(size=shape)
    return np.asarray(array + 0.2 * np.sign(array))


def positive(*shape: int) -> np.ndarray:
    """float64 in [0.5, 2)."""
    return RNG.uniform(0.5, 2.0, size=shape)


LABELS = np.array([2, 0, 1, 1])
PAIRS = {
    "same": ((2, 3), (2, 3)),
    "row": ((2, 3), (3,)),
    "column": ((2, 1), (1, 3)),
    "scalar": ((), (2, 3)),
    "one": ((1, 1), (2,)),
}


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


def _convolutions() -> list[Case]:
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


def _images() -> list[Case]:
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


def _normalisation() -> list[Case]:
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


def _chosen() -> list[Case]:
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


def _joined() -> list[Case]:
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


def _picked() -> list[Case]:
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


def _transformer() -> list[Case]:
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
    *_convolutions(),
    *_images(),
    *_normalisation(),
    *_state(),
]
CASES += [*_chosen(), *_joined(), *_picked(), *_transformer()]
