"""The command ``tinyflow viz``: pictures of a graph in a file. Layer: viz.

tinyflow viz model.json                                       the graph
tinyflow viz model.json --nodes 40 80                         a part of a large one
tinyflow viz model.json --memory --with fusion --shape x=100,784
tinyflow viz model.json --launches -o launches.svg
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from tinyflow.errors import GraphError, ShapeError, TinyflowError
from tinyflow.frontend.mx import load_json
from tinyflow.ir import Graph, Value, from_json
from tinyflow.ops import OPS
from tinyflow.passes import KNOWN_SHAPES, OPTIONS, PLAN, SHAPES, STANDARD, infer, with_options
from tinyflow.program import lower
from tinyflow.types import is_static, show_shape
from tinyflow.viz.graph import LIMIT, draw
from tinyflow.viz.launches import draw_launches
from tinyflow.viz.memory import draw_memory

__all__ = ["add_arguments"]


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of the command, and what runs it."""
    add = command.add_argument
    add("model", type=Path, help="graph in JSON, of tinyflow.ir.to_json, MXNet or NNVM")
    add("-o", "--output", type=Path, help="file to write (default: MODEL.svg)")
    kind = command.add_mutually_exclusive_group()
    kind.add_argument("--memory", action="store_true", help="draw the memory plan over the steps")
    kind.add_argument("--launches", action="store_true", help="draw the program, a row a launch")
    passes = "apply the passes of a session first, with this option (may be given several times)"
    add("--with", dest="words", action="append", default=[], choices=[*OPTIONS], help=passes)
    shape = "shape of a leaf, for --memory and --launches: x=100,784 (may be given several times)"
    add("--shape", dest="shapes", action="append", default=[], metavar="NAME=SIZES", help=shape)
    part = "draw only nodes A to B - 1, by number"
    add("--nodes", nargs=2, type=int, metavar=("A", "B"), help=part)
    add("--limit", type=int, default=LIMIT, help=f"most nodes to draw singly (default: {LIMIT})")
    command.set_defaults(run=_draw)


def _draw(options: argparse.Namespace) -> Iterator[str]:
    graph = _with_shapes(_read(options.model), options.shapes)
    if options.memory or options.launches or options.words:
        graph = _lowered(graph, options.words)
    if options.memory:
        drawing = draw_memory(graph.fact(PLAN))
    elif options.launches:
        leaves = [Value(node) for node in graph.nodes if node.op.name == "placeholder"]
        drawing = draw_launches(lower(graph, leaves))
    else:
        drawing = draw(graph, limit=options.limit, nodes=options.nodes and range(*options.nodes))
    output = options.output or options.model.with_suffix(".svg")
    drawing.save(output)
    yield f"{output}: {len(graph.nodes)} nodes, {len(graph.outputs)} outputs"


def _read(path: Path) -> Graph:
    """The graph in a file of one of three formats; only in our own a leaf says which leaf it is."""
    fix = "Give a file of tinyflow.ir.to_json(graph), a symbol file of MXNet or a graph of NNVM."
    try:
        source = path.read_text(encoding="utf-8")
        ours = '"tinyflow_leaf"' in source or '"null"' not in source
        return from_json(source, OPS) if ours else load_json(source).graph()
    except (OSError, UnicodeDecodeError) as error:
        got = getattr(error, "strerror", None) or "bytes that are no text"
        raise GraphError(f"cannot read '{path}'", got=got, fix=fix) from None
    except TinyflowError as error:
        error.fix = f"{error.fix} {fix}" if error.fix else fix
        raise error.within(f"'{path}'") from None


def _with_shapes(graph: Graph, given: Sequence[str]) -> Graph:
    leaves = {node.name: Value(node) for node in graph.nodes if node.is_leaf and node.name}
    known = {}
    for word in given:
        name, _, sizes = word.rpartition("=")
        if name not in leaves or not re.fullmatch(r"(\d+(,\d+)*)?", sizes):
            names = ", ".join(map(str, leaves)) or "no leaf"
            raise GraphError("not the shape of a leaf", got=word, expected=f"NAME=SIZES of {names}")
        known[leaves[name]] = tuple(int(size) for size in sizes.split(",") if size)
    return graph.with_fact(KNOWN_SHAPES, known)


def _lowered(graph: Graph, words: Sequence[str]) -> Graph:
    """What the passes of a session make of a graph whose shapes are all known."""
    shapes = infer(graph).fact(SHAPES)
    for value, shape in shapes.items():
        if not is_static(shape) and value.node.op.name != "group":
            sizes = ",".join("N" if d is None else str(d) for d in shape or (None, None))
            fix = f"Give sizes: --shape {value.node.name or 'NAME'}={sizes}."
            raise ShapeError("shape is not known", node=value.node, got=show_shape(shape), fix=fix)
    return with_options(STANDARD, words)(graph)
