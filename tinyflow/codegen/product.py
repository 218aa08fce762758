"""Print a matrix product as LLVM's intermediate representation. Layer: codegen.

The result is cut into tiles that fit into registers. Panels of both factors are copied first, so
that a tile reads them in the order in which they lie: the right one in rows of whole vectors, the
left one in columns of as many numbers as a tile has rows.

Source: Goto and van de Geijn, Anatomy of high-performance matrix multiplication (2008); Van Zee and
van de Geijn, BLIS (2015).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tinyflow.codegen.vector_code import VectorCode, vector_module

__all__ = ["Product", "Tile", "product_source"]


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
    copied: int = 60_000


def product_source(product: Product, tile: Tile) -> str:
    """The module. ``launch(table)`` reads the addresses of the arrays from entry 2 on."""
    return _Module(product, tile).text()


def _even(total: int, most: int, step: int = 1) -> int:
    """Size of the parts, a multiple of ``step`` of about ``most``, that makes them even."""
    parts = -(-total // most)
    return -(-total // (parts * step)) * step


class _Module:
    def __init__(self, product: Product, tile: Tile) -> None:
        self.product, self.lanes = product, tile.lanes
        self.rows = _even(product.rows, tile.rows)
        self.depth = _even(product.depth, tile.depth, tile.lanes)
        self.panel = tile.lanes * tile.vectors
        self.width = max(tile.copied // self.depth // self.panel, 1) * self.panel
        self.functions: dict[str, VectorCode] = {}
        self.extra = tuple(name for name in product.arrays if name in ("c", "bias"))

    def text(self) -> str:
        self._launch()
        return vector_module(self.lanes, list(self.functions.values()))

    def _function(self, name: str, inputs: str, kind: str = "internal ") -> VectorCode:
        head = f"{kind}void @{name}({inputs})"
        self.functions[name] = VectorCode(head, self.lanes)
        return self.functions[name]

    def _launch(self) -> None:
        """All blocks of the right factor, one after the other."""
        p = self.product
        code = self._function("launch", "ptr %table", "")
        left, right = self.depth * self.rows + self.lanes, self.depth * self.width
        code.lines += [
            f"  %right = alloca [{right} x float], align 64",
            f"  %left = alloca [{left} x float], align 64",
        ]
        for slot, name in enumerate(p.arrays, 2):
            place = code.new(f"getelementptr inbounds i64, ptr %table, i64 {slot}")
            code.lines.append(f"  %{name}0 = load ptr, ptr {place}")
        with code.loop(p.count) as i:
            sizes = {"a": p.rows * p.depth, "b": p.depth * p.columns, "bias": 0}
            start = {
                name: code.at(f"%{name}0", code.mul(i, sizes.get(name, p.rows * p.columns)))
                for name in p.arrays
            }
            for j in range(0, p.columns, self.width):
                for k in range(0, p.depth, self.depth):
                    self._block(code, start, j, min(self.width, p.columns - j), k)

    def _block(self, code: VectorCode, start: dict[str, str], j: int, width: int, k: int) -> None:
        """Copy (depth, width) numbers of the right factor and add their share to all rows."""
        p, depth = self.product, min(self.depth, self.product.depth - k)
        for at, size, times in _parts(width, self.panel):
            stride = -(-size // self.lanes) * self.lanes
            pack, leading = self._pack(p.transpose_b, size, stride), p.columns
            first, step = k * p.columns + j + at, size
            if p.transpose_b:
                first, step, leading = (j + at) * p.depth + k, size * p.depth, p.depth
            with code.loop(times) as panel:
                source = code.at(code.at(start["b"], first), code.mul(panel, step))
                target = code.at(code.at("%right", at * depth), code.mul(panel, size * depth))
                code.call(pack, f"ptr {source}, i64 {leading}, ptr {target}, i64 {depth}")
        for row, rows, times in _parts(p.rows, self.rows):
            sweep = self._sweep(rows, width, first=k == 0)
            with code.loop(times) as part:
                i = code.add(code.mul(part, rows), row)
                at_row = code.add(code.mul(i, p.columns), j)
                a = code.add(i, k * p.rows) if p.transpose_a else code.add(code.mul(i, p.depth), k)
                places: dict[str, str | int] = {"a": a, "y": at_row, "c": at_row, "bias": j}
                given = [f"ptr {code.at(start[n], places[n])}" for n in ("a", "y", *self.extra)]
                code.call(sweep, f"i64 {depth}, ptr %left, ptr %right, {', '.join(given)}")

    def _sweep(self, rows: int, width: int, first: bool) -> str:
        """Copy a panel of the left factor, and compute all tiles of these rows."""
        p, name = self.product, f"sweep_{rows}_{width}_{int(first)}"
        if name in self.functions:
            return name
        extra = "".join(f", ptr %{x}" for x in self.extra)
        code = self._function(name, f"i64 %depth, ptr %left, ptr %right, ptr %a, ptr %y{extra}")
        leading = p.rows if p.transpose_a else p.depth
        pack = self._pack(not p.transpose_a, rows, rows)
        code.call(pack, f"ptr %a, i64 {leading}, ptr %left, i64 %depth")
        for at, size, times in _parts(width, self.panel):
            tile = self._tile(rows, size, first)
            with code.loop(times) as panel:
                column = code.add(code.mul(panel, size), at)
                right = code.at("%right", code.mul(column, "%depth"))
                given = [f"ptr {code.at(f'%{x}', column)}" for x in ("y", *self.extra)]
                code.call(tile, f"i64 %depth, ptr %left, ptr {right}, {', '.join(given)}")
        return name

    def _tile(self, rows: int, width: int, first: bool) -> str:
        """y (rows, width): what this block adds to it; the first block also brings c and bias."""
        name = f"tile_{rows}_{width}_{int(first)}"
        if name in self.functions:
            return name
        factors = "i64 %depth, ptr noalias %left, ptr noalias %right"
        extra = "".join(f", ptr %{x}" for x in self.extra)
        code = self._function(name, f"{factors}, ptr %y{extra}")
        vectors = -(-width // self.lanes)
        if self.product.beta or not first:
            self._fetch(code, "%c" if first else "%y", rows, vectors)
        sums = {(i, v): f"%sum{i}_{v}" for i in range(rows) for v in range(vectors)}
        with code.loop("%depth", list(sums.values())) as k:
            row = code.at("%right", code.mul(k, vectors * self.lanes))
            right = [code.load(code.at(row, v * self.lanes), self.lanes) for v in range(vectors)]
            column = code.at("%left", code.mul(k, rows))
            for i in range(rows):
                x = code.splat(code.at(column, i))
                for v in range(vectors):
                    code.carry(sums[i, v], code.fma(x, right[v], sums[i, v]))
        for (i, v), x in sums.items():
            self._finish(code, x, i, v, min(self.lanes, width - v * self.lanes), first)
        return name

    def _fetch(self, code: VectorCode, base: str, rows: int, vectors: int) -> None:
        """Ask for what is read at the end."""
        for i in range(rows):
            for v in range(vectors):
                code.prefetch(code.at(base, i * self.product.columns + v * self.lanes))

    def _finish(self, code: VectorCode, x: str, i: int, v: int, lanes: int, first: bool) -> None:
        p, at = self.product, i * self.product.columns + v * self.lanes
        y = code.at("%y", at)
        if not first:
            x = code.fma(x, code.constant(p.alpha), code.load(y, lanes))
        elif p.alpha != 1:
            x = code.new(f"fmul {code.vector} {x}, {code.constant(p.alpha)}")
        if first and p.beta:
            x = code.fma(code.load(code.at("%c", at), lanes), code.constant(p.beta), x)
        if first and p.biased:
            bias = code.load(code.at("%bias", v * self.lanes), lanes)
            x = code.new(f"fadd {code.vector} {x}, {bias}")
        code.store(x, y, lanes)

    def _pack(self, turned: bool, size: int, stride: int) -> str:
        """Copy a panel: entry (k, i) goes to ``target[k * stride + i]``, i < size.

        Rows of the source hold consecutive i, or consecutive k if it is ``turned``. Vectors are
        stored whole, in the order of k: what one writes too far the next one writes again.
        """
        name = f"{'turn' if turned else 'copy'}_{size}_{stride}"
        if name in self.functions:
            return name
        code = self._function(name, "ptr %source, i64 %leading, ptr %target, i64 %depth")
        if not turned:
            with code.loop("%depth") as k:
                row = code.at("%source", code.mul(k, "%leading"))
                target = code.at("%target", code.mul(k, stride))
                for at in range(0, size, self.lanes):
                    x = code.load(code.at(row, at), size - at)
                    code.store(x, code.at(target, at), self.lanes)
            return name
        whole = code.new(f"udiv i64 %depth, {self.lanes}")
        with code.loop(whole) as square:
            self._turn(code, code.mul(square, self.lanes), size, stride)
        done = code.mul(whole, self.lanes)
        with code.loop(code.new(f"sub i64 %depth, {done}")) as rest, code.loop(size) as i:
            k = code.add(done, rest)
            x = code.new(
                f"load float, ptr {code.at('%source', code.add(code.mul(i, '%leading'), k))}"
            )
            place = code.at("%target", code.add(code.mul(k, stride), i))
            code.lines.append(f"  store float {x}, ptr {place}")
        return name

    def _turn(self, code: VectorCode, k: str, size: int, stride: int) -> None:
        """Transpose squares of as many rows and columns as a vector has lanes."""
        for first in range(0, size, self.lanes):
            places = [min(first + i, size - 1) for i in range(self.lanes)]
            rows = [
                code.load(code.at(code.at("%source", code.mul(i, "%leading")), k), self.lanes)
                for i in places
            ]
            for i, column in enumerate(code.transpose(rows)):
                target = code.at("%target", code.mul(code.add(k, i), stride))
                count = size - first if first else self.lanes  # the first lanes of k + 1 are there
                code.store(column, code.at(target, first), count)


def _parts(total: int, size: int) -> Iterator[tuple[int, int, int]]:
    """(where it begins, its size, how often) of the whole parts of ``total``, and of the rest."""
    whole, rest = divmod(total, size)
    if whole:
        yield 0, size, whole
    if rest:
        yield whole * size, rest, 1
