"""Export to ONNX: one rule for each op that it can say. Layer: frontend."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tinyflow import ops
from tinyflow.errors import GraphError
from tinyflow.frontend.inference import for_inference
from tinyflow.frontend.onnx.words import ALONG, REDUCTIONS, SPARSE_LOSS, TRUTHS, WORDS, spell
from tinyflow.frontend.tf.tensor import Tensor
from tinyflow.ir import Graph, Node, Op, Value
from tinyflow.ops.window import reach, resolve_padding
from tinyflow.passes import DTYPES, KNOWN_SHAPES, SHAPES, infer, specialise
from tinyflow.runtime.session import Session
from tinyflow.types import DType, is_static

__all__ = ["export"]

OPSETS = {17: 8, 18: 8, 19: 9, 20: 9}  # with the version of the file format


def export(
    network: Graph | Tensor | Sequence[Tensor],
    variables: Session | Mapping[str, Any],
    path: str | Path | None = None,
    opset: int = 17,
) -> onnx.ModelProto:
    """The network in inference, with the contents of its variables, as a model of ONNX.

    Inference is that of ``tf.nn.inference``: no dropout, batch normalisation by moving values.

    Args:
        network: a tensor or several, or a graph, such as ``symbol.graph()`` of the mx front end.
        variables: the session that holds the contents, or arrays by name.
        path: file to write as well.
        opset: 17 to 20. What has read files since 2022 reads 17; 20 has a word for gelu.

    Unknown sizes stay open. What is written, ``load`` reads. Raises GraphError naming an op that
    ONNX has no word for or a variable without content, and for another opset, RunError for a
    variable that the session has not initialised.
    """
    if opset not in OPSETS:
        expected = f"one of {', '.join(map(str, OPSETS))}"
        raise GraphError("this opset is not supported", got=opset, expected=expected)
    if not isinstance(network, Graph):
        tensors = [network] if isinstance(network, Tensor) else network
        network = Graph(tuple(tensor.value for tensor in tensors))
    graph = for_inference(network)
    contents = {n: _content(n, variables) for n in graph.nodes if n.op is ops.variable}
    shapes = {Value(node): array.shape for node, array in contents.items()}
    graph = infer(graph.with_fact(KNOWN_SHAPES, shapes))
    for step in (specialise, partial(spell, opset=opset), specialise):
        graph = infer(Graph(step(graph).outputs).with_fact(KNOWN_SHAPES, shapes))
    writer = _Writer(graph, {node.name: array for node, array in contents.items()}, opset)
    model = helper.make_model(
        writer.graph(),
        producer_name="tinyflow",
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=OPSETS[opset],
    )
    onnx.checker.check_model(model, full_check=True)
    if path is not None:
        onnx.save(model, str(path))
    return model


def _content(node: Node, variables: Session | Mapping[str, Any]) -> np.ndarray[Any, Any]:
    if isinstance(variables, Session):
        return variables.variable(node.name or "")
    if node.name not in variables:
        got = ", ".join(variables) or "none"
        raise GraphError("a variable has no content", node=node, got=got, expected=node.name)
    return np.asarray(variables[node.name or ""], node.attrs["dtype"].numpy)


class _Writer:
    """The nodes and initializers of a model, as far as they are written."""

    def __init__(self, graph: Graph, contents: Mapping[str | None, Any], opset: int) -> None:
        self.source, self.contents, self.opset = graph, contents, opset
        self.shapes, self.dtypes = graph.fact(SHAPES), graph.fact(DTYPES)
        self.nodes: list[onnx.NodeProto] = []
        self.stored: list[onnx.TensorProto] = []
        self.names: dict[Value, str] = {}
        self.taken: dict[str, int] = {}

    def graph(self) -> onnx.GraphProto:
        for node in self.source.nodes:
            if node.op is ops.placeholder:
                self.names[Value(node)] = self.unique(node.name or "input")
            elif node.op in (ops.variable, ops.CONSTANT, ops.zeros, ops.ones):
                kind = (self.dtypes[Value(node)] or DType.float32).numpy
                value = node.attrs.get("value", float(node.op is ops.ones))
                array = np.asarray(self.contents.get(node.name, value), kind)
                whole = np.broadcast_to(array, self.shapes[Value(node)])  # type: ignore[arg-type]
                self.names[Value(node)] = self.store(whole, node.name)
            elif rule := RULES.get(node.op):
                rule(self, node, [self.name(value) for value in node.inputs])
            else:
                known = ", ".join(op.name for op in RULES)
                raise GraphError("ONNX has no word for this op", node=node, expected=known)
        fed = [Value(node) for node in self.source.nodes if node.op is ops.placeholder]
        outputs = []
        for value in self.source.outputs:  # through an Identity: a leaf is no output of a node
            name = self.name(value)
            name = self.emit("Identity", [name], name=f"{name}_output")
            outputs.append(self.info(name, value))
        inputs = [self.info(self.names[value], value) for value in fed]
        return helper.make_graph(self.nodes, "tinyflow", inputs, outputs, self.stored)

    def name(self, value: Value) -> str:
        """Name of a value that is written; raises GraphError for an output that ONNX lacks."""
        if value not in self.names:
            what, got = "ONNX has no such output", f"output {value.index}"
            raise GraphError(what, node=value.node, got=got, expected="output 0")
        return self.names[value]

    def unique(self, name: str) -> str:
        """The name, with a number behind it if it is taken."""
        count = self.taken[name] = self.taken.get(name, -1) + 1
        return self.unique(f"{name}_{count}") if count else name

    def info(self, name: str, value: Value) -> onnx.ValueInfoProto:
        kind = helper.np_dtype_to_tensor_dtype((self.dtypes[value] or DType.float32).numpy)
        return helper.make_tensor_value_info(name, kind, self.shapes[value])

    def store(self, array: Any, name: str | None = None) -> str:
        """An initializer, and its name; lists of sizes and axes are int64."""
        name = self.unique(name or "constant")
        self.stored.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def emit(self, kind: str, inputs: Sequence[str], name: str | None = None, **attrs: Any) -> str:
        """A node with one output, and the name of that; attributes that are None are not given."""
        name = self.unique(name or kind.lower())
        self.nodes.append(helper.make_node(kind, inputs, [name], name, **attrs))
        return name

    def rank(self, value: Value) -> int:
        """Number of axes; raises GraphError if it is not known."""
        shape = self.shapes[value]
        if shape is None:
            raise GraphError("the rank is not known", node=value.node, fix="Give shapes.")
        return len(shape)


_Rule = Callable[[_Writer, Node, list[str]], None]


def _word(kind: str, **given: Callable[[Any], Any]) -> _Rule:
    """An op that ONNX has too; ``given`` makes its attributes from those here."""

    def rule(w: _Writer, node: Node, inputs: list[str]) -> None:
        attrs = {key: make(node.attrs) for key, make in given.items()}
        w.names[Value(node)] = w.emit(kind, inputs, node.name, **attrs)

    return rule


def _matmul(w: _Writer, node: Node, inputs: list[str]) -> None:
    turned = []
    for name, value, flag in zip(inputs, node.inputs, ("transpose_a", "transpose_b")):
        *lead, n, k = range(w.rank(value))
        turned.append(w.emit("Transpose", [name], perm=[*lead, k, n]) if node.attrs[flag] else name)
    w.names[Value(node)] = w.emit("MatMul", turned, node.name)


def _linear(w: _Writer, node: Node, inputs: list[str]) -> None:
    rows = w.emit("Flatten", inputs[:1], axis=1) if w.rank(node.inputs[0]) > 2 else inputs[0]
    w.names[Value(node)] = w.emit("Gemm", [rows, *inputs[1:]], node.name, transB=1)


def _listed(kind: str, numbers: Callable[[Any], Any], **given: Callable[[Any], Any]) -> _Rule:
    """An op with numbers that are an input in ONNX; none, if they are None."""

    def rule(w: _Writer, node: Node, inputs: list[str]) -> None:
        listed = numbers(node.attrs)
        more = [] if listed is None else [w.store(np.array(listed, "int64"))]
        _word(kind, **given)(w, node, [*inputs, *more])

    return rule


def _slice(w: _Writer, node: Node, inputs: list[str]) -> None:
    a, count = node.attrs, len(node.attrs["begin"])
    axes = range(count) if a["axes"] is None else a["axes"]
    lists = (a["begin"], a["end"], axes, a["strides"] or [1] * count)
    stored = [w.store(np.array(numbers, "int64")) for numbers in lists]
    w.names[Value(node)] = w.emit("Slice", [*inputs, *stored], node.name)


def _pad(w: _Writer, node: Node, inputs: list[str]) -> None:
    """A strip at one side of one axis: numbers before each axis, then numbers behind each."""
    rank, amount = w.rank(node.inputs[0]), node.attrs["pad"]
    sides = [0] * (2 * rank)
    sides[node.attrs["dim"] % rank + (rank if amount > 0 else 0)] = abs(amount)
    if node.op is ops.crop:
        sides = [-side for side in sides]
    _listed("Pad", lambda _: sides)(w, node, inputs)


def _split(w: _Writer, node: Node, inputs: list[str]) -> None:
    """Equal parts are counted by their names, and since opset 18 by a number too."""
    name, axis, sizes = w.unique(node.name or "split"), node.attrs["axis"], node.attrs["sizes"]
    w.names |= {part: w.unique(f"{name}_{part.index}") for part in node.outputs}
    parts = [w.names[part] for part in node.outputs]
    more = [] if sizes is None else [w.store(np.array(sizes, "int64"))]
    count = len(parts) if sizes is None and w.opset >= 18 else None
    made = helper.make_node("Split", [*inputs, *more], parts, name, axis=axis, num_outputs=count)
    w.nodes.append(made)


def _extreme(w: _Writer, node: Node, inputs: list[str]) -> None:
    """The smaller of two bools is True if both are, the larger if one is."""
    words = TRUTHS if w.dtypes[node.inputs[0]] is DType.bool else WORDS
    _word(words[node.op])(w, node, inputs)


def _reduction(kind: str) -> _Rule:
    """Over given axes, or all; the axes of a sum are an input, since opset 18 all axes are."""
    axes, keep = itemgetter("reduction_indices"), _same("keepdims")
    by_input, by_attribute = _listed(kind, axes, **keep), _word(kind, axes=axes, **keep)

    def rule(w: _Writer, node: Node, inputs: list[str]) -> None:
        over = by_input if kind == "ReduceSum" or w.opset >= 18 else by_attribute
        (_word("Identity") if axes(node.attrs) == () else over)(w, node, inputs)

    return rule


def _same(*keys: str) -> dict[str, Any]:
    """Attributes that ONNX has under the same name."""
    return {key: itemgetter(key) for key in keys}


_WINDOW: dict[str, Any] = {
    **_same("strides"),
    "pads": lambda a: None if a["padding"] is None else [a["padding"][i] for i in (0, 2, 1, 3)],
    "auto_pad": lambda a: "SAME_UPPER" if a["padding"] is None else None,
}
_CONV: dict[str, Any] = {"group": itemgetter("groups"), **_same("dilations"), **_WINDOW}
_POOL: dict[str, Any] = {"kernel_shape": itemgetter("ksize"), **_WINDOW}


def _conv(w: _Writer, node: Node, inputs: list[str]) -> None:
    """onnxruntime has no SAME for dilated filters, which therefore get numbers."""
    attrs = dict(node.attrs)
    if attrs["padding"] is None and attrs["dilations"] != (1, 1):
        sizes: list[Any] = [(w.shapes[value] or ())[2:] for value in node.inputs[:2]]
        image, window = sizes
        if not image or not is_static((*image, *window)):
            fix = "Give the sizes of the images, or numbers as padding."
            raise GraphError("the padding of a dilated filter is not known", node=node, fix=fix)
        inside = reach(window, attrs["dilations"])
        attrs["padding"] = resolve_padding(None, attrs["strides"], image, inside)
    made = {key: make(attrs) for key, make in _CONV.items()}
    w.names[Value(node)] = w.emit("Conv", inputs, node.name, **made)


RULES: Mapping[Op, _Rule] = {
    **{op: _word(kind) for op, kind in WORDS.items()},
    **{op: _word(kind, **_same("axis")) for op, (kind, _) in ALONG.items()},
    **{op: _reduction(kind) for op, kind in REDUCTIONS.items()},
    **dict.fromkeys(TRUTHS, _extreme),
    ops.not_equal: lambda w, node, inputs: _word("Not")(w, node, [w.emit("Equal", inputs)]),
    SPARSE_LOSS: _word("SoftmaxCrossEntropyLoss"),
    ops.split: _split,
    ops.cumsum: _listed("CumSum", itemgetter("axis"), **_same("exclusive", "reverse")),
    ops.stop_gradient: _word("Identity"),
    ops.with_gradient: lambda w, node, inputs: _word("Identity")(w, node, inputs[:1]),
    ops.cast: _word("Cast", to=lambda a: helper.np_dtype_to_tensor_dtype(a["dtype"].numpy)),
    ops.matmul: _matmul,
    ops.batch_matmul: _matmul,
    ops.linear: _linear,
    ops.conv2d: _conv,
    ops.max_pool2d: _word("MaxPool", **_POOL),
    ops.avg_pool2d: _word("AveragePool", count_include_pad=itemgetter("count_padding"), **_POOL),
    ops.batch_norm: _word("BatchNormalization", **_same("epsilon")),
    ops.layer_norm: _word("LayerNormalization", axis=lambda a: -1, **_same("epsilon")),
    ops.argmax: _word("ArgMax", keepdims=lambda a: 0, **_same("axis")),
    ops.flatten_layer: _word("Flatten", axis=lambda a: 1),
    ops.transpose: _word("Transpose", **_same("perm")),
    ops.reshape: _listed("Reshape", lambda a: [-1 if d is None else d for d in a["shape"]]),
    ops.broadcast_to: _listed("Expand", itemgetter("shape")),
    ops.expand_dims: _listed("Unsqueeze", lambda a: [a["axis"]]),
    ops.squeeze: _listed("Squeeze", itemgetter("axes")),
    ops.slice: _slice,
    ops.pad: _pad,
    ops.crop: _pad,
    ops.gelu: _word("Gelu"),
}
