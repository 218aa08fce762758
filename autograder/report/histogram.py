"""One small histogram per task, as inline SVG. Layer: report."""

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib import rc_context
from matplotlib.figure import Figure

__all__ = ["histogram"]


def histogram(name: str, scores: Sequence[float], highest: float) -> str:
    """SVG of how many students earned how much of ``highest`` points; same input, same bytes."""
    bins = min(8, max(4, round(highest)))
    counts = [0] * bins
    for score in scores:
        counts[min(bins - 1, int(bins * score / highest))] += 1
    with rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure = Figure(figsize=(2.6, 1.35), layout="constrained")
        axes = figure.add_subplot()
        width = highest / bins
        places = [width * (i + 0.5) for i in range(bins)]
        colours = ["#187a4b" if i == bins - 1 else "#9db4e8" for i in range(bins)]
        axes.bar(places, counts, width=0.86 * width, color=colours)
        axes.set_xlim(0, highest)
        axes.set_xticks([0, highest], ["0", f"{highest:g}"])
        axes.set_yticks([0, max(max(counts), 1)])
        axes.tick_params(labelsize=8, colors="#5b6577", length=0)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.spines["bottom"].set_color("#d4dae4")
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    svg = out.getvalue()
    return svg[svg.index("<svg") :]
