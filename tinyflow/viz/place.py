"""Order within ranks and x positions of a layered layout. Layer: viz.

Order: barycentre sweeps, keeping the one with the fewest crossings. Positions: weighted least
squares with a minimal distance, then long edges and chains of boxes are made straight.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Sequence
from itertools import pairwise

from tinyflow.viz.mesh import Mesh

__all__ = ["ordered", "positions"]

GAP_X, LANE = 26.0, 14.0  # pixels between boxes, beside a dummy point
SWEEPS = 12


def ordered(mesh: Mesh) -> list[list[int]]:
    """Vertices of each rank from left to right, with few crossings."""
    layers: list[list[int]] = [[] for _ in range(max(mesh.rank, default=-1) + 1)]
    for vertex in _depth_first(mesh):
        layers[mesh.rank[vertex]].append(vertex)
    best, fewest = [list(layer) for layer in layers], _crossings(mesh, layers)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        near = mesh.up if down else mesh.down
        place = {v: i for layer in layers for i, v in enumerate(layer)}
        for layer in layers if down else reversed(layers):
            centre = {
                v: sum(place[n] for n in near[v]) / len(near[v]) if near[v] else place[v]
                for v in layer
            }
            layer.sort(key=lambda v: (centre[v], place[v]))
            place.update((v, i) for i, v in enumerate(layer))
        count = _crossings(mesh, layers)
        if count < fewest:
            best, fewest = [list(layer) for layer in layers], count
    return best


def _depth_first(mesh: Mesh) -> list[int]:
    """A first order in which what belongs together stands together."""
    seen: set[int] = set()
    order: list[int] = []
    for root in range(len(mesh.rank)):
        stack = [root]
        while stack:
            vertex = stack.pop()
            if vertex not in seen:
                seen.add(vertex)
                order.append(vertex)
                stack += reversed(mesh.up[vertex] + mesh.down[vertex])
    return order


def _crossings(mesh: Mesh, layers: Sequence[Sequence[int]]) -> int:
    total = 0
    for upper, lower in pairwise(layers):
        place = {vertex: i for i, vertex in enumerate(lower)}
        passed: list[int] = []
        for vertex in upper:
            ends = sorted(place[n] for n in mesh.down[vertex])
            total += sum(len(passed) - bisect_left(passed, end + 1) for end in ends)
            for end in ends:
                insort(passed, end)
    return total


def positions(mesh: Mesh, layers: Sequence[Sequence[int]]) -> list[float]:
    """x of each vertex: near its neighbours; long edges pull hard, so that they run straight."""
    xs = [0.0] * len(mesh.rank)
    for layer in layers:
        for vertex, x in zip(layer, _spread(mesh, layer, [0.0] * len(layer), [1.0] * len(layer))):
            xs[vertex] = x
    for sweep in range(5 * SWEEPS):
        down = sweep % 2 == 0
        for layer in layers if down else reversed(layers):
            wishes, weights = [], []
            for vertex in layer:
                near = mesh.up[vertex] if down else mesh.down[vertex]
                if sweep >= SWEEPS or not near:
                    near = mesh.up[vertex] + mesh.down[vertex]
                pulls = [_pull(mesh, vertex, n) for n in near]
                total = sum(pulls)
                wish = sum(p * xs[n] for p, n in zip(pulls, near)) / total if near else xs[vertex]
                wishes.append(wish)
                weights.append(total or 0.1)
            for vertex, x in zip(layer, _spread(mesh, layer, wishes, weights)):
                xs[vertex] = x
    _straighten(mesh, layers, xs)
    return xs


def _pull(mesh: Mesh, a: int, b: int) -> float:
    if a >= mesh.boxes and b >= mesh.boxes:
        return 8.0
    leaf = not mesh.up[min(a, b)]  # leaves stand beside the chain of boxes that they feed
    return 0.2 if leaf else 1.0


def _straighten(mesh: Mesh, layers: Sequence[Sequence[int]], xs: list[float]) -> None:
    """Cut long edges and chains of boxes into as few vertical pieces as neighbours allow."""
    beside: dict[int, tuple[int | None, int | None]] = {}
    for layer in layers:
        for left, vertex, right in zip([None, *layer], layer, [*layer[1:], None]):
            beside[vertex] = left, right
    for _ in range(SWEEPS):
        for lane in mesh.lanes:
            piece: list[int] = []
            low, high = -math.inf, math.inf
            for vertex in lane:
                least, most = _room(mesh, xs, vertex, *beside[vertex])
                if piece and max(low, least) > min(high, most):
                    _align(xs, piece, low, high)
                    piece, low, high = [], -math.inf, math.inf
                piece.append(vertex)
                low, high = max(low, least), min(high, most)
            _align(xs, piece, low, high)


def _room(
    mesh: Mesh, xs: Sequence[float], vertex: int, left: int | None, right: int | None
) -> tuple[float, float]:
    low = -math.inf if left is None else xs[left] + _distance(mesh, left, vertex)
    return low, math.inf if right is None else xs[right] - _distance(mesh, vertex, right)


def _align(xs: list[float], piece: Sequence[int], low: float, high: float) -> None:
    mean = sum(xs[v] for v in piece) / max(len(piece), 1)
    for vertex in piece:
        xs[vertex] = min(max(mean, low), high)


def _distance(mesh: Mesh, left: int, right: int) -> float:
    between = GAP_X if max(left, right) < mesh.boxes else LANE
    return (mesh.width[left] + mesh.width[right]) / 2 + between


def _spread(
    mesh: Mesh, layer: Sequence[int], wishes: Sequence[float], weights: Sequence[float]
) -> list[float]:
    """x closest to ``wishes`` (weighted squares) that keep order and distance."""
    offsets = [0.0]
    for left, right in pairwise(layer):
        offsets.append(offsets[-1] + _distance(mesh, left, right))
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
