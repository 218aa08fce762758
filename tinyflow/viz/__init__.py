"""Pictures of graphs, as SVG in a notebook or a file. Layer: viz."""

from tinyflow.viz.graph import draw
from tinyflow.viz.picture import Drawing

__all__ = ["Drawing", "draw"]
