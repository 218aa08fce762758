"""Pictures of graphs, as SVG in a notebook or a file. Layer: viz."""

from tinyflow.viz.graph import Drawing, draw

__all__ = ["Drawing", "draw"]
