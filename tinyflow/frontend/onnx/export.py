"""Export to ONNX: one rule for each op that it can say. Layer: frontend."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tinyflow import ops
from tinyflow.errors import GraphError
from tinyflow.frontend.inference import for_inference
from tinyflow.frontend.onnx.words import ALONG, REDUCTIONS, WORDS
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

    Args:
        network: a tensor or several, or a graph, such as ``symbol.graph()`` of the mx front end.
        variables: the session that holds the contents, or arrays by name.
        path: file to write as well.
        opset: 17 to 20. What has read files since 2022 reads 17; 20 has a word for gelu.

    Unknown sizes stay open. Raises GraphError naming an op that ONNX has no word for or a variable
    without content, and for another opset, RunError for a variable that the session has not
    initialised.
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
    graph = infer(Graph(specialise(graph).outputs).with_fact(KNOWN_SHAPES, shapes))
    writer = _Writer(graph, {node.name: array for node, array in contents.items()}, opset)
    model = helper.make_model(
        writer.graph(),
        producer_name="tinyflow",
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=OPSETS[opset],
    )
    onnx.checker.check_model(model)
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

    def __init__(
        self, graph: Graph, contents: Mapping[str | None, np.ndarray[Any, Any]], opset: int
    ) -> None:
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
            elif node.op in (ops.variable, ops.CONSTANT):
                kind = (self.dtypes[Value(node)] or DType.float32).numpy
                array = self.contents.get(node.name, node.attrs.get("value"))
                self.names[Value(node)] = self.store(np.asarray(array, kind), node.name)
            elif rule := _RULES.get(node.op):
                rule(self, node, [self.name(value) for value in node.inputs])
            else:
                known = ", ".join(op.name for op in _RULES)
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
            got = f"output {value.index}"
            raise GraphError(
                "ONNX has no such output", node=value.node, got=got, expected="output 0"
            )
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
        """A node with one output, and the name of that."""
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
    """An op that ONNX has too; ``given`` makes its attributes from those here, None: not given."""

    def rule(w: _Writer, node: Node, inputs: list[str]) -> None:
        w.names[Value(node)] = w.emit(kind, inputs, node.name, **_made(given, node.attrs))

    return rule


def _made(given: Mapping[str, Callable[[Any], Any]], attrs: Mapping[str, Any]) -> dict[str, Any]:
    """ONNX's attributes from those here, but for None."""
    return {key: value for key, make in given.items() if (value := make(attrs)) is not None}


def _matmul(w: _Writer, node: Node, inputs: list[str]) -> None:
    turned = []
    for name, value, flag in zip(inputs, node.inputs, ("transpose_a", "transpose_b")):
        *lead, n, k = range(w.rank(value))
        turned.append(w.emit("Transpose", [name], perm=[*lead, k, n]) if node.attrs[flag] else name)
    w.names[Value(node)] = w.emit("MatMul", turned, node.name)


def _linear(w: _Writer, node: Node, inputs: list[str]) -> None:
    rows = w.emit("Flatten", inputs[:1], axis=1) if w.rank(node.inputs[0]) > 2 else inputs[0]
    w.names[Value(node)] = w.emit("Gemm", [rows, *inputs[1:]], node.name, transB=1)


def _filled(w: _Writer, node: Node, inputs: list[str]) -> None:
    fill = float(node.op is ops.ones)
    array = np.full(node.attrs["shape"], fill, node.attrs["dtype"].numpy)
    w.names[Value(node)] = w.store(array, node.name)


def _listed(kind: str, numbers: Callable[[Node], Any]) -> _Rule:
    """An op with numbers that are an input in ONNX; none, if they are None."""

    def rule(w: _Writer, node: Node, inputs: list[str]) -> None:
        given = numbers(node)
        more = [] if given is None else [w.store(np.array(given, "int64"))]
        w.names[Value(node)] = w.emit(kind, [*inputs, *more], node.name)

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


def _gelu(w: _Writer, node: Node, inputs: list[str]) -> None:
    """x * (1 + erf(x / √2)) / 2 where there is no word for it."""
    if w.opset >= 20:
        return _word("Gelu")(w, node, inputs)
    kind = (w.dtypes[node.inputs[0]] or DType.float32).numpy
    one, root, half = (w.store(np.array(number, kind)) for number in (1, 2**0.5, 0.5))
    share = w.emit("Add", [w.emit("Erf", [w.emit("Div", [inputs[0], root])]), one])
    whole = w.emit("Mul", [inputs[0], share])
    w.names[Value(node)] = w.emit("Mul", [whole, half], node.name)
    return None


def _reduction(kind: str) -> _Rule:
    def rule(w: _Writer, node: Node, inputs: list[str]) -> None:
        axes, keep = node.attrs["reduction_indices"], int(node.attrs["keepdims"])
        axes = tuple(range(w.rank(node.inputs[0]))) if axes is None else axes
        given: dict[str, Any] = {"axes": axes}
        if kind == "ReduceSum" or w.opset >= 18:
            given, inputs = {"noop_with_empty_axes": 1}, [*inputs, w.store(np.array(axes, "int64"))]
        word = ("Identity", {}) if not axes else (kind, {**given, "keepdims": keep})
        w.names[Value(node)] = w.emit(word[0], inputs if axes else inputs[:1], node.name, **word[1])

    return rule


_WINDOW: dict[str, Any] = {
    "strides": lambda a: a["strides"],
    "pads": lambda a: None if a["padding"] is None else [a["padding"][i] for i in (0, 2, 1, 3)],
    "auto_pad": lambda a: "SAME_UPPER" if a["padding"] is None else None,
}
_CONV: dict[str, Any] = {
    "group": lambda a: a["groups"],
    "dilations": lambda a: a["dilations"],
    **_WINDOW,
}


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
    w.names[Value(node)] = w.emit("Conv", inputs, node.name, **_made(_CONV, attrs))


_POOL: dict[str, Any] = {"kernel_shape": lambda a: a["ksize"], **_WINDOW}
_AXIS: dict[str, Any] = {"axis": lambda a: a["axis"]}
_EPSILON: dict[str, Any] = {"epsilon": lambda a: a["epsilon"]}

_RULES: Mapping[Op, _Rule] = {
    **{op: _word(kind) for op, kind in WORDS.items()},
    **{op: _word(kind, **_AXIS) for op, (kind, _) in ALONG.items()},
    **{op: _reduction(kind) for op, kind in REDUCTIONS.items()},
    ops.stop_gradient: _word("Identity"),
    ops.with_gradient: lambda w, node, inputs: _word("Identity")(w, node, inputs[:1]),
    ops.cast: _word("Cast", to=lambda a: helper.np_dtype_to_tensor_dtype(a["dtype"].numpy)),
    ops.matmul: _matmul,
    ops.batch_matmul: _matmul,
    ops.linear: _linear,
    ops.conv2d: _conv,
    ops.max_pool2d: _word("MaxPool", **_POOL),
    ops.avg_pool2d: _word(
        "AveragePool", count_include_pad=lambda a: int(a["count_padding"]), **_POOL
    ),
    ops.batch_norm: _word("BatchNormalization", **_EPSILON),
    ops.layer_norm: _word("LayerNormalization", axis=lambda a: -1, **_EPSILON),
    ops.argmax: _word("ArgMax", keepdims=lambda a: 0, **_AXIS),
    ops.flatten_layer: _word("Flatten", axis=lambda a: 1),
    ops.transpose: _word("Transpose", perm=lambda a: a["perm"]),
    ops.reshape: _listed("Reshape", lambda n: [-1 if d is None else d for d in n.attrs["shape"]]),
    ops.broadcast_to: _listed("Expand", lambda n: n.attrs["shape"]),
    ops.expand_dims: _listed("Unsqueeze", lambda n: [n.attrs["axis"]]),
    ops.squeeze: _listed("Squeeze", lambda n: n.attrs["axes"]),
    ops.slice: _slice,
    ops.pad: _pad,
    ops.crop: _pad,
    ops.gelu: _gelu,
    ops.zeros: _filled,
    ops.ones: _filled,
}
