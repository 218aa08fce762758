"""Place boxes and edges in layers, top to bottom. Layer: viz.

Four steps: rank (longest path), order within a rank (barycentre sweeps, the one with the fewest
crossings), x positions (weighted least squares with a minimal distance), y positions. A long edge
gets one dummy point per rank it crosses; the edges of one source share them, so a value that is
read in many places leaves one line, not many. Source: Sugiyama, Tagawa, Toda, Methods for visual
understanding of hierarchical system structures, IEEE SMC 1981.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import inf

import numpy as np

__all__ = ["Layout", "Point", "layered"]

Point = tuple[float, float]
Size = tuple[float, float]
Edges = Sequence[tuple[int, int]]
GAP_X, GAP_Y, LANE = 26.0, 34.0, 14.0  # pixels between boxes, between ranks, beside a dummy point
ORDER_SWEEPS, POSITION_SWEEPS = 12, 60


@dataclass(frozen=True, slots=True)
class Layout:
    """``centres`` of boxes, ``routes`` of edges (points from source to target), all in pixels."""

    centres: tuple[Point, ...]
    routes: tuple[tuple[Point, ...], ...]
    width: float
    height: float


def layered(sizes: Sequence[Size], edges: Edges) -> Layout:
    """Lay out boxes of (width, height) with ``edges`` (source, target), source < target.

    Boxes are in topological order. Every edge points down; boxes never overlap; edges pass beside
    boxes. The same input gives the same picture.
    """
    mesh = _Mesh([width for width, _ in sizes], edges)
    mesh.reorder()
    xs = mesh.positions()
    left = min((x - w / 2 for x, w in zip(xs, mesh.width)), default=0.0)
    return _finish(mesh, sizes, [x - left for x in xs])


class _Mesh:
    """Boxes, then dummy points, as vertices 0, 1, ...; every link joins neighbouring ranks."""

    def __init__(self, width: list[float], edges: Edges) -> None:
        self.boxes, self.width = len(width), width
        self.rank = _ranks(self.boxes, edges)
        self.lane = list(range(self.boxes))  # vertices of one lane want to be on one vertical line
        self.up: list[list[int]] = [[] for _ in width]
        self.down: list[list[int]] = [[] for _ in width]
        self.chains: list[list[int]] = []  # for each edge: its vertices from source to target
        points: dict[tuple[int, int], int] = {}
        for source, target in edges:
            between = range(self.rank[source] + 1, self.rank[target])
            for rank in between:
                if (source, rank) not in points:
                    points[source, rank] = self._add_point(rank, points.get((source, between[0])))
            self.chains.append([source, *(points[source, rank] for rank in between), target])
            for upper, lower in pairwise(self.chains[-1]):
                if lower not in self.down[upper]:
                    self.down[upper].append(lower)
                    self.up[lower].append(upper)
        self._join_boxes()
        self.layers: list[list[int]] = [[] for _ in range(max(self.rank, default=-1) + 1)]
        for vertex, rank in enumerate(self.rank):
            self.layers[rank].append(vertex)

    def _add_point(self, rank: int, lane: int | None) -> int:
        self.lane.append(len(self.rank) if lane is None else lane)
        self.rank.append(rank)
        self.width.append(0.0)
        self.up.append([])
        self.down.append([])
        return len(self.rank) - 1

    def _join_boxes(self) -> None:
        """Put chains of boxes, each with one box below and (leaves aside) one above, in a lane."""
        for box in range(self.boxes):
            below = [v for v in self.down[box] if v < self.boxes]
            if self.up[box] and len(below) == 1:
                above = [v for v in self.up[below[0]] if v < self.boxes and self.up[v]]
                if above == [box]:
                    self.lane[below[0]] = self.lane[box]

    def reorder(self) -> None:
        """Sort each layer so that few links cross."""
        best, fewest = [list(layer) for layer in self.layers], self._crossings()
        for sweep in range(ORDER_SWEEPS):
            near = self.down if sweep % 2 else self.up
            for layer in self.layers[:: -1 if sweep % 2 else 1]:
                place = self._places()
                centre = {v: np.mean([place[n] for n in near[v] or [v]]) for v in layer}
                layer.sort(key=lambda v: (centre[v], place[v]))
            if self._crossings() < fewest:
                best, fewest = [list(layer) for layer in self.layers], self._crossings()
        self.layers = best

    def _places(self) -> dict[int, int]:
        return {v: i for layer in self.layers for i, v in enumerate(layer)}

    def _crossings(self) -> int:
        place, total = self._places(), 0
        for layer in self.layers:
            links = np.array([(place[v], place[n]) for v in layer for n in self.down[v]])
            if len(links):
                apart = links[:, None] - links
                total += int((apart[..., 0] * apart[..., 1] < 0).sum()) // 2
        return total

    def positions(self) -> list[float]:
        """x of each vertex: near its neighbours; what is in one lane is straight if possible."""
        xs = [0.0] * len(self.rank)
        for sweep in range(POSITION_SWEEPS):
            for layer in self.layers[:: -1 if sweep % 2 else 1]:
                wishes, weights = [], []
                for v in layer:
                    near = self.up[v] + self.down[v]
                    if sweep < POSITION_SWEEPS / 4:
                        near = (self.down if sweep % 2 else self.up)[v] or near
                    pulls = [self._pull(v, n) for n in near] or [0.1]
                    wishes.append(sum(p * xs[n] for p, n in zip(pulls, near or [v])) / sum(pulls))
                    weights.append(sum(pulls))
                for v, x in zip(layer, self._spread(layer, wishes, weights)):
                    xs[v] = x
        self._straighten(xs)
        return xs

    def _pull(self, a: int, b: int) -> float:
        if min(a, b) >= self.boxes:
            return 8.0
        return 1.0 if self.up[min(a, b)] else 0.2  # leaves stand beside the boxes that they feed

    def _gap(self, left: int, right: int) -> float:
        gap = GAP_X if max(left, right) < self.boxes else LANE
        return gap + (self.width[left] + self.width[right]) / 2

    def _spread(
        self, layer: Sequence[int], wishes: Sequence[float], weights: Sequence[float]
    ) -> list[float]:
        """x closest to ``wishes`` that keep order and distance, by pooling adjacent violators."""
        offsets = [0.0, *accumulate(self._gap(left, right) for left, right in pairwise(layer))]
        blocks: list[tuple[float, float, int]] = []  # mean, weight, count
        for wish, offset, weight in zip(wishes, offsets, weights):
            mean, count = wish - offset, 1
            while blocks and blocks[-1][0] > mean:
                other, heavy, more = blocks.pop()
                mean = (mean * weight + other * heavy) / (weight + heavy)
                weight, count = weight + heavy, count + more
            blocks.append((mean, weight, count))
        means = [mean for mean, _, count in blocks for _ in range(count)]
        return [mean + offset for mean, offset in zip(means, offsets)]

    def _straighten(self, xs: list[float]) -> None:
        """Cut each lane into as few vertical pieces as its neighbours allow."""
        lanes: dict[int, list[int]] = {}
        for v in sorted(range(len(xs)), key=self.rank.__getitem__):
            lanes.setdefault(self.lane[v], []).append(v)
        place = self._places()
        for lane in [*lanes.values()] * ORDER_SWEEPS:
            pieces: list[tuple[list[int], float, float]] = []
            for v in lane:
                layer, i = self.layers[self.rank[v]], place[v]
                low = max([xs[n] + self._gap(n, v) for n in layer[:i][-1:]], default=-inf)
                high = min([xs[n] - self._gap(v, n) for n in layer[i + 1 : i + 2]], default=inf)
                if pieces and max(low, pieces[-1][1]) <= min(high, pieces[-1][2]):
                    piece, least, most = pieces.pop()
                    pieces.append(([*piece, v], max(low, least), min(high, most)))
                else:
                    pieces.append(([v], low, high))
            for piece, low, high in pieces:
                leaf = piece[0] if not self.up[piece[0]] and piece[0] < self.boxes else None
                near = piece if leaf is None else self.down[leaf] or piece
                x = min(max(sum(xs[v] for v in near) / len(near), low), high)
                for v in piece:
                    xs[v] = x


def _ranks(count: int, edges: Edges) -> list[int]:
    """Longest path from the top; then boxes move down to their users where that shortens edges."""
    above: list[set[int]] = [set() for _ in range(count)]
    below: list[set[int]] = [set() for _ in range(count)]
    for source, target in edges:
        above[target].add(source)
        below[source].add(target)
    ranks: list[int] = []
    for box in range(count):
        ranks.append(max((ranks[a] + 1 for a in above[box]), default=0))
    for box in reversed(range(count)):
        if below[box] and len(below[box]) >= len(above[box]):
            ranks[box] = min(ranks[b] for b in below[box]) - 1
    return ranks


def _finish(mesh: _Mesh, sizes: Sequence[Size], xs: Sequence[float]) -> Layout:
    tops, bottoms, y = [], [], 0.0
    for layer in mesh.layers:
        tops.append(y)
        bottoms.append(y + max((sizes[v][1] for v in layer if v < mesh.boxes), default=0.0))
        y = bottoms[-1] + GAP_Y
    middles = [(tops[rank] + bottoms[rank]) / 2 for rank in mesh.rank]
    routes: list[tuple[Point, ...]] = []
    ports = _ports(mesh, xs)
    for port, (source, *points, target) in zip(ports, mesh.chains):
        route = [(xs[source], middles[source] + sizes[source][1] / 2)]
        for v in points:
            route += [(xs[v], tops[mesh.rank[v]]), (xs[v], bottoms[mesh.rank[v]])]
        routes.append((*route, (port, middles[target] - sizes[target][1] / 2)))
    width = max((x + w / 2 for x, w in zip(xs, mesh.width)), default=0.0)
    return Layout(tuple(zip(xs, middles[: mesh.boxes])), tuple(routes), width, max(y - GAP_Y, 0.0))


def _ports(mesh: _Mesh, xs: Sequence[float]) -> list[float]:
    """Where each edge enters its target: spread over the top in the order in which they arrive."""
    ports = [0.0] * len(mesh.chains)
    arrivals: dict[int, list[tuple[float, int]]] = {}
    for edge, chain in enumerate(mesh.chains):
        arrivals.setdefault(chain[-1], []).append((xs[chain[-2]], edge))
    for target, found in arrivals.items():
        for place, (_, edge) in enumerate(sorted(found), 1):
            ports[edge] = xs[target] + mesh.width[target] * ((place - 0.5) / len(found) - 0.5)
    return ports
