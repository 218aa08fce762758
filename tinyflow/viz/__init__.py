"""Pictures of graphs, memory plans and programs, as SVG in a notebook or a file. Layer: viz."""

from tinyflow.viz.graph import draw
from tinyflow.viz.launches import draw_launches
from tinyflow.viz.memory import draw_memory
from tinyflow.viz.picture import Drawing

__all__ = ["Drawing", "draw", "draw_launches", "draw_memory"]
