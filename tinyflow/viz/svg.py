"""Write boxes, arrows and a legend as SVG text. Layer: viz."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from tinyflow.viz.layout import Point, layered

__all__ = ["Arrow", "Box", "document"]

_BOXES = {  # kind: fill, border; light enough for black text, told apart by colour-blind readers
    "leaf": ("#fdf3d0", "#a87a12"),
    "constant": ("#f3f4f6", "#8a919c"),
    "forward": ("#dcebfd", "#2f6fc4"),
    "backward": ("#fde2d8", "#c4512d"),
    "state": ("#e7defa", "#7048c0"),
    "output": ("#3d4756", "#3d4756"),
    "note": ("#f3f4f6", "#f3f4f6"),
}
_ARROWS = {  # kind: colour, dashes; what is drawn first is covered by what comes later
    "value": ("#5b6675", ""),
    "shape only": ("#9aa3af", ' stroke-dasharray="1.5 3.5" stroke-linecap="round"'),
    "runs after": ("#7048c0", ' stroke-dasharray="6 4"'),
}
_SANS = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
_MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
_MARGIN, _LEGEND = 24.0, 46.0


@dataclass(frozen=True, slots=True)
class Box:
    """One rectangle: ``title`` in bold, ``lines`` below, ``number`` in the corner.

    ``ports`` are words at the arrows that come in: the box is wide enough to keep them apart.
    """

    kind: str
    title: tuple[str, ...]
    lines: tuple[str, ...] = ()
    number: str = ""
    tooltip: str = ""
    ports: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in pixels, enough for the text in common fonts."""
        number = 6.5 * len(self.number) + 12.0 if self.number else 0.0
        widths = [8.5 * len(line) for line in self.title] + [6.7 * len(line) for line in self.lines]
        height = 10.0 + 16.0 * len(self.title) + 15.0 * len(self.lines)
        inside = 20.0 + max(widths[0] + number, *widths, 24.0)
        step = max([6.2 * len(port) + 14.0 for port in self.ports], default=0.0)
        return max(inside, step * len(self.ports)), height


@dataclass(frozen=True, slots=True)
class Arrow:
    """An arrow between boxes, given by their places, with a word at either end."""

    source: int
    target: int
    kind: str = "value"
    start: str = ""
    end: str = ""


def document(boxes: Sequence[Box], arrows: Sequence[Arrow]) -> str:
    """A complete SVG document; the source of an arrow stands before its target in ``boxes``."""
    arrows = sorted(arrows, key=lambda arrow: list(_ARROWS).index(arrow.kind))
    layout = layered([box.size for box in boxes], [(a.source, a.target) for a in arrows])
    legend, legend_width = _legend(boxes, arrows, layout.height + _LEGEND - 12)
    shift = max(legend_width - layout.width, 0.0) / 2
    drawn: set[tuple[Point, Point]] = set()
    parts = [_arrow(arrow, route, drawn) for arrow, route in zip(arrows, layout.routes)]
    parts += [_box(box, *centre) for box, centre in zip(boxes, layout.centres)]
    parts += [_words(arrow, route) for arrow, route in zip(arrows, layout.routes)]
    body = "\n".join(part for part in parts if part)
    width = max(layout.width, legend_width) + 2 * _MARGIN
    height = layout.height + _LEGEND + 2 * _MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.1f} {height:.1f}" font-family="{_SANS}" role="img">\n'
        f'<rect width="100%" height="100%" rx="8" fill="#ffffff"/>\n'
        f'<g transform="translate({_MARGIN + shift:.1f} {_MARGIN})">\n{body}\n</g>\n'
        f'<g transform="translate({_MARGIN} {_MARGIN})">{legend}</g>\n</svg>\n'
    )


def _text(x: float, y: float, words: str, size: int, colour: str, more: str = "") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}"'
    if not words:
        return ""
    return f'<text {place} xml:space="preserve"{more}>{_clean(words)}</text>'


def _clean(words: str) -> str:
    """Escaped, and without the characters that XML forbids."""
    return escape(re.sub("[^\t\n -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", words))


def _box(box: Box, x: float, y: float) -> str:
    width, height = box.size
    fill, border = _BOXES[box.kind]
    left, top = x - width / 2, y - height / 2
    corner = 13 if box.kind in ("leaf", "constant", "output") else 5
    ink = "#ffffff" if box.kind == "output" else "#1b2430"
    parts = [f"<title>{_clean(box.tooltip)}</title>"] if box.tooltip else []
    parts.append(
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'rx="{corner}" fill="{fill}" stroke="{border}" stroke-width="1.3"/>'
    )
    for i, line in enumerate(box.title):
        parts.append(_text(left + 10, top + 18 + 16 * i, line, 13, ink, ' font-weight="600"'))
    style = f' text-anchor="end" font-family="{_MONO}"'
    parts.append(_text(left + width - 9, top + 17, box.number, 10, border, style))
    for i, line in enumerate(box.lines):
        at = top + 17 + 16 * len(box.title) + 15 * i
        parts.append(_text(left + 10, at, line, 11, "#3d4756", f' font-family="{_MONO}"'))
    return f"<g>{''.join(parts)}</g>"


def _arrow(arrow: Arrow, route: Sequence[Point], drawn: set[tuple[Point, Point]]) -> str:
    """Straight through each rank, an S-curve between ranks; what arrows share is drawn once."""
    colour, dashes = _ARROWS[arrow.kind]
    end_x, end_y = route[-1]
    path = ""
    for start, to in pairwise((*route[:-1], (end_x, end_y - 6))):
        if (start, to) not in drawn:
            drawn.add((start, to))
            (x, y), (to_x, to_y), middle = start, to, (start[1] + to[1]) / 2
            path += f"M{x:.1f} {y:.1f}C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} "
            path += f"{to_x:.1f} {to_y:.1f}"
    return (
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.3"{dashes}/>'
        f'<path d="M{end_x:.1f} {end_y:.1f}l-4 -8h8z" fill="{colour}"/>'
    )


def _words(arrow: Arrow, route: Sequence[Point]) -> str:
    (x, y), (end_x, end_y) = route[0], route[-1]
    halo = f' stroke="#ffffff" stroke-width="3" paint-order="stroke" font-family="{_MONO}"'
    labels = ((x + 4, y + 11, arrow.start), (end_x + 6, end_y - 3, arrow.end))
    return "".join(_text(*label, 10, "#5b6675", halo) for label in labels)


def _legend(boxes: Sequence[Box], arrows: Sequence[Arrow], y: float) -> tuple[str, float]:
    shown = {box.kind for box in boxes} | {arrow.kind for arrow in arrows}
    parts, x = [], 0.0
    for kind in [*list(_BOXES)[:-2], *list(_ARROWS)[1:]]:
        if kind in shown:
            if kind in _BOXES:
                fill, border = _BOXES[kind]
                look = f'height="12" rx="3" fill="{fill}" stroke="{border}"'
                parts.append(f'<rect x="{x:.0f}" y="{y - 10:.1f}" width="22" {look}/>')
            else:
                colour, dashes = _ARROWS[kind]
                look = f'stroke="{colour}" stroke-width="1.5"{dashes}'
                parts.append(f'<path d="M{x:.0f} {y - 4:.1f}h22" {look}/>')
            parts.append(_text(x + 28, y, kind, 11, "#5b6675"))
            x += 48 + 6.5 * len(kind)
    return "".join(parts), max(x - 20, 0.0)
