"""Graphs, values, nodes and ops over the wire: the extension ``$g`` of the codec. Layer: wire.

Each end keeps a table of the nodes that crossed, in order; the judge's have even numbers, the
worker's odd ones. A node the other end knows crosses as its number, so the judge gets back its own
object, not a copy. A node the other end does not know travels once, in the section of the message,
after everything it needs: a cycle or a deep recursion cannot be written down. The judge looks
up the op in its own catalog and checks arity, attributes and outputs before anything is built.
Facts of a graph do not cross.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from autograder.wire import Caps, Extension, WireError, require
from tinyflow.errors import TinyflowError
from tinyflow.ir import Graph, Node, Op, Value, verify
from tinyflow.types import Device, DType

__all__ = ["MAX_NODES", "GraphWire"]

_MAX_NAME = 200  # characters of a node's name or of a string attribute
MAX_NODES = 500_000  # that may cross in the life of one worker
_MAX_SIZE = 1 << 40  # of a number in an attribute
_MAX_OUTPUTS = 4_096  # of an op whose attributes say how many it has
_MAX_ITEMS = 64  # of an attribute that is a tuple
_MAX_VERSION = 1_000_000


class GraphWire(Extension):
    """One end of the extension.

    ``nodes``: all that crossed, by number. ``made``: those that came from the other end, in order.
    """

    tag, hashable = "$g", True

    def __init__(self, ops: Mapping[str, Op], *, judge: bool) -> None:
        self._ops, self._judge = ops, judge
        self._parity = 0 if judge else 1
        self._foreign: dict[str, Op] = {}  # the judge's ops that are not in our catalog, by name
        self._source = "the student's" if judge else "given"  # where a node came from, in errors
        self._numbers: dict[Node, int] = {}
        self.nodes: dict[int, Node] = {}
        self._sent = 0  # nodes of ours that crossed
        self._pending: list[Node] = []  # nodes of ours in the message being written
        self.made: list[Node] = []

    def write(self, obj: object, write: Callable[[object], Any]) -> Any | None:
        """A letter for the kind, then numbers; None for objects of other kinds."""
        if isinstance(obj, Value):
            self._announce([obj.node])
            return ["v", *self._value(obj)]
        if isinstance(obj, Node):
            self._announce([obj])
            return ["n", self._numbers[obj]]
        if isinstance(obj, Graph):
            self._announce(value.node for value in obj.outputs)
            return ["g", *(self._value(value) for value in obj.outputs)]
        if isinstance(obj, Op):
            return ["o", obj.name]
        if isinstance(obj, DType):
            return ["t", obj.value]
        return None

    def section(self, write: Callable[[object], Any]) -> Any | None:
        """Rows of the nodes that the other end does not know, each after those it needs."""
        rows = [self._row(node, write) for node in self._pending]
        return rows or None

    def settle(self, sent: bool) -> None:
        """Keep the numbers of the nodes that left, or take them back."""
        for node in self._pending:
            number = self._numbers[node]
            if sent:
                self.nodes[number] = node
            else:
                del self._numbers[node]
        if sent:
            self._sent += len(self._pending)
        self._pending.clear()

    def _announce(self, roots: Iterable[Node]) -> None:
        """Number the unknown nodes below ``roots``, needs first. Iterative: chains are deep."""
        stack = [(root, False) for root in roots]
        while stack:
            node, ready = stack.pop()
            if node in self._numbers:
                continue
            if ready:
                self._numbers[node] = 2 * (self._sent + len(self._pending)) + self._parity
                self._pending.append(node)
            else:
                stack.append((node, True))
                stack += [(need, False) for need in _needs(node)]

    def _value(self, value: Value) -> list[int]:
        return [self._numbers[value.node], int(value.index), int(value.version)]

    def _row(self, node: Node, write: Callable[[object], Any]) -> list[Any]:
        inputs = [
            self._numbers[v.node] if not v.index and not v.version else self._value(v)
            for v in node.inputs
        ]
        device = str(node.device) if node.device else None
        after = [self._numbers[need] for need in node.after]
        op = node.op.name
        if self._judge and op not in self._ops:
            return [[op, len(node.outputs)], inputs, {}, node.name, after, device]
        attrs = {key: write(value) for key, value in node.attrs.items()}
        return [op, inputs, attrs, node.name, after, device]

    def open(self, content: Any | None, read: Callable[[Any], object], caps: Caps) -> None:
        """Build the nodes of a section; raises WireError naming the row and what is wrong."""
        rows = [] if content is None else content
        few = type(rows) is list and len(rows) <= caps.nodes
        require(few, f"more than {caps.nodes} new nodes in one answer")
        most = MAX_NODES if self._judge else math.inf
        require(len(self.made) + len(rows) <= most, f"more than {most} nodes made by one worker")
        for index, row in enumerate(rows):
            try:
                node = self._build(row, read)
            except (TinyflowError, WireError) as error:
                raise WireError(f"new node {index}: {error}") from None
            number = 2 * len(self.made) + 1 - self._parity
            self._numbers[node], self.nodes[number] = number, node
            self.made.append(node)

    def _build(self, row: Any, read: Callable[[Any], object]) -> Node:
        require(type(row) is list and len(row) == 6, "a node has six parts")
        name, inputs, attrs, label, after, device = row
        op = self._op(name)
        shaped = type(inputs) is list and type(after) is list and type(attrs) is dict
        require(shaped, "inputs, attributes or control dependencies of a wrong type")
        values = [self._read_value([x, 0, 0] if type(x) is int else x) for x in inputs]
        checked = {key: _attribute(op, key, read(item)) for key, item in attrs.items()}
        label = _name(label)
        for position in op.mutates:
            if position >= len(values) or values[position].node.op.name != "variable":
                raise WireError(f"op {name} must write a variable")
        needs = [self._node(number) for number in after]
        node = op.node(values, checked, name=label, after=needs, source=self._source)
        if device is None:
            return node
        return Node(op, node.inputs, node.attrs, label, node.after, _device(device), self._source)

    def _op(self, name: Any) -> Op:
        """The op of a row: of the catalog, or [name, outputs] for one that the judge made up."""
        if type(name) is list and not self._judge:
            label, count = name
            return self._foreign.setdefault(label, _opaque(label, count))
        require(type(name) is str and name in self._ops, "unknown op")
        return self._ops[name]

    def read(self, content: Any, read: Callable[[Any], object]) -> object:
        """The value, node, graph, op or dtype of ``content``; raises WireError."""
        require(type(content) is list and content != [], "not a graph, a value or a node")
        kind, *rest = content
        if kind == "v":
            return self._read_value(rest)
        if kind == "n" and len(rest) == 1:
            return self._node(rest[0])
        if kind == "g":
            return self._read_graph(rest)
        if kind == "o" and len(rest) == 1 and type(rest[0]) is str and rest[0] in self._ops:
            return self._ops[rest[0]]
        if kind == "t" and len(rest) == 1 and rest[0] in [dtype.value for dtype in DType]:
            return DType(rest[0])
        raise WireError("not a graph, a value or a node")

    def _read_graph(self, outputs: list[Any]) -> Graph:
        graph = Graph(tuple(self._read_value(output) for output in outputs))
        try:
            verify(graph, self._numbers)
        except TinyflowError as error:
            raise WireError(f"not a valid graph: {error}") from None
        return graph

    def _node(self, number: Any) -> Node:
        require(type(number) is int and number in self.nodes, "a reference to no node")
        return self.nodes[number]

    def _read_value(self, parts: Any) -> Value:
        triple = type(parts) is list and [type(part) for part in parts] == [int, int, int]
        require(triple, "a value is a node, an output and a version")
        node, index, version = self._node(parts[0]), parts[1], parts[2]
        if not 0 <= index < node.op.output_count(node.attrs):
            raise WireError(f"{node.where()} has no output {index}")
        if not 0 <= version <= (_MAX_VERSION if node.op.name == "variable" else 0):
            raise WireError(f"{node.where()} has no version {version}")
        return Value(node, index, version)


def _needs(node: Node) -> list[Node]:
    bodies = [node.attrs[k] for k, a in node.op.attributes.items() if a.kind == "graph"]
    inner = [value.node for body in bodies if isinstance(body, Graph) for value in body.outputs]
    return [*(value.node for value in reversed(node.inputs)), *node.after, *inner]


def _attribute(op: Op, key: str, value: object) -> object:
    """``value`` if it is small enough for its attribute; the op's schema then checks the kind."""
    attribute = op.attributes.get(key)
    if attribute is None:
        raise WireError(f"op {op.name} has no attribute of that name")
    where = f"attribute {key} of {op.name}"
    graph = attribute.kind == "graph" and value is not None
    require(isinstance(value, Graph) == graph, f"{where} is of a wrong kind")
    if attribute.kind == "array":
        require(isinstance(value, np.ndarray | int | float), f"{where} must be an array")
        return value
    most = _MAX_OUTPUTS if callable(op.outputs) else _MAX_SIZE
    items = value if isinstance(value, list | tuple) else [value]
    require(len(items) <= _MAX_ITEMS, f"{where} has more than {_MAX_ITEMS} parts")
    for item in items:
        nested = isinstance(item, list | tuple | dict | set | bytes | np.ndarray)
        require(not nested, f"{where} is of a wrong kind")
        large = isinstance(item, int) and abs(item) > most
        require(not large, f"{where} is larger than {most}")
        require(not isinstance(item, str) or len(item) <= _MAX_NAME, f"{where} is too long")
    return value


def _opaque(name: str, outputs: int) -> Op:
    """An op of which only the name and the number of outputs are known; it takes any inputs."""

    def unknown(attrs: Any, ins: Any, outs: Any) -> Any:
        return ins, outs

    names = tuple(f"y{index}" for index in range(outputs))
    return Op(name, ("x",), shape=unknown, dtype=unknown, outputs=names, variadic=True)


def _name(label: Any) -> str | None:
    if label is None:
        return None
    good = type(label) is str and len(label) <= _MAX_NAME and label.isprintable()
    require(good, f"a node's name must be at most {_MAX_NAME} printable characters")
    return str(label)


def _device(text: Any) -> Device:
    require(type(text) is str and len(text) <= 20, "not a device")
    return Device.parse(text)
