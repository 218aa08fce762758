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
from tinyflow.ir.text import encode_attr
from tinyflow.passes.infer import SHAPES, infer
from tinyflow.passes.infer import describe as from_facts
from tinyflow.viz.svg import Arrow, Box, document

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
        return Drawing(document([_summary(graph, limit)], []))
    describe, backward = describe or _inferred(graph), _backward(graph, forward)
    tips = text(graph, describe).splitlines()
    boxes = [
        _box(f"%{i}", node, _kind(node, backward), describe, tips[i])
        for i, node in enumerate(graph.nodes)
    ]
    several = len(graph.outputs) > 1
    for i in range(len(graph.outputs)):
        boxes.append(Box("output", (f"output {i}" if several else "output",)))
    return Drawing(document(boxes, list(_arrows(graph))))


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
        if a.kind == "array" or node.attrs[key] != a.default  # an array equals nothing
    }
    title, lines = node.op.name, [f'"{node.name}"'] if node.name else []
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
    return Box(kind, tuple(titles), words, number, tip, tuple(_input_names(node)))


def _input_names(node: Node) -> list[str]:
    """A word per input, where their order matters."""
    names, last = node.op.inputs, len(node.op.inputs) - 1
    named = len(node.inputs) > 1 and node.op.name not in _COMMUTATIVE
    return [names[min(i, last)] if named else "" for i in range(len(node.inputs))]


def _short(words: str) -> str:
    return words if len(words) <= 40 else words[:39] + "…"


def _arrows(graph: Graph) -> Iterator[Arrow]:
    place = {node: index for index, node in enumerate(graph.nodes)}
    for target, node in enumerate(graph.nodes):
        for i, (value, name) in enumerate(zip(node.inputs, _input_names(node))):
            kind = "shape only" if i in node.op.shape_only else "value"
            yield Arrow(place[value.node], target, kind, _read(value), name)
        for other in node.after:
            yield Arrow(place[other], target, "runs after")
    for i, value in enumerate(graph.outputs):
        yield Arrow(place[value.node], len(place) + i, start=_read(value))


def _read(value: Value) -> str:
    return f":{value.index}" * (value.index > 0) + f"@{value.version}" * (value.version > 0)


def _summary(graph: Graph, limit: int) -> Box:
    counts = Counter(node.op.name for node in graph.nodes).most_common(12)
    what = f"{len(graph.nodes):,} nodes are too many for one picture (limit {limit})."
    advice = "Draw a part: draw(Graph((value,))). Or print it: text(graph)."
    return Box("note", (what,), (advice, *(f"{n:>7,} × {name}" for name, n in counts)))
