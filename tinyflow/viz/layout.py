"""Place boxes and edges in layers, top to bottom. Layer: viz.

Four steps: rank (longest path), order within a rank, x positions, y positions. A long edge gets one
dummy point per rank it crosses; the edges of one source share them, so a value that is read in many
places leaves one line, not many. Source: Sugiyama, Tagawa, Toda, Methods for visual understanding
of hierarchical system structures, IEEE SMC 1981.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinyflow.viz.mesh import Mesh, build_mesh
from tinyflow.viz.place import ordered, positions

__all__ = ["Layout", "Point", "layered"]

Point = tuple[float, float]
Size = tuple[float, float]
GAP_Y = 34.0  # pixels between ranks


@dataclass(frozen=True, slots=True)
class Layout:
    """``centres`` of boxes, ``routes`` of edges (points from source to target), all in pixels."""

    centres: tuple[Point, ...]
    routes: tuple[tuple[Point, ...], ...]
    width: float
    height: float


def layered(sizes: Sequence[Size], edges: Sequence[tuple[int, int]]) -> Layout:
    """Lay out boxes of (width, height) with ``edges`` (source, target), source < target.

    Boxes are in topological order. Every edge points down; boxes never overlap; edges pass beside
    boxes. The same input gives the same picture.
    """
    mesh = build_mesh([width for width, _ in sizes], edges)
    layers = ordered(mesh)
    xs = positions(mesh, layers)
    left = min((x - w / 2 for x, w in zip(xs, mesh.width)), default=0.0)
    return _finish(sizes, mesh, layers, [x - left for x in xs])


def _finish(
    sizes: Sequence[Size], mesh: Mesh, layers: Sequence[Sequence[int]], xs: Sequence[float]
) -> Layout:
    tops, bottoms, y = [], [], 0.0
    for layer in layers:
        tops.append(y)
        y += max((sizes[v][1] for v in layer if v < mesh.boxes), default=0.0)
        bottoms.append(y)
        y += GAP_Y
    middles = [(tops[rank] + bottoms[rank]) / 2 for rank in mesh.rank]
    ports = _ports(mesh, xs)
    routes = []
    for edge, (source, *points, target) in enumerate(mesh.chains):
        route = [(xs[source], middles[source] + sizes[source][1] / 2)]
        for vertex in points:
            rank = mesh.rank[vertex]
            route += [(xs[vertex], tops[rank]), (xs[vertex], bottoms[rank])]
        route.append((ports[edge], middles[target] - sizes[target][1] / 2))
        routes.append(tuple(route))
    centres = tuple((xs[v], middles[v]) for v in range(mesh.boxes))
    width = max((x + w / 2 for x, w in zip(xs, mesh.width)), default=0.0)
    return Layout(centres, tuple(routes), width, max(y - GAP_Y, 0.0))


def _ports(mesh: Mesh, xs: Sequence[float]) -> list[float]:
    """Where each edge enters its target: spread over the top in the order in which they arrive."""
    arrivals: dict[int, list[tuple[float, int]]] = {}
    for edge, chain in enumerate(mesh.chains):
        arrivals.setdefault(chain[-1], []).append((xs[chain[-2]], edge))
    ports = [0.0] * len(mesh.chains)
    for target, found in arrivals.items():
        step = mesh.width[target] / (len(found) + 1)
        for place, (_, edge) in enumerate(sorted(found)):
            ports[edge] = xs[target] + step * (place + 1) - mesh.width[target] / 2
    return ports
