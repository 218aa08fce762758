"""MXNet's operators as a dialect of the IR. Layer: frontend.

A symbol is a graph of these ops, with MXNet's names for inputs and attributes; ``lower`` turns it
into ops of the engine, whose shape rules and kernels serve. ``mutates`` marks auxiliary states,
which training writes (MXNet's FMutateInputs).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinyflow import ops
from tinyflow.errors import DTypeError, GraphError
from tinyflow.ir.op import REQUIRED, Attribute, DTypes, Op
from tinyflow.ops.rules import attribute_dtype

__all__ = ["BINARY", "DIALECT", "NULL", "REDUCTIONS", "SCALAR", "UNARY"]

_KINDS: Mapping[type, str] = {bool: "bool", int: "int", float: "float", str: "str", tuple: "ints"}


class _Checked(Attribute):
    """An attribute of which not all values are supported: ``fits`` tells which."""

    __slots__ = ("expected", "fits")
    fits: Callable[[Any], bool]
    expected: str

    def __init__(self, default: Any, fits: Callable[[Any], bool], expected: str) -> None:
        Attribute.__init__(self, *_kind_and_default(default))
        object.__setattr__(self, "fits", fits)
        object.__setattr__(self, "expected", expected)

    def check(self, value: object) -> Any:
        """Return the value; raises GraphError with got and expected."""
        value = Attribute.check(self, value)
        if not self.fits(value):
            raise GraphError("this value is not supported", got=repr(value), expected=self.expected)
        return value


def _kind_and_default(given: Any) -> tuple[str, Any]:
    """Of an attribute that is given by its default, or by its type if it is required."""
    return (_KINDS[given], REQUIRED) if isinstance(given, type) else (_KINDS[type(given)], given)


def _only(*values: Any) -> Attribute:
    """Just these values are supported; the first is the default."""
    return _Checked(values[0], lambda value: value in values, " or ".join(map(repr, values)))


def _sizes(given: Any, least: int = 1) -> Attribute:
    """One or several numbers, none less than ``least``."""
    return _Checked(given, lambda value: np.min(value, initial=least) >= least, f"{least} or more")


def _one_dtype(attrs: Mapping[str, Any], ins: DTypes, outs: DTypes) -> tuple[DTypes, DTypes]:
    """All inputs and results have one dtype, as in MXNet: what is known of one is known of all."""
    known = sorted({dtype for dtype in (*ins, *outs) if dtype}, key=str)
    if len(known) > 1:
        got, fix = " and ".join(map(str, known)), "Give all arguments one dtype."
        raise DTypeError("dtypes contradict", got=got, expected="one dtype", fix=fix)
    dtype = known[0] if known else None
    return (dtype,) * len(ins), (dtype,) * len(outs)


def _layer(name: str, inputs: str, attrs: Mapping[str, Any], doc: str, results: str = "y") -> Op:
    """A row. An attribute is given by its default, or by its type if it is required."""
    attributes = {}
    for key, given in attrs.items():
        known = isinstance(given, Attribute)
        attributes[key] = given if known else Attribute(*_kind_and_default(given))
    slots = tuple(inputs.split())
    return Op(
        *(name, slots, lambda _, ins, outs: (ins, outs)),
        attribute_dtype if name == "null" else _one_dtype,
        attributes=attributes,
        outputs=tuple(results.split()),
        optional=int("no_bias" in attrs),
        variadic="num_args" in attrs,
        mutates=frozenset(i for i, slot in enumerate(slots) if slot.startswith("moving")),
        leaf=not slots,
        doc=doc,
    )


NULL = _layer(
    "null",
    "",
    {"shape": Attribute("shape", None), "dtype": Attribute("dtype", None)},
    doc="A variable of the symbol: data, a parameter or an auxiliary state.",
)
FullyConnected = _layer(
    "FullyConnected",
    "data weight bias",
    {"num_hidden": _sizes(int), "no_bias": False, "flatten": _only(True)},
    doc="data (n, ...) @ weight.T + bias -> (n, num_hidden).",
)
_STEPS = _sizes(())
_WINDOW = {"stride": _STEPS, "pad": _sizes((), 0), "layout": _only("None", "NCHW")}
_SPREAD = {"dilate": _STEPS, "num_group": _sizes(1)}
Convolution = _layer(
    "Convolution",
    "data weight bias",
    {"kernel": _sizes(tuple), "num_filter": _sizes(int), "no_bias": False, **_WINDOW, **_SPREAD},
    doc="""Convolution of images (n, c, h, w) with num_filter filters, dilated, and in groups of
    channels that do not see each other.""",
)
_GLOBAL = {"global_pool": False, "pooling_convention": _only("valid"), "count_include_pad": True}
Pooling = _layer(
    "Pooling",
    "data",
    {"kernel": _STEPS, "pool_type": _only("max", "avg"), **_WINDOW, **_GLOBAL},
    doc="The maximum or mean of each window of images, or with global_pool of each image.",
)
_FIXED = {"use_global_stats": False, "output_mean_var": _only(False), "axis": _only(1)}
BatchNorm = _layer(
    "BatchNorm",
    "data gamma beta moving_mean moving_var",
    {"eps": 1e-3, "momentum": 0.9, "fix_gamma": True, **_FIXED},
    results="y mean var",
    doc="Batch normalisation; gamma counts as 1 unless fix_gamma=False.",
)
Activation = _layer(
    "Activation",
    "data",
    {"act_type": _only("relu", "sigmoid", "tanh")},
    doc="relu, sigmoid or tanh of each element.",
)
Dropout = _layer(
    "Dropout",
    "data",
    {"p": 0.5, "mode": _only("training"), "axes": _only(())},
    results="y mask",
    doc="In training 0 with probability p, else data / (1 - p).",
)
_PLAIN = {key: _only(False) for key in ("use_ignore", "multi_output", "preserve_shape", "out_grad")}
_SCALE = {"grad_scale": 1.0, "normalization": _only("null", "batch", "valid")}
SoftmaxOutput = _layer(
    "SoftmaxOutput",
    "data label",
    {**_SCALE, **_PLAIN, "ignore_label": -1.0, "smooth_alpha": _only(0.0)},
    doc="softmax(data) with the gradient of the cross-entropy: softmax(data) - onehot(label).",
)
Concat = _layer("Concat", "data", {"num_args": 0, "dim": 1}, doc="The inputs in a row along dim.")
Reshape = _layer(
    "Reshape",
    "data",
    {"shape": tuple, "reverse": _only(False)},
    doc="data under another shape, of which one size may be -1; (0, -1) flattens.",
)
softmax, log_softmax = (
    _layer(name, "data", {"axis": -1}, doc=f"{formula} along axis.")
    for name, formula in (
        ("softmax", "exp(data) / sum exp(data)"),
        ("log_softmax", "data - log sum exp(data)"),
    )
)
transpose = _layer(
    "transpose", "data", {"axes": ()}, doc="data with its axes in this order; (): reversed."
)
_TURNED = {"transpose_a": False, "transpose_b": False}
dot = _layer("dot", "lhs rhs", _TURNED, doc="The product of two matrices.")
batch_dot = _layer("batch_dot", "lhs rhs", _TURNED, doc="The products of matrices (n, ., .).")
clip = _layer("clip", "data", {"a_min": float, "a_max": float}, doc="data, cut off at both ends.")
SoftmaxActivation = _layer(
    "SoftmaxActivation", "data", {"mode": _only("instance")}, doc="softmax of each row."
)

UNARY = {"Flatten": ops.flatten_layer, "BlockGrad": ops.stop_gradient, "_copy": ops.identity}
_SAME = (ops.relu, ops.sigmoid, ops.tanh, ops.exp, ops.log, ops.sqrt, ops.rsqrt, ops.abs, ops.erf)
UNARY |= {op.name: op for op in _SAME} | {"negative": ops.neg}
REDUCTIONS = {name: ops.OPS[f"reduce_{name}"] for name in ("sum", "mean", "max", "min", "prod")}
_SIGNS = {"plus": ops.add, "minus": ops.sub, "mul": ops.mul, "div": ops.div}
BINARY = {f"{kind}_{op.name}": op for kind in ("elemwise", "broadcast") for op in _SIGNS.values()}
BINARY["broadcast_power"] = ops.pow
SCALAR = {f"_{sign}_scalar": op for sign, op in {**_SIGNS, "power": ops.pow}.items()}
_NUMBER_FIRST = {"minus": ops.sub, "div": ops.div, "power": ops.pow}
SCALAR |= {f"_r{sign}_scalar": op for sign, op in _NUMBER_FIRST.items()}
_AXES = {"axis": (), "keepdims": False, "exclude": _only(False)}

_ROWS = (FullyConnected, Convolution, Pooling, BatchNorm, Activation, Dropout, SoftmaxOutput)
DIALECT: Mapping[str, Op] = {
    **{op.name: op for op in (*_ROWS, Concat, Reshape, softmax, log_softmax, SoftmaxActivation)},
    **{op.name: op for op in (transpose, dot, batch_dot, clip)},
    **{name: _layer(name, "data", _AXES, doc=op.doc) for name, op in REDUCTIONS.items()},
    **{name: _layer(name, "data", {}, doc=op.doc) for name, op in UNARY.items()},
    **{name: _layer(name, "lhs rhs", {}, doc=op.doc) for name, op in BINARY.items()},
    **{name: _layer(name, "data", {"scalar": float}, doc=op.doc) for name, op in SCALAR.items()},
}
