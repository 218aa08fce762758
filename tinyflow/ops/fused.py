"""A group of nodes that runs as one kernel. Layer: ops."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

from tinyflow.errors import DTypeError
from tinyflow.ir import Graph
from tinyflow.ir.graph import once
from tinyflow.ir.node import Node, Value
from tinyflow.ir.op import Attribute, DTypes, Op, Shapes, attrs_key
from tinyflow.ops.rules import Attrs
from tinyflow.ops.state import placeholder
from tinyflow.ops.sweep import Group
from tinyflow.types import DType, elements, unify_shape

__all__ = ["body_inputs", "by_element", "fused", "group_body", "likeness"]

T = TypeVar("T")


@once
def body_inputs(body: Graph) -> tuple[Value, ...]:
    """The inputs of a body in order: its placeholders "x0", "x1", ..."""
    leaves = [node for node in body.nodes if node.op.name == "placeholder"]
    return tuple(n.outputs[0] for n in sorted(leaves, key=lambda n: int((n.name or "x0")[1:])))


def by_element(node: Node) -> bool:
    """True if a result is made of the elements at its place, and of numbers: any layout will do.

    So it is for elementwise ops, and for groups of such ops that stretch nothing but numbers.
    """
    if node.op.name != "fused":
        return node.op.expr is not None

    def is_number(value: Value) -> bool:
        return value.node.op.leaf and elements(value.node.attrs.get("shape", ())) == 1

    inside = node.attrs["body"].nodes
    return all(n.op.expr or n.op.leaf or all(map(is_number, n.inputs)) for n in inside)


def likeness(group: Group, results: Sequence[Value]) -> Hashable:
    """Equal for groups with the same body: the same nodes, named alike, from the same lines.

    A network of a thousand layers has a thousand groups, but a handful of bodies.
    """
    place: dict[tuple[Value, int], int] = {}
    lines: list[Hashable] = []
    for value, version in group.inputs:
        kind = group.shapes[value], group.dtypes[value]
        lines.append(value if group.is_number(value) else kind)
        place[value, version] = len(place)
    for node in group.nodes:
        read = tuple([place[value, value.version] for value in node.inputs])
        lines.append((node.op, read, attrs_key(node.attrs), node.name, node.source, node.device))
        place[node.outputs[0], 0] = len(place)
    return (*lines, *[place[value, 0] for value in results])


def group_body(group: Group, results: Sequence[Value]) -> tuple[Graph, Mapping[Value, Value]]:
    """A body that computes ``results`` of a group, and what its values stand for.

    The placeholders "x0", "x1", ... of the body stand for what the group reads, in that order.
    Constant numbers stay constants inside; two versions of a variable are two inputs.
    """
    inner: dict[tuple[Value, int], Value] = {}
    count = 0
    for value, version in group.inputs:
        inner[value, version] = value
        if not group.is_number(value):
            shape, dtype = group.shapes[value], group.dtypes[value]
            inner[value, version] = placeholder(dtype=dtype, shape=shape, name=f"x{count}")
            count += 1
    for node in group.nodes:
        made = node.with_inputs(tuple(inner[value, value.version] for value in node.inputs), ())
        inner[node.outputs[0], 0] = made.outputs[0]
    body = Graph(tuple(inner[value, 0] for value in results))
    return body, {new: old for (old, _), new in inner.items()}


def _outputs(attrs: Attrs) -> tuple[str, ...]:
    return tuple(f"y{i}" for i in range(len(attrs["body"].outputs)))


def _forward(
    body: Graph,
    ins: Sequence[T | None],
    rule: Callable[[Node, Sequence[T | None], Sequence[T | None]], Sequence[T | None]],
    unify: Callable[[T | None, T | None], T | None],
) -> tuple[Sequence[T | None], Sequence[T | None]]:
    """What the rules of the nodes say, from the inputs to the outputs."""
    inputs = body_inputs(body)
    known = dict(zip(inputs, ins))
    for node in body.nodes:
        found = rule(node, [known[v] for v in node.inputs], [None for _ in node.outputs])
        for value, new in zip(node.outputs, found):
            known[value] = unify(known.get(value), new)
    return [known[v] for v in inputs], [known[v] for v in body.outputs]


def _pairs(attrs: Attrs) -> tuple[tuple[int, int], ...]:
    """Any input for any output of its shape: a kernel writes an element after its last read."""
    body = attrs["body"]
    return tuple((i, o) for i in range(len(body_inputs(body))) for o in range(len(body.outputs)))


def _body_shape(attrs: Attrs, ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    """Forwards through the body."""
    found, results = _forward(
        attrs["body"], ins, lambda n, i, o: n.op.shape(n.attrs, i, o)[1], unify_shape
    )
    return found, [unify_shape(a, b) for a, b in zip(results, outs)]


def _body_dtype(attrs: Attrs, ins: DTypes, outs: DTypes) -> tuple[DTypes, DTypes]:
    """Forwards through the body."""

    def unify(a: DType | None, b: DType | None) -> DType | None:
        if a is not None and b is not None and a is not b:
            raise DTypeError("dtypes contradict", got=a, expected=b, fix="Insert a cast.")
        return b if a is None else a

    found, results = _forward(
        attrs["body"], ins, lambda n, i, o: n.op.dtype(n.attrs, i, o)[1], unify
    )
    return found, [unify(a, b) for a, b in zip(results, outs)]


fused = Op(
    "fused",
    inputs=("x",),
    variadic=True,
    outputs=_outputs,
    attributes={"body": Attribute("graph", doc="what is computed, from placeholders x0, x1, ...")},
    inplace=_pairs,
    shape=_body_shape,
    dtype=_body_dtype,
    doc="The outputs of ``body``, a graph of elementwise ops and reductions, by one kernel.",
)
