"""Draw a graph as SVG, without help from outside: no Graphviz, no JavaScript. Layer: viz.

    draw(gradient(Graph((loss,)), [w]))          shows itself in a notebook
    draw(graph).save("graph.svg")
    draw(graph, nodes=range(40, 80))             a part of a large one

Numbers such as %3 are those of ``tinyflow.ir.text(graph)``; resting the pointer on a box shows its
line of that text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any

from tinyflow.errors import GraphError, TinyflowError
from tinyflow.frontend.tf import Tensor
from tinyflow.ir import CONSTANT, Graph, Node, Value, text, users
from tinyflow.ir.text import encode_attr
from tinyflow.ops import fused
from tinyflow.passes.infer import SHAPES, infer
from tinyflow.passes.infer import describe as from_facts
from tinyflow.viz.picture import Drawing
from tinyflow.viz.svg import Arrow, Box, document

__all__ = ["backward_nodes", "draw"]

LIMIT = 250  # nodes; more cannot be read in one picture
PARTS, MEMBERS = 12, 14  # boxes of an overview, members of a fused group that are listed
_BACKWARD = re.compile(r"ones_like|(sum|broadcast|reshape)_like|\w+_grad|size")
_COMMUTATIVE = ("add", "mul", "equal")


def draw(
    graph: Graph | Tensor | Sequence[Tensor],
    describe: Callable[[Value], str] | None = None,
    forward: Graph | None = None,
    limit: int = LIMIT,
    nodes: range | None = None,
) -> Drawing:
    """Draw ``graph`` from its leaves (top) to its outputs (bottom); as words, its text.

    Args:
        graph: what to draw; a tensor, or a list of them, stands for what computes it.
        describe: text below a value, such as ``float32[100, 10]``. None: what ``infer`` finds out.
        forward: nodes that are not in this graph are drawn as backward. None: the nodes that follow
            from ops which only gradient rules use, and those that only updates need.
        limit: above this number of nodes a few boxes stand for many nodes each.
        nodes: draw only these, by number, and what they read. None: all.

    Boxes are coloured by kind: leaf, forward, backward, state; a bar at the left tells the device.
    A fused group lists what it computes. A dotted arrow is read for its shape only, a dashed one is
    a control dependency, ``@2`` a variable read after two writes.

    Raises GraphError if ``nodes`` are not in the graph, or it is none.
    """
    if not isinstance(graph, Graph):
        tensors: Sequence[Any] = graph if isinstance(graph, list | tuple) else [graph]
        if not all(isinstance(tensor, Tensor) for tensor in tensors):
            raise GraphError("cannot draw", got=repr(graph)[:80], expected="a graph or tensors")
        graph = Graph(tuple(tensor.value for tensor in tensors))
    chosen = _chosen(graph, nodes)
    backward = backward_nodes(graph, forward)
    if len(chosen) > limit:
        return Drawing(_overview(graph, chosen, backward), text(graph))
    describe = describe or _inferred(graph)
    words = text(graph, describe)
    tips, count = words.splitlines(), len(graph.nodes)
    arrows = [a for a in _arrows(graph) if (a.source if a.target >= count else a.target) in chosen]
    shown = sorted({*chosen, *(a.source for a in arrows), *(a.target for a in arrows)})
    boxes = []
    for i in shown:
        if i >= count:
            number = f" {i - count}" if len(graph.outputs) > 1 else ""
            boxes.append(Box("output", (f"output{number}",)))
        else:
            kind = _kind(graph.nodes[i], backward) if i in chosen else "elsewhere"
            boxes.append(_box(f"%{i}", graph.nodes[i], kind, describe, tips[i]))
    place = {i: at for at, i in enumerate(shown)}
    moved = [replace(a, source=place[a.source], target=place[a.target]) for a in arrows]
    return Drawing(document(boxes, moved), words)


def _chosen(graph: Graph, nodes: range | None) -> range:
    every = range(len(graph.nodes))
    if nodes is None:
        return every
    if not nodes or nodes.step != 1 or nodes[0] not in every or nodes[-1] not in every:
        fix = "Give the numbers of some nodes, such as range(0, 10)."
        raise GraphError("no such nodes", got=nodes, expected=f"part of {every}", fix=fix)
    return nodes


def _inferred(graph: Graph) -> Callable[[Value], str]:
    if SHAPES not in graph.facts:
        with suppress(TinyflowError, NotImplementedError):
            graph = infer(graph)  # if it fails: a picture without shapes helps to see why
    return from_facts(graph)


def backward_nodes(graph: Graph, forward: Graph | None = None) -> set[Node]:
    """The nodes of the backward pass and of updates, as far as the graph shows it."""
    if forward is not None:
        return set(graph.nodes) - set(forward.nodes)
    found: set[Node] = set()
    results = [v for v in graph.outputs if not v.node.op.mutates and v.node.op.name != "group"]
    if results and len(results) < len(graph.outputs):
        found |= set(graph.nodes) - set(Graph(tuple(results)).nodes)
    for node in graph.nodes:
        follows = any(value.node in found for value in node.inputs)
        if follows or _BACKWARD.fullmatch(node.op.name):
            found.add(node)
    return found


def _kind(node: Node, backward: Container[Node]) -> str:
    if node.op.mutates or node.op.name == "group":
        return "state"
    if node.is_leaf:
        return "constant" if node.op is CONSTANT else "leaf"
    return "backward" if node in backward else "forward"


def _box(number: str, node: Node, kind: str, describe: Callable[[Value], str], tip: str) -> Box:
    attrs = {
        key: encode_attr(a, node.attrs[key])
        for key, a in node.op.attributes.items()
        if a.kind != "graph" and (a.kind == "array" or node.attrs[key] != a.default)
    }  # an array equals nothing
    body = node.attrs.get("body") if node.op is fused else None
    title, lines = node.op.name, [f'"{node.name}"'] if node.name and body is None else []
    if kind == "constant":
        title = attrs["value"] if len(attrs["value"]) < 14 else "constant"
    elif kind == "leaf" and node.name:
        title, lines = _short(node.name), [title]
    else:
        lines.append(", ".join(f"{key}={value}" for key, value in attrs.items()))
    if node.op.name != "group":  # it has no value
        lines += map(describe, node.outputs)
    lines.append(f"on {node.device}" if node.device else "")
    titles = re.findall(r".{1,25}(?:_|$)|.+", title)
    words = tuple(map(_short, filter(None, lines)))
    ports, inside = tuple(_input_names(node)), () if body is None else tuple(_members(body))
    device = str(node.device) if node.device else ""
    return Box(kind, tuple(titles), words, number, tip, ports, inside, device)


def _members(body: Graph) -> Iterator[str]:
    """What a fused group computes, a line each: ``t1 = sub(x0, t0)``, results ``y0, y1, ...``"""
    names = {value: f"y{i}" for i, value in enumerate(body.outputs)}
    steps = [node for node in body.nodes if not node.is_leaf]
    for node in body.nodes:
        for value in node.outputs:
            if node.op is CONSTANT:
                names[value] = f"{node.attrs['value'].item():.4g}"
            elif node.is_leaf:
                names[value] = node.name or "?"
            else:
                names.setdefault(value, f"t{steps.index(node)}")
    for node in steps[:MEMBERS]:
        inputs = ", ".join(names[value] for value in node.inputs)
        yield f"{', '.join(names[v] for v in node.outputs)} = {node.op.name}({inputs})"
    if len(steps) > MEMBERS:
        yield f"… and {len(steps) - MEMBERS} more"


def _input_names(node: Node) -> list[str]:
    """A word per input, where their order matters, and which output or version it reads."""
    names, last = node.op.inputs, len(node.op.inputs) - 1
    if node.op is fused:
        names, last = tuple(f"x{i}" for i in range(len(node.inputs))), len(node.inputs)
    named = len(node.inputs) > 1 and node.op.name not in _COMMUTATIVE
    words = (names[min(i, last)] if named else "" for i in range(len(node.inputs)))
    return [word + _read(value) for word, value in zip(words, node.inputs)]


def _short(words: str) -> str:
    return words if len(words) <= 40 else words[:39] + "…"


def _arrows(graph: Graph) -> Iterator[Arrow]:
    place = {node: index for index, node in enumerate(graph.nodes)}
    for target, node in enumerate(graph.nodes):
        for i, (value, name) in enumerate(zip(node.inputs, _input_names(node))):
            kind = "shape only" if i in node.op.shape_only else "value"
            yield Arrow(place[value.node], target, kind, name)
        for other in node.after:
            yield Arrow(place[other], target, "runs after")
    for i, value in enumerate(graph.outputs):
        yield Arrow(place[value.node], len(place) + i, end=_read(value))


def _read(value: Value) -> str:
    return f":{value.index}" * (value.index > 0) + f"@{value.version}" * (value.version > 0)


def _overview(graph: Graph, chosen: range, backward: Container[Node]) -> str:
    """Boxes that stand for successive nodes each, cut where few values cross."""
    parts = _parts(graph, chosen)
    part_of = {graph.nodes[i]: at for at, part in enumerate(parts) for i in part}
    crossing = Counter(
        (part_of[value.node], part_of[node])
        for node in part_of
        for value in set(node.inputs)
        if part_of.get(value.node, part_of[node]) != part_of[node]
    )
    boxes: list[Box] = []
    for part in parts:
        members = graph.nodes[part.start : part.stop]
        counts = Counter(node.op.name for node in members).most_common(5)
        lines = [f"{len(part)} nodes", *(f"{n:>5,} × {name}" for name, n in counts)]
        kinds = Counter(_kind(n, backward) for n in members if not n.is_leaf) or {"leaf": 1}
        kind = max(kinds, key=lambda kind: kinds[kind])
        ports = [str(count) for (_, target), count in crossing.items() if target == len(boxes)]
        title = (f"%{part[0]} to %{part[-1]}",)
        boxes.append(Box(kind, title, tuple(lines), ports=tuple(ports)))
    arrows = [Arrow(a, b, end=str(count)) for (a, b), count in sorted(crossing.items())]
    what = f"{len(chosen):,} nodes are too many for one picture: {len(parts)} boxes stand for them."
    first = f"range({parts[0][0]}, {parts[0][-1] + 1})"
    advice = f"A number at an arrow counts values. Draw a part: draw(graph, nodes={first})."
    return document(boxes, arrows, (what, advice))


def _parts(graph: Graph, chosen: range) -> list[range]:
    """Successive ranges of about the same length; each cut looks for few values that cross it."""
    place = {node: i for i, node in enumerate(graph.nodes)}
    change = [0] * (len(place) + 1)
    for value, uses in users(graph).items():
        change[place[value.node] + 1] += 1
        change[max(place[user] for user, _ in uses) + 1] -= 1
    crossing = list(accumulate(change))  # values made before node i and read by it or later
    step = len(chosen) / PARTS
    cuts = [chosen.start]
    for k in range(1, PARTS):
        middle, near = chosen.start + k * step, int(step / 3)
        around = range(int(middle) - near, int(middle) + near + 1)
        cuts.append(min(around, key=lambda i: (crossing[i], abs(i - middle))))
    cuts = sorted({*cuts, chosen.stop})
    return [range(a, b) for a, b in pairwise(cuts)]
