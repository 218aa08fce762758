"""Import from ONNX: one rule for each operator that the engine knows. Layer: frontend."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import helper, numpy_helper

from tinyflow import ops
from tinyflow.errors import GraphError, TinyflowError
from tinyflow.frontend.onnx.words import ALONG, REDUCTIONS, SPARSE_LOSS, TRUTHS, WORDS
from tinyflow.frontend.tf.known import forward_shape
from tinyflow.frontend.tf.tensor import Tensor, Variable, product_of, wrap
from tinyflow.ir import Op, Value
from tinyflow.ops.rules import END
from tinyflow.types import DType, as_dtype

__all__ = ["load"]

_BROKEN = (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError)
OLDEST = 13  # before, Softmax flattens and axes are attributes


def load(model: onnx.ModelProto | str | Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Inputs and outputs of a model, or of the file at a path, as tensors by name.

    Stored weights become variables of the current graph: ``tf.initialize_all_variables()`` gives
    them their contents, and they can be trained on. Batch normalisation and dropout are those of
    inference. Raises GraphError, naming the node, for a broken file, an opset before 13 and what
    is not supported.
    """
    if not isinstance(model, onnx.ModelProto):
        model = _read(Path(model))
    versions = {entry.domain: entry.version for entry in model.opset_import}
    if versions.get("", 0) < OLDEST:
        fix = "Convert the model with onnx.version_converter."
        raise GraphError("the opset is too old", got=versions, expected=f">= {OLDEST}", fix=fix)
    reader = _Reader({array.name: array for array in model.graph.initializer})
    inputs = {}
    for info in model.graph.input:
        if info.name in reader.stored:
            continue
        with _reading(f"input '{info.name}'"):
            inputs[info.name] = Tensor(reader.placeholder(info))
    for node in model.graph.node:
        reader.node(node)
    with _reading("outputs"):
        return inputs, {info.name: wrap(reader.value(info.name)) for info in model.graph.output}


@contextmanager
def _reading(place: str) -> Iterator[None]:
    """Whatever goes wrong inside is a TinyflowError that names the place."""
    try:
        yield
    except TinyflowError as error:
        raise error.at(place) from None
    except _BROKEN as error:
        got, fix = f"{type(error).__name__}: {error}"[:120], "Export the model again."
        raise GraphError("not as ONNX writes it", node=place, got=got, fix=fix) from None


def _read(path: Path) -> onnx.ModelProto:
    try:
        model = onnx.load_model_from_string(path.read_bytes())
        onnx.checker.check_model(model)
    except (OSError, ValueError, DecodeError, onnx.checker.ValidationError) as error:
        what, got, fix = "not a model of ONNX", str(error)[:120], "Export the model again."
        raise GraphError(what, node=str(path), got=got, fix=fix) from None
    return model


def _dtype(number: int) -> DType:
    return as_dtype(helper.tensor_dtype_to_np_dtype(number))


class _Reader:
    """What the names of a model stand for, as far as it is read."""

    def __init__(self, stored: Mapping[str, onnx.TensorProto]) -> None:
        self.stored, self.values = dict[str, Any](), dict[str, Value]()
        for name, proto in stored.items():
            with _reading(f"stored '{name}'"):
                self.stored[name] = numpy_helper.to_array(proto)

    def placeholder(self, info: onnx.ValueInfoProto) -> Value:
        kind = info.type.tensor_type
        sizes = [d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim]
        dtype, shape = _dtype(kind.elem_type), sizes if kind.HasField("shape") else None
        self.values[info.name] = ops.placeholder(dtype=dtype, shape=shape, name=info.name)
        return self.values[info.name]

    def value(self, name: str) -> Value:
        """The value of a name; weights become variables when they are first read."""
        if name not in self.values and name in self.stored:
            array = self.stored[name]
            weight = array.ndim > 0 and array.dtype.kind == "f"
            self.values[name] = Variable(array, name).value if weight else ops.constant(array)
        if name not in self.values:
            raise GraphError("no node before gives this", got=name, expected="a sorted model")
        return self.values[name]

    def node(self, proto: onnx.NodeProto) -> None:
        """Read one node; raises GraphError naming it."""
        place = f"{proto.op_type} '{proto.name}'"
        rule = _RULES.get(proto.op_type) if proto.domain in ("", "ai.onnx") else None
        if rule is None:
            known = ", ".join(_RULES)
            raise GraphError("operator is not supported", node=place, expected=known)
        with _reading(place):
            made = rule(_Site(self, proto))
        for name, value in zip(proto.output, made if isinstance(made, tuple) else (made,)):
            if isinstance(value, np.ndarray):
                self.stored[name] = value
            else:
                self.values[name] = value


class _Site:
    """One node under reading: its attributes, inputs, name and count of outputs."""

    def __init__(self, reader: _Reader, proto: onnx.NodeProto) -> None:
        self.reader, self.names, self.name = reader, list(proto.input), proto.name or None
        self.count, self.attrs = len(proto.output), dict[str, Any]()
        for attr in proto.attribute:
            value = helper.get_attribute_value(attr)
            self.attrs[attr.name] = value.decode() if isinstance(value, bytes) else value

    def only(self, **usual: Any) -> _Site:
        """This node; raises GraphError for an attribute that has another than this value."""
        for key, value in usual.items():
            got = self.attrs.get(key, value)
            if got != value and not (isinstance(got, list) and {*got} == {value}):
                what = f"this value of '{key}' is not supported"
                raise GraphError(what, got=got, expected=value)
        return self

    @property
    def inputs(self) -> list[Value]:
        return [self.reader.value(name) for name in self.names if name]

    def list(self, place: int, key: str = "") -> Any:
        """Numbers from a stored input or else an attribute; computed ones are not supported."""
        if place >= len(self.names) or not self.names[place]:
            return self.attrs.get(key)
        array = self.reader.stored.get(self.names[place])
        if array is None:
            got = self.names[place]
            raise GraphError("computed sizes are not supported", got=got, expected="stored ones")
        return array.tolist()


_Rule = Callable[[_Site], Any]


def _plain(op: Op, count: int | None = None, **given: _Rule) -> _Rule:
    """An op that the engine has too, of the first ``count`` inputs; ``given`` makes attributes."""

    def rule(s: _Site) -> Any:
        attrs = {key: make(s) for key, make in given.items()}
        return op.node(s.inputs[:count], attrs, name=s.name).outputs

    return rule


def _attr(key: str, usual: Any = None) -> _Rule:
    return lambda s: s.attrs.get(key, usual)


def _flag(key: str, usual: int = 0) -> _Rule:
    return lambda s: bool(s.attrs.get(key, usual))


def _list(place: int) -> _Rule:
    return lambda s: s.list(place)


def _constant(s: _Site) -> Any:
    """From a tensor, or numbers: ``value_float``, ``value_ints``, ..."""
    ((key, value),) = s.attrs.items()
    if key == "value":
        return numpy_helper.to_array(value)
    return np.asarray(value, "float32" if "float" in key else "int64")


def _div(s: _Site) -> Any:
    """Of two integers, ONNX gives an integer, the engine does not."""
    kinds = {str(dtype) for x in s.inputs if (dtype := Tensor(x).dtype) and not dtype.is_floating}
    if kinds:
        got = ", ".join(kinds)
        raise GraphError("division of integers is not supported", got=got, expected="floats")
    return ops.div(*s.inputs, name=s.name)


def _gemm(s: _Site) -> Any:
    """alpha * op(a) @ op(b) + beta * c; a fully connected layer where it is one."""
    alpha, beta = s.attrs.get("alpha", 1.0), s.attrs.get("beta", 1.0)
    a, b, *c = s.inputs
    flags: dict[str, Any] = {
        "transpose_a": bool(s.attrs.get("transA", 0)),
        "transpose_b": bool(s.attrs.get("transB", 0)),
    }
    flat = all(len(forward_shape(bias) or ()) == 1 for bias in c)
    if (alpha, beta, *flags.values()) == (1.0, 1.0, False, True) and flat:
        return ops.linear(a, b, *c, name=s.name)
    y = ops.matmul(a, b, name=None if c else s.name, **flags)
    y = y if alpha == 1.0 else ops.mul(y, alpha)
    return ops.add(y, c[0] if beta == 1.0 else ops.mul(c[0], beta), name=s.name) if c else y


def _window(s: _Site) -> dict[str, Any]:
    s.only(ceil_mode=0)
    same = s.attrs.get("auto_pad", "NOTSET")
    if same not in ("NOTSET", "VALID", "SAME_UPPER"):
        raise GraphError("this auto_pad is not supported", got=same, expected="SAME_UPPER")
    pads = s.attrs.get("pads", [0, 0, 0, 0])
    if len(pads) != 4:
        raise GraphError("only images are supported", got=f"pads {pads}", expected="four")
    padding = None if same == "SAME_UPPER" else [pads[i] for i in (0, 2, 1, 3)]
    return {"strides": s.attrs.get("strides", [1, 1]), "padding": padding, "name": s.name}


def _conv(s: _Site) -> Any:
    spread = {"dilations": s.attrs.get("dilations", [1, 1]), "groups": s.attrs.get("group", 1)}
    return ops.conv2d(*s.inputs, **spread, **_window(s))


def _max_pool(s: _Site) -> Any:
    window = _window(s.only(dilations=1, storage_order=0))
    return ops.max_pool2d(*s.inputs, ksize=s.attrs["kernel_shape"], **window)[0]


def _avg_pool(s: _Site) -> Any:
    counts = bool(s.attrs.get("count_include_pad", 0))
    window = _window(s.only(dilations=1))
    return ops.avg_pool2d(*s.inputs, ksize=s.attrs["kernel_shape"], count_padding=counts, **window)


def _reshape(s: _Site) -> Any:
    """A size of 0 is that of x."""
    s.only(allowzero=0)
    (x, *_), sizes = s.inputs, s.list(1)
    if sizes == [0, -1]:
        return ops.flatten_layer(x, name=s.name)
    known = forward_shape(x) or ()
    sizes = [(*known, *[None] * 9)[i] if size == 0 else size for i, size in enumerate(sizes)]
    return ops.reshape(x, shape=sizes, name=s.name)


def _unsqueeze(s: _Site) -> Any:
    x, axes = s.inputs[0], s.list(1)
    for axis in sorted(axes, key=lambda a: (a < 0, abs(a))):  # 0, 1, ..., then -1, -2, ...
        x = ops.expand_dims(x, axis=axis)
    return x


def _slice(s: _Site) -> Any:
    begin, end = s.list(1), [min(last, END) for last in s.list(2)]
    cut = {"axes": s.list(3), "strides": s.list(4)}
    return ops.slice(s.inputs[0], begin=begin, end=end, name=s.name, **cut)


def _pad(s: _Site) -> Any:
    """Zeros, or with negative numbers less of x, before and behind each axis."""
    if s.attrs.get("mode", "constant") != "constant" or s.list(2) not in (None, 0):
        got = f"mode {s.attrs.get('mode', 'constant')}, value {s.list(2)}"
        raise GraphError("only zeros are supported", got=got, expected="mode constant, value 0")
    x, amounts, axes = s.inputs[0], s.list(1), s.list(3)
    half = len(amounts) // 2
    for axis, before, behind in zip(axes or range(half), amounts, amounts[half:]):
        for op, low, high in ((ops.pad, before, behind), (ops.crop, -before, -behind)):
            x = op(x, dim=axis, pad=-low) if low > 0 else x
            x = op(x, dim=axis, pad=high) if high > 0 else x
    return x


def _clip(s: _Site) -> Any:
    """Both bounds are inputs, and either may be missing."""
    x: Value = s.inputs[0]
    for op, name in zip((ops.maximum, ops.minimum), s.names[1:]):
        x = op(x, s.reader.value(name)) if name else x
    return ops.identity(x, name=s.name)


def _gelu(s: _Site) -> Any:
    """With ``approximate`` tanh: Hendrycks and Gimpel, 2016, section 2."""
    (x,), how = s.inputs, s.attrs.get("approximate", "none")
    if how != "tanh":
        return ops.gelu(*s.only(approximate="none").inputs, name=s.name)
    inner = ops.mul(ops.add(x, ops.mul(ops.pow(x, 3.0), 0.044715)), (2 / math.pi) ** 0.5)
    return ops.mul(ops.mul(x, 0.5), ops.add(ops.tanh(inner), 1.0), name=s.name)


def _axes(s: _Site) -> Any:
    """None are all, unless an attribute says that none are none."""
    return s.list(1, "axes") or (() if s.attrs.get("noop_with_empty_axes", 0) else None)


def _argmax(s: _Site) -> Any:
    axis = s.only(select_last_index=0).attrs.get("axis", 0)
    y = ops.argmax(*s.inputs, axis=axis, name=s.name)
    return ops.expand_dims(y, axis=axis) if s.attrs.get("keepdims", 1) else y


def _batch_norm(s: _Site) -> Any:
    epsilon = s.only(training_mode=0).attrs.get("epsilon", 1e-5)
    return ops.batch_norm(*s.inputs, training=False, epsilon=epsilon, name=s.name)


def _layer_norm(s: _Site) -> Any:
    """Over the last axis; the shift is optional."""
    x, scale, *shift = s.only(axis=-1).inputs
    shift, epsilon = shift or [ops.zeros_like(scale)], s.attrs.get("epsilon", 1e-5)
    return ops.layer_norm(x, scale, *shift, epsilon=epsilon, name=s.name)


def _sparse_loss(s: _Site) -> Any:
    """PyTorch always writes that labels of -100 do not count; a run refuses them here."""
    return SPARSE_LOSS(*s.only(reduction="mean", ignore_index=-100).inputs, name=s.name)


_IMAGE: Mapping[str, Any] = {"reduction_indices": (2, 3), "keepdims": True}
_REDUCED: Mapping[str, _Rule] = {"reduction_indices": _axes, "keepdims": _flag("keepdims", 1)}
_RUNNING = {key: _flag(key) for key in ("exclusive", "reverse")}
_RULES: Mapping[str, _Rule] = {
    **{kind: _plain(op) for op, kind in (*WORDS.items(), *TRUTHS.items())},
    **{kind: _plain(op, axis=_attr("axis", usual)) for op, (kind, usual) in ALONG.items()},
    **{kind: _plain(op, 1, **_REDUCED) for op, kind in REDUCTIONS.items()},
    "Xor": _plain(ops.not_equal),
    "Not": lambda s: ops.equal(*s.inputs, False, name=s.name),
    "Reciprocal": lambda s: ops.div(1.0, *s.inputs, name=s.name),
    "ArgMax": _argmax,
    "CumSum": _plain(ops.cumsum, 1, axis=_list(1), **_RUNNING),
    "Split": _plain(ops.split, 1, num=lambda s: s.count, sizes=_list(1), axis=_attr("axis", 0)),
    "SoftmaxCrossEntropyLoss": _sparse_loss,
    "Dropout": _plain(ops.identity, 1),
    "Constant": _constant,
    "Div": _div,
    "Cast": _plain(ops.cast, dtype=lambda s: _dtype(s.attrs["to"])),
    "MatMul": lambda s: product_of(*map(Tensor, s.inputs))(*s.inputs, name=s.name),
    "Gemm": _gemm,
    "Conv": _conv,
    "MaxPool": _max_pool,
    "AveragePool": _avg_pool,
    "GlobalMaxPool": lambda s: ops.reduce_max(*s.inputs, name=s.name, **_IMAGE),
    "GlobalAveragePool": lambda s: ops.reduce_mean(*s.inputs, name=s.name, **_IMAGE),
    "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm,
    "Flatten": lambda s: ops.flatten_layer(*s.only(axis=1).inputs, name=s.name),
    "Reshape": _reshape,
    "Transpose": _plain(ops.transpose, perm=_attr("perm")),
    "Slice": _slice,
    "Pad": _pad,
    "Clip": _clip,
    "Gelu": _gelu,
    "Expand": _plain(ops.broadcast_to, 1, shape=_list(1)),
    "Squeeze": _plain(ops.squeeze, 1, axes=_list(1)),
    "Unsqueeze": _unsqueeze,
}
