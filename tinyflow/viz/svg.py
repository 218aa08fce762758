"""Write boxes, edges and a legend as SVG text. Layer: viz."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from tinyflow.viz.layout import Point, layered

__all__ = ["Box", "Edge", "document", "message"]

_STYLE = {  # kind: fill, border; light enough for black text, told apart by colour-blind readers
    "leaf": ("#fdf3d0", "#a87a12"),
    "constant": ("#f3f4f6", "#8a919c"),
    "forward": ("#dcebfd", "#2f6fc4"),
    "backward": ("#fde2d8", "#c4512d"),
    "state": ("#e7defa", "#7048c0"),
    "output": ("#3d4756", "#3d4756"),
}
_SANS = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
_MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
_LINES = {  # edge style: colour, dashes
    "data": ("#5b6675", ""),
    "shape": ("#9aa3af", ' stroke-dasharray="1.5 3.5" stroke-linecap="round"'),
    "after": ("#7048c0", ' stroke-dasharray="6 4"'),
}
_INK = "#1b2430"
_MARGIN, _LEGEND = 16.0, 34.0


@dataclass(frozen=True, slots=True)
class Box:
    """One rectangle: ``title`` in bold, ``lines`` below, ``number`` in the corner."""

    kind: str
    title: tuple[str, ...]
    lines: tuple[str, ...] = ()
    number: str = ""
    tooltip: str = ""

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in pixels, enough for the text in common fonts."""
        number = 6.5 * len(self.number) + 12.0 if self.number else 0.0
        titles = [8.5 * len(line) for line in self.title]
        below = max((6.7 * len(line) for line in self.lines), default=0.0)
        width = max(titles[0] + number, *titles, below, 24.0) + 20.0
        return width, 10.0 + 16.0 * len(titles) + 15.0 * len(self.lines)


@dataclass(frozen=True, slots=True)
class Edge:
    """An arrow; style is "data", "shape" (only the shape is read) or "after" (control)."""

    source: int
    target: int
    style: str
    start_label: str = ""
    end_label: str = ""


def document(boxes: Sequence[Box], edges: Sequence[Edge]) -> str:
    """A complete SVG document; ``edges`` refer to ``boxes`` by place, sources before targets."""
    layout = layered([box.size for box in boxes], [(e.source, e.target) for e in edges])
    kinds = [kind for kind in _STYLE if any(box.kind == kind for box in boxes)]
    styles = [style for style in _LINES if any(edge.style == style for edge in edges)]
    legend, legend_width = _legend(kinds, styles, layout.height + _LEGEND)
    shift = max(legend_width - layout.width, 0.0) / 2
    drawn: set[tuple[Point, Point]] = set()
    order = sorted(range(len(edges)), key=lambda i: list(_LINES).index(edges[i].style))
    parts = [_edge(edges[i], layout.routes[i], drawn) for i in order]
    parts += [_box(box, centre) for box, centre in zip(boxes, layout.centres)]
    parts += [_labels(edge, route) for edge, route in zip(edges, layout.routes)]
    body = "\n".join(part for part in parts if part)
    return _frame(
        max(layout.width, legend_width),
        layout.height + _LEGEND + 12,
        f'<g transform="translate({shift:.1f} 0)">\n{body}\n</g>\n{legend}',
    )


def message(lines: Sequence[str]) -> str:
    """An SVG document that holds only text."""
    rows = [_text(0, 13 + 20 * i, line, 13, _INK) for i, line in enumerate(lines)]
    return _frame(7.5 * max(map(len, lines)), 20.0 * len(lines), "\n".join(rows))


def _frame(width: float, height: float, body: str) -> str:
    width, height = width + 2 * _MARGIN, height + 2 * _MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.1f} {height:.1f}" font-family="{_SANS}" role="img">\n'
        f'<rect width="100%" height="100%" rx="8" fill="#ffffff"/>\n'
        f'<g transform="translate({_MARGIN} {_MARGIN})">\n{body}\n</g>\n</svg>\n'
    )


def _text(x: float, y: float, words: str, size: int, colour: str, more: str = "") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}"'
    return f'<text {place} xml:space="preserve"{more}>{_xml(words)}</text>'


def _xml(words: str) -> str:
    """Escaped, and without the characters that XML forbids."""
    return escape(re.sub(r"[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", words))


def _box(box: Box, centre: Point) -> str:
    (width, height), (x, y) = box.size, centre
    fill, border = _STYLE[box.kind]
    left, top = x - width / 2, y - height / 2
    corner = 13 if box.kind in ("leaf", "constant", "output") else 5
    parts = [
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'rx="{corner}" fill="{fill}" stroke="{border}" stroke-width="1.3"/>'
    ]
    if box.tooltip:
        parts.insert(0, f"<title>{_xml(box.tooltip)}</title>")
    for i, line in enumerate(box.title):
        ink = "#ffffff" if box.kind == "output" else _INK
        parts.append(_text(left + 10, top + 18 + 16 * i, line, 13, ink, ' font-weight="600"'))
    if box.number:
        corner_style = f' text-anchor="end" font-family="{_MONO}"'
        parts.append(_text(left + width - 9, top + 17, box.number, 10, border, corner_style))
    first = top + 17 + 16 * len(box.title)
    for i, line in enumerate(box.lines):
        mono = f' font-family="{_MONO}"'
        parts.append(_text(left + 10, first + 15 * i, line, 11, "#3d4756", mono))
    return f"<g>{''.join(parts)}</g>"


def _edge(edge: Edge, route: Sequence[Point], drawn: set[tuple[Point, Point]]) -> str:
    """Straight through each rank, an S-curve between ranks, an arrow head at the end.

    What edges of one source share is drawn once.
    """
    colour, dashes = _LINES[edge.style]
    end_x, end_y = route[-1]
    points = [*route[:-1], (end_x, end_y - 6)]
    path, pen = [], None
    for start, to in pairwise(points):
        if (start, to) in drawn:
            continue
        drawn.add((start, to))
        (x, y), (to_x, to_y) = start, to
        if pen != start:
            path.append(f"M{x:.1f} {y:.1f}")
        middle = (y + to_y) / 2
        path.append(f"C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {to_y:.1f}")
        pen = to
    return (
        f'<path d="{"".join(path)}" fill="none" stroke="{colour}" stroke-width="1.3"{dashes}/>'
        f'<path d="M{end_x:.1f} {end_y:.1f}l-4 -8h8z" fill="{colour}"/>'
    )


def _labels(edge: Edge, route: Sequence[Point]) -> str:
    (x, y), (end_x, end_y) = route[0], route[-1]
    halo = f' stroke="#ffffff" stroke-width="3" paint-order="stroke" font-family="{_MONO}"'
    labels = ((x + 4, y + 11, edge.start_label), (end_x + 6, end_y - 3, edge.end_label))
    return "".join(_text(*label, 10, "#5b6675", halo) for label in labels if label[2])


def _legend(kinds: Sequence[str], styles: Sequence[str], y: float) -> tuple[str, float]:
    parts, x = [], 0.0
    for kind in kinds:
        if kind == "output":
            continue
        fill, border = _STYLE[kind]
        parts.append(
            f'<rect x="{x:.0f}" y="{y:.1f}" width="14" height="12" rx="3" fill="{fill}" '
            f'stroke="{border}"/>' + _text(x + 20, y + 10, kind, 11, "#5b6675")
        )
        x += 40 + 6.5 * len(kind)
    for style in styles:
        words = {"data": "", "shape": "shape only", "after": "runs after"}[style]
        if not words:
            continue
        colour, dashes = _LINES[style]
        line = f'<path d="M{x:.0f} {y + 6:.1f}h22" stroke="{colour}" stroke-width="1.5"{dashes}/>'
        parts.append(line + _text(x + 28, y + 10, words, 11, "#5b6675"))
        x += 48 + 6.5 * len(words)
    return "".join(parts), max(x - 20, 0.0)
