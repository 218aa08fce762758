"""Draw a graph as SVG, without help from outside: no Graphviz, no JavaScript. Layer: viz.

    draw(gradient(Graph((loss,)), [w]))          shows itself in a notebook
    draw(graph).save("graph.svg")

Numbers such as %3 are those of ``tinyflow.ir.text(graph)``; resting the pointer on a box shows its
line of that text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Container, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tinyflow.errors import TinyflowError
from tinyflow.ir import CONSTANT, Graph, Node, Value, text
from tinyflow.passes.infer import SHAPES, infer
from tinyflow.passes.infer import describe as from_facts
from tinyflow.viz.svg import Box, Edge, document, message

__all__ = ["Drawing", "draw"]

LIMIT = 400  # nodes; more cannot be read in one picture
_BACKWARD = re.compile(r"ones_like|(sum|broadcast|reshape)_like|\w+_grad|size")
_COMMUTATIVE = ("add", "mul", "equal")


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture; ``svg`` is a complete SVG document, shown by notebooks."""

    svg: str

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_html_(self) -> str:
        return f'<div style="overflow:auto; max-height:80vh">{self.svg}</div>'

    def save(self, path: str | Path) -> None:
        """Write the SVG to a file."""
        Path(path).write_text(self.svg, encoding="utf-8")


def draw(
    graph: Graph,
    describe: Callable[[Value], str] | None = None,
    forward: Graph | None = None,
    limit: int = LIMIT,
) -> Drawing:
    """Draw ``graph`` from its leaves (top) to its outputs (bottom).

    Args:
        graph: what to draw.
        describe: text below a value, such as ``float32[100, 10]``. None: what ``infer`` finds out.
        forward: nodes that are not in this graph are drawn as backward. None: the nodes that follow
            from ops which only gradient rules use.
        limit: above this number of nodes a summary takes the place of the picture.

    Boxes are coloured by kind: leaf, forward, backward, state. A dotted arrow is read for its shape
    only, a dashed one is a control dependency, ``@2`` a variable read after two writes.
    """
    if len(graph.nodes) > limit:
        return Drawing(_summary(graph, limit))
    boxes = _boxes(graph, describe or _inferred(graph), _backward(graph, forward))
    return Drawing(document(boxes, list(_edges(graph))))


def _inferred(graph: Graph) -> Callable[[Value], str]:
    if SHAPES not in graph.facts:
        with suppress(TinyflowError, NotImplementedError):
            graph = infer(graph)  # if it fails: a picture without shapes helps to see why
    return from_facts(graph)


def _backward(graph: Graph, forward: Graph | None) -> Container[Node]:
    if forward is not None:
        return set(graph.nodes) - set(forward.nodes)
    found: set[Node] = set()
    for node in graph.nodes:
        follows = any(value.node in found for value in node.inputs)
        if follows or _BACKWARD.fullmatch(node.op.name):
            found.add(node)
    return found


def _boxes(graph: Graph, describe: Callable[[Value], str], backward: Container[Node]) -> list[Box]:
    tips = [line.strip() for line in text(graph, describe).splitlines()]
    boxes = [
        _box(node, index, _kind(node, backward), describe, tips[index])
        for index, node in enumerate(graph.nodes)
    ]
    several = len(graph.outputs) > 1
    return boxes + [
        Box("output", (f"output {i}" if several else "output",)) for i in range(len(graph.outputs))
    ]


def _kind(node: Node, backward: Container[Node]) -> str:
    if node.op is CONSTANT:
        return "constant"
    if node.op.mutates or node.op.name == "group":
        return "state"
    if node.is_leaf:
        return "leaf"
    return "backward" if node in backward else "forward"


def _box(node: Node, index: int, kind: str, describe: Callable[[Value], str], tip: str) -> Box:
    call = re.match(r"%\d+ = \w+\((.*?)\)(?: \"| after | on |\s*#|$)", tip)
    items = re.findall(r"\w+=(?:\[.*?\]|[^,]*)", call[1] if call else "")
    title, lines = node.op.name, []
    if node.op is CONSTANT:
        title = _short(items[0].partition("=")[2] if items else "constant", 14)
        items = []
    elif node.is_leaf and node.name:
        title, items = _short(node.name), [node.op.name]
    elif node.name:
        lines.append(f'"{_short(node.name)}"')
    if items:
        lines.append(_short(", ".join(items)))
    if node.op.name != "group":  # it has no value
        lines += [_short(words) for words in map(describe, node.outputs) if words]
    if node.device:
        lines.append(f"on {node.device}")
    return Box(kind, _wrapped(title), tuple(lines), f"%{index}", tip)


def _wrapped(title: str) -> tuple[str, ...]:
    """A long op name in lines that end at an underscore."""
    lines = [""]
    for word in re.findall(r".[^_]*_*", _short(title, 60)):
        if lines[-1] and len(lines[-1] + word) > 26:
            lines.append("")
        lines[-1] += word
    return tuple(lines)


def _short(words: str, most: int = 38) -> str:
    return words if len(words) <= most else words[: most - 1] + "…"


def _edges(graph: Graph) -> Iterator[Edge]:
    place = {node: index for index, node in enumerate(graph.nodes)}
    for target, node in enumerate(graph.nodes):
        named = len(node.inputs) > 1 and node.op.name not in _COMMUTATIVE
        for position, value in enumerate(node.inputs):
            style = "shape" if position in node.op.shape_only else "data"
            names = node.op.inputs
            label = names[min(position, len(names) - 1)] if named else ""
            yield Edge(place[value.node], target, style, _read(value), label)
        for other in node.after:
            yield Edge(place[other], target, "after")
    for i, value in enumerate(graph.outputs):
        yield Edge(place[value.node], len(place) + i, "data", _read(value))


def _read(value: Value) -> str:
    return (f":{value.index}" if value.index else "") + (
        f"@{value.version}" if value.version else ""
    )


def _summary(graph: Graph, limit: int) -> str:
    counts = Counter(node.op.name for node in graph.nodes).most_common(12)
    return message(
        [
            f"{len(graph.nodes):,} nodes are too many for one picture (limit {limit}).",
            "Draw a part: draw(Graph((value,))). Or print it: text(graph).",
            *(f"{count:>7,} × {name}" for name, count in counts),
        ]
    )
