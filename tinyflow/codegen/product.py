"""Print matrix products as LLVM's intermediate representation. Layer: codegen.

The result is cut into tiles that fit into registers. Panels of both factors are copied first, so
that a tile reads them in the order in which they lie: the right one in rows of whole vectors, the
left one in columns of as many numbers as a tile has rows. The code names no size: it serves all.

Source: Goto and van de Geijn, Anatomy of high-performance matrix multiplication (2008); Van Zee and
van de Geijn, BLIS (2015).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

from tinyflow.codegen.vector_code import VectorCode, vector_module

__all__ = ["Product", "Tile", "product_sizes", "product_source"]


@dataclass(frozen=True, slots=True)
class Product:
    """``y = alpha * op(a) @ op(b) + beta * c + bias`` on row-major float32 arrays.

    op(a) is (count, rows, depth), op(b) (count, depth, columns), y (count, rows, columns); c, as y,
    is there if beta is not 0, and bias (columns,) if ``biased``: then count is 1.
    """

    rows: int
    columns: int
    depth: int
    transpose_a: bool = False
    transpose_b: bool = False
    alpha: float = 1.0
    beta: float = 0.0
    biased: bool = False
    count: int = 1

    @property
    def arrays(self) -> tuple[str, ...]:
        """Names of the arrays, in the order of their addresses."""
        return (*("c",) * (self.beta != 0), "a", "b", *("bias",) * self.biased, "y")

    def __str__(self) -> str:
        """For readers, as ``str(nest)``."""
        a = f"a({self.rows}, {self.depth})" + " stored as its transpose" * self.transpose_a
        b = f"b({self.depth}, {self.columns})" + " stored as its transpose" * self.transpose_b
        alpha = f"{self.alpha:g} * " * (self.alpha != 1)
        rest = f" + {self.beta:g} * c" * (self.beta != 0) + " + bias" * self.biased
        each = f"\nfor each of {self.count}" * (self.count > 1)
        return f"y = {alpha}a @ b{rest}\n{a}\n{b}{each}"


@dataclass(frozen=True, slots=True)
class Tile:
    """How a processor likes a product to be cut.

    A vector has ``lanes`` floats, a tile ``rows`` rows of ``vectors`` vectors each. Panels are at
    most ``depth`` deep, and about ``copied`` numbers of the right factor are copied at once.
    """

    lanes: int
    rows: int
    vectors: int
    depth: int = 320
    copied: int = 80_000


def product_source(product: Product, tile: Tile) -> str:
    """The module, the same for all sizes.

    ``launch(table)`` reads first what ``product_sizes`` returns, then the addresses of the arrays.
    """
    return _source(replace(product, count=1, rows=1, columns=1, depth=1), tile)


@cache
def _source(kind: Product, tile: Tile) -> str:
    return _Module(kind, tile).text()


def product_sizes(product: Product, tile: Tile) -> tuple[int, ...]:
    """The sizes, then the depth and width of the blocks of the right factor that are copied."""
    p, panel = product, tile.lanes * tile.vectors
    deep = _share(p.depth, tile.depth, tile.lanes)
    return p.count, p.rows, p.columns, p.depth, deep, _share(p.columns, tile.copied // deep, panel)


def _share(total: int, most: int, unit: int) -> int:
    """Whole units, ``most`` at most but for one unit, so that a total falls into equal parts."""
    parts = -(-total // max(most // unit * unit, unit))
    return max(-(-total // (parts * unit)), 1) * unit


_TABLE = ("count", "rows", "columns", "depth", "deep", "wide")
# of a tile or a row of tiles: what counts of it, the row length of y, if it is the first block
_PART = "i64 %depth, i64 %height, i64 %width, i64 %columns, i1 %first, ptr %left, ptr %right"


class _Module:
    def __init__(self, product: Product, tile: Tile) -> None:
        self.product, self.tile, self.lanes = product, tile, tile.lanes
        self.panel = tile.lanes * tile.vectors
        self.functions: dict[str, VectorCode] = {}
        self.results = ("y", *(name for name in product.arrays if name in ("c", "bias")))
        self.given = ", ".join(f"ptr %{name}" for name in self.results)

    def text(self) -> str:
        self._launch()
        return vector_module(self.lanes, list(self.functions.values()))

    def _function(self, name: str, inputs: str, kind: str = "internal ") -> VectorCode:
        head = f"{kind}void @{name}({inputs})"
        self.functions[name] = VectorCode(head, self.lanes)
        return self.functions[name]

    def _launch(self) -> None:
        """All blocks of the right factor, one after the other."""
        p, tile, code = self.product, self.tile, self._function("launch", "ptr %table", "")
        right, left = max(tile.copied, tile.depth * self.panel), tile.depth * tile.rows + tile.lanes
        code.lines += [
            f"  %right = alloca [{right} x float], align 64",
            f"  %left = alloca [{left} x float], align 64",
        ]
        code.arguments(_TABLE, [f"{name}0" for name in p.arrays])
        sizes = {"a": code.mul("%rows", "%depth"), "b": code.mul("%depth", "%columns"), "bias": "0"}
        result = code.mul("%rows", "%columns")
        with code.loop("%count") as i:
            start = {x: code.at(f"%{x}0", code.mul(i, sizes.get(x, result))) for x in p.arrays}
            with code.loop(code.parts("%columns", "%wide")) as right_block:
                j = code.mul(right_block, "%wide")
                width = code.least(code.sub("%columns", j), "%wide")
                with code.loop(code.parts("%depth", "%deep")) as block:
                    self._block(code, start, j, width, code.mul(block, "%deep"))

    def _block(self, code: VectorCode, start: dict[str, str], j: str, width: str, k: str) -> None:
        """Copy (depth, width) numbers of the right factor and add their share to all rows."""
        p, depth = self.product, code.least(code.sub("%depth", k), "%deep")
        first = code.new(f"icmp eq i64 {k}, 0")
        row, leading, along = (j, "%depth", k) if p.transpose_b else (k, "%columns", j)
        source = code.at(start["b"], code.add(code.mul(row, leading), along))
        for vectors, whole, at, size in self._panels(code, width):
            pack = self._pack(p.transpose_b, vectors * self.lanes, whole)
            here = code.at(source, code.mul(at, leading) if p.transpose_b else at)
            target = code.at("%right", code.mul(at, depth))
            code.call(pack, f"ptr {here}, i64 {leading}, ptr {target}, i64 {depth}, i64 {size}")
        done = "0"
        for height in (self.tile.rows, self._low):
            many = code.sub("%rows", done)
            many = code.divide(many, height)[0] if done == "0" else code.parts(many, height)
            sweep = self._sweep(height)
            with code.loop(many) as part:
                i = code.add(code.mul(part, height), done)
                size = code.least(code.sub("%rows", i), height)
                row, leading, along = (k, "%rows", i) if p.transpose_a else (i, "%depth", k)
                a = code.at(start["a"], code.add(code.mul(row, leading), along))
                y = code.add(code.mul(i, "%columns"), j)
                places = [code.at(start[x], j if x == "bias" else y) for x in self.results]
                shape = f"i64 {depth}, i64 {size}, i64 {width}, i64 %columns, i1 {first}"
                given = ", ".join(f"ptr {place}" for place in ("%left", "%right", *places, a))
                code.call(sweep, f"{shape}, {given}, i64 {leading}")
            done = code.mul(many, height)

    @property
    def _low(self) -> int:
        """Rows of the small tiles, for what is left below the others."""
        return max(self.tile.rows // 3, 1)

    def _panels(self, code: VectorCode, width: str) -> Iterator[tuple[int, bool, str, str | int]]:
        """Each panel of a block: its vectors, if it is whole, where it begins, its columns."""
        many, rest = code.divide(width, self.panel)
        with code.loop(many) as panel:
            yield self.tile.vectors, True, code.mul(panel, self.panel), self.panel
        with code.loop(code.parts(rest, self.lanes)) as vector:
            behind = code.mul(vector, self.lanes)
            at = code.add(code.mul(many, self.panel), behind)
            yield 1, False, at, code.sub(rest, behind)

    def _sweep(self, height: int) -> str:
        """Copy a panel of the left factor, and compute all tiles of these rows."""
        name = f"sweep_{height}"
        if name in self.functions:
            return name
        code = self._function(name, f"{_PART}, {self.given}, ptr %a, i64 %leading")
        pack = self._pack(not self.product.transpose_a, height, height == self.tile.rows)
        code.call(pack, "ptr %a, i64 %leading, ptr %left, i64 %depth, i64 %height")
        for vectors, whole, at, size in self._panels(code, "%width"):
            tile = self._tile(height, vectors, whole)
            right = code.at("%right", code.mul(at, "%depth"))
            places = ["%left", right, *(code.at(f"%{x}", at) for x in self.results)]
            shape = f"i64 %depth, i64 %height, i64 {size}, i64 %columns, i1 %first"
            code.call(tile, ", ".join([shape, *(f"ptr {place}" for place in places)]))
        return name

    def _tile(self, height: int, vectors: int, whole: bool) -> str:
        """y (height, width): what this block adds to it; the first block also brings c and bias."""
        name = f"tile_{height}_{vectors}_{int(whole)}"
        if name in self.functions:
            return name
        code = self._function(name, f"{_PART}, {self.given}")
        row_of = [code.mul(i, "%columns") for i in range(height)]
        places = [code.add(row, v * self.lanes) for row in row_of for v in range(vectors)]
        for place in places:
            code.prefetch(code.at("%y", place))
        sums = [f"%sum{i}_{v}" for i in range(height) for v in range(vectors)]
        with code.loop("%depth", sums) as k:
            row = code.at("%right", code.mul(k, vectors * self.lanes))
            right = [code.load(code.at(row, v * self.lanes)) for v in range(vectors)]
            column = code.at("%left", code.mul(k, height))
            for i in range(height):
                x = code.splat(code.at(column, i))
                for v, y in enumerate(sums[i * vectors : (i + 1) * vectors]):
                    code.carry(y, code.fma(x, right[v], y))
        masks = self._masks(code, height, whole)
        for first in (True, False):
            with code.when("%first" if first else code.new("xor i1 %first, true")):
                for at, (x, place) in enumerate(zip(sums, places)):
                    i, v = divmod(at, vectors)
                    self._finish(code, x, place, masks[i], v * self.lanes, first)
        return name

    def _masks(self, code: VectorCode, height: int, whole: bool) -> list[str | None]:
        """For each row of a tile which lanes count; None for all."""
        mask = None if whole else code.first("%width")
        if height == self.tile.rows:
            return [mask] * height
        return [code.only_if(code.less(i, "%height"), mask) for i in range(height)]

    def _finish(
        self, code: VectorCode, x: str, place: str, mask: str | None, column: int, first: bool
    ) -> None:
        """Store a sum, with what the block brings."""
        p, y = self.product, code.at("%y", place)
        if not first:
            x = code.fma(x, code.constant(p.alpha), code.load(y, mask))
        elif p.alpha != 1:
            x = code.new(f"fmul {code.vector} {x}, {code.constant(p.alpha)}")
        if first and p.beta:
            x = code.fma(code.load(code.at("%c", place), mask), code.constant(p.beta), x)
        if first and p.biased:
            bias = code.load(code.at("%bias", column), mask)
            x = code.plus(x, bias)
        code.store(x, y, mask)

    def _pack(self, turned: bool, stride: int, whole: bool) -> str:
        """Copy a panel: entry (k, i) goes to ``target[k * stride + i]``, i < size.

        ``size`` is the stride if the panel is whole. Rows of the source hold consecutive i, or
        consecutive k if it is ``turned``. Vectors are stored whole, in the order of k: what one
        writes too far the next one writes again; what lies behind ``size`` means nothing.
        """
        name = f"{'turn' if turned else 'copy'}_{stride}_{int(whole)}"
        if name in self.functions:
            return name
        inputs = "ptr %source, i64 %leading, ptr %target, i64 %depth, i64 %size"
        code, size = self._function(name, inputs), stride if whole else "%size"
        if not turned:
            masks = [code.first(code.sub(size, at)) for at in range(0, stride, self.lanes)]
            with code.loop("%depth") as k:
                row = code.at("%source", code.mul(k, "%leading"))
                target = code.at("%target", code.mul(k, stride))
                for v, mask in enumerate(masks):
                    x = code.load(code.at(row, v * self.lanes), mask)
                    code.store(x, code.at(target, v * self.lanes))
            return name
        last = code.sub(size, 1)
        rows = [i if whole else code.least(i, last) for i in range(stride)]
        starts = [code.at("%source", code.mul(i, "%leading")) for i in rows]
        many, left = code.divide("%depth", self.lanes)
        with code.loop(many) as square:
            self._turn(code, code.mul(square, self.lanes), starts, stride)
        done = code.mul(many, self.lanes)
        with code.loop(left) as rest, code.loop(size) as i:
            k = code.add(done, rest)
            place = code.at("%source", code.add(code.mul(i, "%leading"), k))
            x = code.new(f"load float, ptr {place}")
            place = code.at("%target", code.add(code.mul(k, stride), i))
            code.lines.append(f"  store float {x}, ptr {place}")
        return name

    def _turn(self, code: VectorCode, k: str, starts: list[str], stride: int) -> None:
        """Transpose squares of as many rows and columns as a vector has lanes."""
        for first in range(0, stride, self.lanes):
            chosen = [starts[min(first + i, stride - 1)] for i in range(self.lanes)]
            rows = [code.load(code.at(start, k)) for start in chosen]
            for i, column in enumerate(code.transpose(rows)):
                target = code.at("%target", code.mul(code.add(k, i), stride))
                # behind the last row, the first lanes of k + 1 are there
                count = stride - first if first else self.lanes
                code.store(column, code.at(target, first), code.first(count))
