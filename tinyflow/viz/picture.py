"""A picture, and the SVG elements that all pictures are made of. Layer: viz.

Every picture is a white sheet with dark ink, so it reads the same in light and dark notebooks.
Colours are those of Okabe and Ito (Color universal design, 2008) and light tints: readers who are
blind to red or green tell them apart. What the pointer rests on explains itself (``title``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from tinyflow.errors import RunError

__all__ = [
    "FAINT", "INK", "Drawing", "clean", "label", "legend", "rectangle", "sheet", "show_bytes",
]  # fmt: skip

INK, FAINT = "#1b2430", "#5b6675"
_SANS = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
_MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
_STYLES = {
    "mono": f'font-family="{_MONO}"',
    "bold": 'font-weight="600"',
    "end": 'text-anchor="end"',
    "middle": 'text-anchor="middle"',
    "halo": 'stroke="#ffffff" stroke-width="3" paint-order="stroke"',
}


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture; ``svg`` is a complete SVG document, ``words`` says the same as plain text.

    A notebook shows the picture, ``print`` the words.
    """

    svg: str = field(repr=False)
    words: str = field(default="", repr=False)

    def __str__(self) -> str:
        return self.words

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_html_(self) -> str:
        return f'<div style="overflow:auto; max-height:80vh">{self.svg}</div>'

    def save(self, path: str | Path) -> None:
        """Write the SVG to a file; raises RunError if the place cannot be written."""
        try:
            Path(path).write_text(self.svg, encoding="utf-8")
        except OSError as error:
            fix = "Give a file name in a folder that exists and may be written."
            raise RunError(f"cannot write '{path}'", got=error.strerror, fix=fix) from error


def sheet(width: float, height: float, parts: Sequence[str]) -> str:
    """A complete SVG document of this size in pixels, with a white ground."""
    body = "\n".join(part for part in parts if part)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.1f} {height:.1f}" font-family="{_SANS}" role="img">\n'
        f'<rect width="100%" height="100%" rx="8" fill="#ffffff"/>\n{body}\n</svg>\n'
    )


def label(x: float, y: float, words: str, size: int, colour: str = INK, style: str = "") -> str:
    """Text whose line stands on ``y``; nothing for no words.

    ``style`` is words: "mono", "bold", "end" or "middle" (what stands at ``x``), "halo".
    """
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}"'
    look = " ".join(_STYLES[word] for word in style.split())
    return f'<text {place} xml:space="preserve" {look}>{clean(words)}</text>' if words else ""


def rectangle(x: float, y: float, width: float, height: float, look: str, tip: str = "") -> str:
    """A rectangle that explains itself by ``tip``; ``look`` is more attributes."""
    place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    inside = f"><title>{clean(tip)}</title></rect>" if tip else "/>"
    return f"<rect {place} {look}{inside}"


def legend(x: float, y: float, looks: Mapping[str, str]) -> tuple[list[str], float]:
    """A small box (of a look that fills) or line before each name; and the x behind them."""
    parts = []
    for name, look in looks.items():
        if "fill=" in look:
            parts.append(rectangle(x, y - 10, 22, 12, look))
        else:
            parts.append(f'<path d="M{x:.0f} {y - 4:.1f}h22" {look}/>')
        parts.append(label(x + 28, y, name, 11, FAINT))
        x += 48 + 6.5 * len(name)
    return parts, x


def clean(words: str) -> str:
    """Escaped, and without the characters that XML forbids."""
    return escape(re.sub("[^\t\n -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", words))


def show_bytes(count: float) -> str:
    """Three figures and a unit: ``1.57 MB`` is 1,570,000 bytes."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
