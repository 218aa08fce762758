"""Write boxes, arrows and a legend as SVG text. Layer: viz."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, pairwise

from tinyflow.viz.layout import Point, layered
from tinyflow.viz.picture import FAINT, INK, clean, label, legend, rectangle, sheet

__all__ = ["Arrow", "Box", "document"]

_BOXES = {  # kind: fill, border; light enough for black text, told apart by colour-blind readers
    "leaf": ("#fdf3d0", "#a87a12"),
    "constant": ("#f3f4f6", "#8a919c"),
    "forward": ("#dcebfd", "#2f6fc4"),
    "backward": ("#fde2d8", "#c4512d"),
    "state": ("#e7defa", "#7048c0"),
    "elsewhere": ("#ffffff", "#8a919c"),
    "output": ("#3d4756", "#3d4756"),
}
_DEVICES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
_ARROWS = {  # kind: colour, dashes; what is drawn first is covered by what comes later
    "value": (FAINT, ""),
    "shape only": ("#9aa3af", ' stroke-dasharray="1.5 3.5" stroke-linecap="round"'),
    "runs after": ("#7048c0", ' stroke-dasharray="6 4"'),
}
_MARGIN, _LEGEND = 36.0, 46.0  # words at the last arrow of a box reach beyond it


@dataclass(frozen=True, slots=True)
class Box:
    """One rectangle: ``title`` in bold, ``lines`` below, ``number`` in the corner.

    ``ports`` are words at the arrows that come in: the box is wide enough to keep them apart.
    ``members`` stand in a panel of their own, what a fused group computes; a ``device`` is a bar
    at the left edge.
    """

    kind: str
    title: tuple[str, ...]
    lines: tuple[str, ...] = ()
    number: str = ""
    tooltip: str = ""
    ports: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    device: str = ""

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in pixels, enough for the text in common fonts."""
        number = 6.5 * len(self.number) + 12.0 if self.number else 0.0
        widths = [8.5 * len(line) for line in self.title] + [6.7 * len(line) for line in self.lines]
        widths += [6.1 * len(line) + 14.0 for line in self.members]
        height = 10.0 + 16.0 * len(self.title) + 15.0 * len(self.lines) + self._panel
        inside = 20.0 + max(widths[0] + number, *widths, 24.0)
        step = max([6.2 * len(port) + 14.0 for port in self.ports], default=0.0)
        return max(inside, step * len(self.ports)), height

    @property
    def _panel(self) -> float:
        return 13.0 * len(self.members) + 14.0 if self.members else 0.0


@dataclass(frozen=True, slots=True)
class Arrow:
    """An arrow between boxes, given by their places, with a word where it ends."""

    source: int
    target: int
    kind: str = "value"
    end: str = ""


def document(boxes: Sequence[Box], arrows: Sequence[Arrow], heading: Sequence[str] = ()) -> str:
    """A complete SVG document; the source of an arrow stands before its target in ``boxes``.

    ``heading`` are lines of text above the picture.
    """
    arrows = sorted(arrows, key=lambda arrow: list(_ARROWS).index(arrow.kind))
    layout = layered([box.size for box in boxes], [(a.source, a.target) for a in arrows])
    devices = dict(zip(sorted({box.device for box in boxes} - {""}), cycle(_DEVICES)))
    looks = _looks(boxes, arrows, devices)
    keys, legend_width = legend(0, layout.height + _LEGEND - 12, looks)
    legend_width = max([legend_width - 20, *(7.4 * len(line) for line in heading)])
    top = 17.0 * len(heading) + 16.0 if heading else 0.0
    shift = max(legend_width - layout.width, 0.0) / 2
    drawn: set[tuple[Point, Point]] = set()
    parts = [_arrow(arrow, route, drawn) for arrow, route in zip(arrows, layout.routes)]
    parts += [_box(box, devices, *centre) for box, centre in zip(boxes, layout.centres)]
    parts += [_words(arrow, route) for arrow, route in zip(arrows, layout.routes)]
    body = "\n".join(part for part in parts if part)
    width = max(layout.width, legend_width) + 2 * _MARGIN
    height = top + layout.height + _LEGEND + 2 * _MARGIN
    lines = [label(_MARGIN, _MARGIN + 10 + 17 * i, line, 12) for i, line in enumerate(heading)]
    at = _MARGIN + top
    drawing = f'<g transform="translate({_MARGIN + shift:.1f} {at})">\n{body}\n</g>'
    lines += [drawing, f'<g transform="translate({_MARGIN} {at})">', *keys, "</g>"]
    return sheet(width, height, lines)


def _box(box: Box, devices: Mapping[str, str], x: float, y: float) -> str:
    width, height = box.size
    fill, border = _BOXES[box.kind]
    left, top = x - width / 2, y - height / 2
    corner = 13 if box.kind in ("leaf", "constant", "output") else 5
    ink = "#ffffff" if box.kind == "output" else INK
    parts = [f"<title>{clean(box.tooltip)}</title>"] if box.tooltip else []
    dashes = ' stroke-dasharray="4 3"' if box.kind == "elsewhere" else ""
    look = f'rx="{corner}" fill="{fill}" stroke="{border}" stroke-width="1.3"{dashes}'
    parts.append(rectangle(left, top, width, height, look))
    if box.device:
        bar = f'rx="2" fill="{devices[box.device]}"'
        parts.append(rectangle(left + 1.5, top + 4, 5, height - 8, bar))
    for i, line in enumerate(box.title):
        parts.append(label(left + 10, top + 18 + 16 * i, line, 13, ink, "bold"))
    parts.append(label(left + width - 9, top + 17, box.number, 10, border, "end mono"))
    for i, line in enumerate(box.lines):
        at = top + 17 + 16 * len(box.title) + 15 * i
        parts.append(label(left + 10, at, line, 11, "#3d4756", "mono"))
    return f"<g>{''.join(parts)}{_panel(box, border, left, top + height)}</g>"


def _panel(box: Box, border: str, left: float, bottom: float) -> str:
    if not box.members:
        return ""
    top, width = bottom - 13 * len(box.members) - 14, box.size[0] - 16
    look = f'rx="3" fill="#ffffff" stroke="{border}" stroke-width="0.7"'
    parts = [rectangle(left + 8, top, width, bottom - top - 7, look)]
    for i, line in enumerate(box.members):
        parts.append(label(left + 14, top + 13 + 13 * i, line, 10, "#3d4756", "mono"))
    return "".join(parts)


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
    x, y = route[-1]
    return label(x + 6, y - 3, arrow.end, 10, FAINT, "halo mono")


def _looks(
    boxes: Sequence[Box], arrows: Sequence[Arrow], devices: Mapping[str, str]
) -> dict[str, str]:
    """What the legend explains."""
    shown = {box.kind for box in boxes} - {"output"} | {arrow.kind for arrow in arrows} - {"value"}
    kinds = {k: f'rx="3" fill="{fill}" stroke="{line}"' for k, (fill, line) in _BOXES.items()}
    lines = {k: f'stroke="{colour}" stroke-width="1.5"{d}' for k, (colour, d) in _ARROWS.items()}
    colours = {name: f'fill="{colour}"' for name, colour in devices.items()}
    looks = kinds | lines
    return {kind: looks[kind] for kind in looks if kind in shown} | colours
