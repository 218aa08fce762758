"""Print a graph as text and read it back. Layer: ir.

    %0 = placeholder(dtype=float32, shape=[?, 784]) "x"
    %1 = variable(dtype=float32, shape=[784, 10]) "W"
    %2 = matmul(%0, %1)  # float32[100, 10]
    return %2

``%2:1`` is output 1, ``%1@2`` a read after two writes, ``after %3`` a control dependency. A graph
as an attribute stands in braces, its lines apart by ``¦``.
Attributes equal to their default are left out. Inferred types appear as comments when handed in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinyflow.errors import GraphError
from tinyflow.ir.graph import Graph
from tinyflow.ir.node import Node, Value
from tinyflow.ir.op import REQUIRED, Attribute, Op
from tinyflow.types import Device, show_shape

__all__ = ["decode_attr", "encode_attr", "parse", "read_op", "text"]


def text(graph: Graph, describe: Callable[[Value], str] | None = None) -> str:
    """Print ``graph``; ``describe(value)`` may add a comment such as ``float32[100, 10]``."""
    place = {node: index for index, node in enumerate(graph.nodes)}
    lines = []
    for node in graph.nodes:
        args = [_read(value, place) for value in node.inputs]
        args += [f"{key}={encode_attr(a, node.attrs[key])}" for key, a in _shown(node)]
        line = f"%{place[node]} = {node.op.name}({', '.join(args)})"
        if node.name:
            line += " " + json.dumps(node.name)
        if node.after:
            line += " after " + ", ".join(f"%{place[n]}" for n in node.after)
        if node.device:
            line += f" on {node.device}"
        if describe:
            comment = ", ".join(filter(None, map(describe, node.outputs)))
            line += f"  # {comment}" if comment else ""
        lines.append(line)
    lines.append("return " + ", ".join(_read(value, place) for value in graph.outputs))
    return "\n".join(lines).rstrip() + "\n"


def _shown(node: Node) -> list[tuple[str, Attribute]]:
    """Attributes that differ from their default; arrays, which compare by element, always."""
    return [
        (key, a)
        for key, a in node.op.attributes.items()
        if a.default is REQUIRED or a.kind == "array" or node.attrs[key] != a.default
    ]


def _read(value: Value, place: Mapping[Node, int]) -> str:
    index = f":{value.index}" if value.index else ""
    return f"%{place[value.node]}{index}" + (f"@{value.version}" if value.version else "")


def encode_attr(attribute: Attribute, value: Any) -> str:
    """One attribute as text that ``decode_attr`` reads back to an equal value."""
    if value is None:
        return "None"
    if attribute.kind == "shape":
        return show_shape(value)
    if attribute.kind == "dtype":
        return str(value)
    if attribute.kind == "graph":
        body = text(value).rstrip()
        return json.dumps(body) if "¦" in body else "{" + body.replace("\n", " ¦ ") + "}"
    if attribute.kind == "array":
        listed = json.dumps(value.tolist())
        weak = value.ndim == 0 and value.dtype.name in ("float64", "int64", "bool")
        sizes = f", {list(value.shape)}" if value.size == 0 else ""  # [] alone loses (0, 3)
        return listed if weak else f"{value.dtype.name}({listed}{sizes})"
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def decode_attr(attribute: Attribute, source: str, ops: Mapping[str, Op]) -> Any:
    """Read one attribute written by ``encode_attr``; raises GraphError."""
    try:
        if source == "None":
            return attribute.check(None)
        if attribute.kind == "dtype":
            return attribute.check(source)
        if attribute.kind == "graph":
            braced = source.startswith("{")
            return parse(source[1:-1].replace("¦", "\n") if braced else json.loads(source), ops)
        if attribute.kind == "array" and (match := re.fullmatch(r"(\w+)\((.*)\)", source, re.S)):
            content = json.loads(f"[{match[2]}]")
            array = np.array(content[0], match[1])
            return attribute.check(array.reshape(content[1]) if len(content) > 1 else array)
        if attribute.kind == "shape":
            source = source.replace("?", "null")
        return attribute.check(json.loads(source))
    except (ValueError, TypeError, IndexError, RecursionError) as error:
        expected = f"a value of kind {attribute.kind}"
        raise GraphError("cannot read an attribute", got=source[:80], expected=expected) from error


def read_op(
    name: str, attrs: Mapping[str, str], ops: Mapping[str, Op]
) -> tuple[Op, Mapping[str, Any]]:
    """The op of a node that was written down, and its attributes; raises GraphError.

    ``attrs`` are as ``encode_attr`` wrote them; ``ops`` maps op names to ops.
    """
    if name not in ops:
        raise GraphError("unknown op", got=repr(name)[:80], expected="an op of the catalog")
    found = {}
    for key, value in attrs.items():
        attribute = ops[name].attribute(key)
        try:
            found[key] = decode_attr(attribute, value, ops)
        except GraphError as error:
            raise error.within(f"attribute '{key}'") from None
    return ops[name], found


_LINE = re.compile(
    r'%(?P<id>\d+) = (?P<op>\w+)\((?P<args>.*)\)(?: (?P<name>"(?:[^"\\]|\\.)*"))?'
    r"(?: after (?P<after>%\d+(?:, %\d+)*))?(?: on (?P<device>\S+))?\s*(?:#.*)?"
)
_VALUE = re.compile(r"%(\d+)(?::(\d+))?(?:@(\d+))?")
_MARK = re.compile(r'"(?:[^"\\]|\\.)*"|[][(){},]')  # a string counts as one mark


def parse(source: str, ops: Mapping[str, Op]) -> Graph:
    """Read a graph printed by ``text``; ``ops`` maps op names to ops.

    Raises GraphError naming the line: unknown op, use before definition, wrong attribute.
    """
    nodes: dict[str, Node] = {}
    outputs: tuple[Value, ...] | None = None
    for number, line in enumerate(source.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        try:
            if line.startswith("return"):
                outputs = _values(line[6:], nodes)
            else:
                _parse_node(line, nodes, ops)
        except GraphError as error:
            raise error.within(f"line {number}") from None
    if outputs is None:
        raise GraphError("the text has no 'return' line")
    return Graph(outputs)


def _parse_node(line: str, nodes: dict[str, Node], ops: Mapping[str, Op]) -> None:
    match = _LINE.fullmatch(line)
    if not match:
        raise GraphError("cannot read this", got=line[:80], expected='%N = op(...) "name"')
    inputs: list[Value] = []
    attrs: dict[str, str] = {}
    for item in _split(match["args"]):
        if item.startswith("%"):
            inputs += _values(item, nodes)
        else:
            key, _, attrs[key] = item.partition("=")
    name = json.loads(match["name"]) if match["name"] else None
    after = [v.node for v in _values(match["after"] or "", nodes)]
    device = Device.parse(match["device"]) if match["device"] else None
    op, found = read_op(match["op"], attrs, ops)
    made = op.node(inputs, found, name=name, after=after, device=device, source="text")
    nodes[match["id"]] = made


def _values(source: str, nodes: Mapping[str, Node]) -> tuple[Value, ...]:
    found = []
    for item in filter(None, (part.strip() for part in source.split(","))):
        match = _VALUE.fullmatch(item)
        if not match or match[1] not in nodes:
            raise GraphError("not a value defined above", got=item[:80])
        found.append(Value(nodes[match[1]], int(match[2] or 0), int(match[3] or 0)))
    return tuple(found)


def _split(args: str) -> list[str]:
    """Split at commas outside brackets and strings."""
    parts, depth, start = [], 0, 0
    for found in _MARK.finditer(args):
        depth += (found[0] in "([{") - (found[0] in ")]}")
        if found[0] == "," and not depth:
            parts.append(args[start : found.start()])
            start = found.end()
    return [part for part in map(str.strip, (*parts, args[start:])) if part]
