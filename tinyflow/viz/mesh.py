"""Boxes and dummy points of a layered layout, joined rank to rank. Layer: viz."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Mesh", "build_mesh"]


@dataclass(slots=True)
class Mesh:
    """Boxes and dummy points as vertices 0, 1, ...; every link joins neighbouring ranks."""

    rank: list[int]
    width: list[float]
    boxes: int  # vertices from here on are dummy points
    up: list[list[int]]
    down: list[list[int]]
    chains: list[list[int]]  # for each edge: its vertices from source to target
    lanes: list[list[int]]  # vertices to put on one vertical line, from top to bottom

    def add(self, rank: int, width: float) -> int:
        self.rank.append(rank)
        self.width.append(width)
        self.up.append([])
        self.down.append([])
        return len(self.rank) - 1

    def link(self, upper: int, lower: int) -> None:
        if lower not in self.down[upper]:
            self.down[upper].append(lower)
            self.up[lower].append(upper)


def build_mesh(widths: Sequence[float], edges: Sequence[tuple[int, int]]) -> Mesh:
    """Ranks for boxes in topological order; a dummy point per rank that a long edge crosses."""
    count = len(widths)
    ranks = _ranks(count, edges)
    empty: list[list[int]] = [[] for _ in widths]
    down: list[list[int]] = [[] for _ in widths]
    mesh = Mesh(list(ranks), list(widths), count, empty, down, [], [])
    points: dict[tuple[int, int], int] = {}
    for source, target in edges:
        chain = [source]
        for rank in range(ranks[source] + 1, ranks[target]):
            if (source, rank) not in points:
                points[source, rank] = mesh.add(rank, 0.0)
            chain.append(points[source, rank])
        chain.append(target)
        mesh.chains.append(chain)
        for upper, lower in pairwise(chain):
            mesh.link(upper, lower)
    for source in range(count):
        mesh.lanes.append([points[key] for key in sorted(points) if key[0] == source])
    mesh.lanes += _spines(mesh)
    return mesh


def _ranks(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """Longest path from the top; then boxes move down to their users where that shortens edges."""
    above: list[list[int]] = [[] for _ in range(count)]
    below: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges:
        above[target].append(source)
        below[source].append(target)
    ranks = [0] * count
    for box in range(count):
        ranks[box] = max((ranks[a] + 1 for a in above[box]), default=0)
    for box in reversed(range(count)):
        if below[box] and len(set(below[box])) >= len(set(above[box])):
            ranks[box] = min(ranks[b] for b in below[box]) - 1
    return ranks


def _spines(mesh: Mesh) -> list[list[int]]:
    """Chains of boxes in which each has one box below and, leaves aside, one box above."""
    after: dict[int, int] = {}
    for box in range(mesh.boxes):
        below = [v for v in mesh.down[box] if v < mesh.boxes]
        if len(below) == 1 and mesh.up[box]:
            above = [v for v in mesh.up[below[0]] if v < mesh.boxes and mesh.up[v]]
            if above == [box]:
                after[box] = below[0]
    spines = []
    for head in sorted(after.keys() - after.values()):
        spine = [head]
        while spine[-1] in after:
            spine.append(after[spine[-1]])
        spines.append(spine)
    return spines
