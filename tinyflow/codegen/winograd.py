"""Print convolutions with 3 x 3 filters as LLVM's intermediate representation. Layer: codegen.

Minimal filtering: 2 x 2 results of a filter g come from a piece d of 4 x 4 pixels with 16
multiplications instead of 36. With the matrices A, B and G below, ⊙ elementwise,

    V = B d Bᵀ,   U = G g Gᵀ,   y = A (V ⊙ U) Aᵀ,

and the sum over channels makes each of the 16 numbers of V ⊙ U a matrix product, pieces x channels
@ channels x filters. Backwards the same steps run the other way: dg = Gᵀ (Σ V ⊙ Aᵀ dy A) G, summed
over all pieces. What x gets back is a convolution of dy, with filters turned around.

Images and filters lie NHWC; channels fill whole vectors. The code names no size: it serves all. An
infinity or nan in a pixel may show as nan in any result of its piece.
Source: Winograd, Arithmetic complexity of computations (1980); Lavin and Gray, Fast algorithms for
convolutional neural networks, CVPR 2016.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from tinyflow.codegen.vector_code import VectorCode, vector_module

__all__ = ["Winograd", "winograd_sizes", "winograd_source"]

Matrix = Sequence[Sequence[float]]
_B: Matrix = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
_G: Matrix = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))
_A: Matrix = ((1, 1, 1, 0), (0, 1, -1, -1))
_NUMBERS = 16  # of U and of V
_PIECES = 32  # at once: their numbers stay in the cache


@dataclass(frozen=True, slots=True)
class Winograd:
    """A convolution y of x by 3 x 3 filters, or what the images or the filters get back.

    x is (images, channels, height, width), y (images, filters, high, wide), the weight (filters,
    channels, 3, 3), all float32; ``padding`` is above and to the left. ``result`` is "y", "dx" or
    "dweight". ``biased``: y has a bias added, or the sums of dy come with dweight.
    """

    result: Literal["y", "dx", "dweight"]
    images: int
    x: tuple[int, int]
    y: tuple[int, int]
    padding: tuple[int, int]
    channels: int
    filters: int
    biased: bool = False

    @property
    def arrays(self) -> tuple[str, ...]:
        """Names of the arrays in the order of their addresses; "" is not looked at."""
        bias = ("bias",) * self.biased
        if self.result == "dweight":
            return ("result", "image", "", "weight", *bias)
        return ("image", "weight", *(bias if self.result == "y" else ("",)), "result")

    def __str__(self) -> str:
        """For readers, as ``str(nest)``."""
        x = f"x({self.images}, {self.channels}, {self.x[0]}, {self.x[1]})"
        weight = f"weight({self.filters}, {self.channels}, 3, 3)"
        formula = {
            "y": f"y = convolution(x, weight){' + bias' * self.biased}",
            "dx": "dx = convolution(dy, weight turned around)",
            "dweight": f"dweight = Σ x dy{', dbias = Σ dy' * self.biased}",
        }
        return f"{formula[self.result]}  # Winograd, 2 x 2 results at once\n{x}\n{weight}"


def winograd_source(kind: Winograd, lanes: int) -> str:
    """The module, the same for all sizes.

    ``launch(table)`` reads first what ``winograd_sizes`` returns, then the addresses of ``arrays``.
    """
    return _source(Winograd(kind.result, 1, (1, 1), (1, 1), (0, 0), 1, 1, kind.biased), lanes)


@cache
def _source(kind: Winograd, lanes: int) -> str:
    return _Module(kind, lanes).text()


def winograd_sizes(kind: Winograd) -> tuple[int, ...]:
    """What the code is told: images in and out, ``inner`` and ``outer`` channels, the filters.

    Number ``at`` of the 3 x 3 of the filter from an inner to an outer channel lies at ``start + at
    * step + inner * by_inner + outer * by_outer``.
    """
    c, k, (top, left) = kind.channels, kind.filters, kind.padding
    if kind.result == "dx":
        turned = (8 * c, -c, 9 * c, 1)
        return (kind.images, *kind.y, *kind.x, 2 - top, 2 - left, k, c, *turned)
    return (kind.images, *kind.x, *kind.y, top, left, c, k, 0, c, 1, 9 * c)


_SIZES = (
    *("images", "height", "width", "high", "wide", "top", "left", "inner", "outer"),
    *("start", "step", "by_inner", "by_outer"),
)
# of a walk over pieces: which, how many an image and a row of it has, the image and its channels
_WALK = (
    "i64 %first, i64 %count, i64 %each, i64 %across, "
    "i64 %height, i64 %width, i64 %top, i64 %left, i64 %channels, ptr %image, ptr %outside, "
    "ptr %numbers, i64 %gap"
)


class _Module:
    """``gap`` tells how far apart the 16 numbers are, of a block of pieces and of the filters."""

    def __init__(self, kind: Winograd, lanes: int) -> None:
        self.kind, self.lanes, self.backward = kind, lanes, kind.result == "dweight"
        self.rows = 8 if lanes == 16 else 4
        self.functions: dict[str, VectorCode] = {}
        self.gap: dict[str, str] = {}

    def text(self) -> str:
        self._launch()
        return vector_module(self.lanes, list(self.functions.values()))

    def _launch(self) -> None:
        code = VectorCode("void @launch(ptr %table)", self.lanes)
        code.arguments(_SIZES, [name or "unused" for name in self.kind.arrays])
        rooms = self._rooms(code)
        if self.backward:
            self._clear(code, "%u", code.mul(_NUMBERS, self.gap["u"]))
            if self.kind.biased:
                self._clear(code, "%bias", "%outer")
        else:
            self._move(code, "%weight", "%g")
            self._change(code, _G, ("%g", self.gap["g"]), ("%u", self.gap["u"]))
        across = code.parts("%wide", 2)
        each = code.mul(code.parts("%high", 2), across)
        total = code.mul("%images", each)
        with code.loop(code.parts(total, _PIECES)) as block:
            first = code.mul(block, _PIECES)
            count = code.least(code.sub(total, first), _PIECES)
            self._block(code, f"i64 {first}, i64 {count}, i64 {each}, i64 {across}", count)
        if self.backward:
            self._change(code, _turned(_G), ("%u", self.gap["u"]), ("%g", self.gap["g"]))
            self._move(code, "%g", "%weight")
        for room in rooms:
            code.call("free", f"ptr %{room}")
        self.functions["launch"] = code

    def _rooms(self, code: VectorCode) -> Iterable[str]:
        """Scratch: U, V, their products or Aᵀ dy A, filters as (3 * 3, inner, outer), and zeros.

        The numbers of a piece lie a little more than a round distance apart, for a cache would put
        them all in one place otherwise. Up to 2.3 MB, which the stack of a thread may not have: so
        they are allocated, in whole lines of the cache. Returns their names, to be freed.
        """
        rows = {"v": code.mul(_PIECES, "%inner"), "m": code.mul(_PIECES, "%outer")}
        rows["u"] = self.gap["g"] = code.mul("%inner", "%outer")
        self.gap |= {name: code.add(size, self.lanes) for name, size in rows.items()}
        rooms = {name: code.mul(_NUMBERS, self.gap[name]) for name in rows}
        channels = code.add("%inner", "%outer")
        rooms |= {"g": code.mul(9, self.gap["g"]), "zeros": channels, "trash": "%outer"}
        for name, size in rooms.items():
            size_bytes = code.mul(code.parts(size, 16), 64)
            code.lines.append(f"  %{name} = call ptr @aligned_alloc(i64 64, i64 {size_bytes})")
        self._clear(code, "%zeros", channels)
        return rooms

    def _clear(self, code: VectorCode, place: str, size: str) -> None:
        with code.loop(code.parts(size, self.lanes)) as i:
            code.store(code.constant(0), code.at(place, code.mul(i, self.lanes)))

    def _block(self, code: VectorCode, where: str, count: str) -> None:
        """Some pieces: their V, and the products."""
        image = "i64 %height, i64 %width, i64 %top, i64 %left, i64 %inner, ptr %image, ptr %zeros"
        code.call(self._read(_B), f"{where}, {image}, ptr %v, i64 {self.gap['v']}")
        result = "i64 %high, i64 %wide, i64 0, i64 0, i64 %outer, ptr %result, ptr %trash"
        given = f"{where}, {result}, ptr %m, i64 {self.gap['m']}"
        if self.backward:
            code.call(self._read(_turned(_A)), given.replace("%trash", "%zeros"))
            self._products(code, "vmu", ("%inner", count), ("1", "%inner"))
            if self.kind.biased:
                self._add_bias_grad(code, count)
        else:
            self._products(code, "vum", (count, "%inner"), ("%inner", "1"))
            code.call(self._write(), given + ", ptr %bias" * self.kind.biased)

    def _add_bias_grad(self, code: VectorCode, count: str) -> None:
        """Σ dy: of the numbers of a piece of dy, the one in row 1 and column 1 is their sum."""
        sums = code.at("%m", code.mul(5, self.gap["m"]))
        with code.loop(code.parts("%outer", self.lanes)) as i:
            at = code.mul(i, self.lanes)
            with code.loop(count, ["%dbias"]) as piece:
                x = code.load(code.at(sums, code.add(code.mul(piece, "%outer"), at)))
                code.carry("%dbias", code.plus(x, "%dbias"))
            place = code.at("%bias", at)
            code.store(code.plus("%dbias", code.load(place)), place)

    def _move(self, code: VectorCode, source: str, target: str) -> None:
        """Between the weight and g, (3 * 3, inner, outer)."""
        with code.loop(9) as at, code.loop("%inner") as i, code.loop("%outer") as o:
            steps = (at, "%step"), (i, "%by_inner"), (o, "%by_outer")
            there = "%start"
            for count, step in steps:
                there = code.add(there, code.mul(count, step))
            here = code.add(code.mul(code.add(code.mul(at, "%inner"), i), "%outer"), o)
            place = {"%weight": there, "%g": here}
            x = code.new(f"load float, ptr {code.at(source, place[source])}")
            code.lines.append(f"  store float {x}, ptr {code.at(target, place[target])}")

    def _change(
        self, code: VectorCode, by: Matrix, source: tuple[str, str], target: tuple[str, str]
    ) -> None:
        """All filters: from (place, gap) to (place, gap)."""
        with code.loop(code.parts(self.gap["g"], self.lanes)) as i:
            at = code.mul(i, self.lanes)
            places = (code.add(code.mul(j, source[1]), at) for j in range(len(by[0]) ** 2))
            x = [code.load(code.at(source[0], place)) for place in places]
            for j, y in enumerate(self._both_ways(code, by, x)):
                code.store(y, code.at(target[0], code.add(code.mul(j, target[1]), at)))

    def _read(self, by: Matrix) -> str:
        """Write the numbers of pieces of an image; outside of it there are zeros."""
        side = len(by[0])
        name = f"read_{side}"
        if name not in self.functions:
            code = self._function(name, _WALK)
            with code.loop("%count") as piece:
                pixels = self._pixels(code, piece, side)
                row = code.at("%numbers", code.mul(piece, "%channels"))
                with code.loop(code.parts("%channels", self.lanes)) as i:
                    c = code.mul(i, self.lanes)
                    x = [code.load(code.at(pixel, c)) for pixel in pixels]
                    for j, number in enumerate(self._both_ways(code, by, x)):
                        code.store(number, code.at(row, code.add(code.mul(j, "%gap"), c)))
        return name

    def _write(self) -> str:
        """Write the 2 x 2 results of pieces; what would lie outside goes to the trash."""
        code = self._function("write", _WALK + ", ptr %bias" * self.kind.biased)
        with code.loop("%count") as piece:
            pixels = self._pixels(code, piece, len(_A))
            row = code.at("%numbers", code.mul(piece, "%channels"))
            with code.loop(code.parts("%channels", self.lanes)) as i:
                c = code.mul(i, self.lanes)
                places = (code.add(code.mul(j, "%gap"), c) for j in range(_NUMBERS))
                x = [code.load(code.at(row, place)) for place in places]
                for pixel, y in zip(pixels, self._both_ways(code, _A, x)):
                    if self.kind.biased:
                        y = code.plus(y, code.load(code.at("%bias", c)))
                    code.store(y, code.at(pixel, c))
        return "write"

    def _pixels(self, code: VectorCode, piece: str, side: int) -> list[str]:
        """Where the ``side`` x ``side`` pixels of a piece lie, row by row."""
        image, rest = code.divide(code.add("%first", piece), "%each")
        down, along = code.divide(rest, "%across")
        first = code.sub(code.mul(down, 2), "%top"), code.sub(code.mul(along, 2), "%left")
        ys, xs = ([code.add(start, i) for i in range(side)] for start in map(str, first))
        found = []
        for y in ys:
            row = code.mul(code.add(code.mul(image, "%height"), y), "%width")
            for x in xs:
                place = code.at("%image", code.mul(code.add(row, x), "%channels"))
                inside = code.inside(y, "%height"), code.inside(x, "%width")
                both = code.new(f"and i1 {inside[0]}, {inside[1]}")
                found.append(code.new(f"select i1 {both}, ptr {place}, ptr %outside"))
        return found

    def _both_ways(self, code: VectorCode, by: Matrix, x: Sequence[str]) -> list[str]:
        """M X Mᵀ for a square X of vectors, row by row."""
        side = len(by[0])
        columns = [self._times(code, by, x[i::side]) for i in range(side)]
        return [y for row in zip(*columns) for y in self._times(code, by, row)]

    def _times(self, code: VectorCode, by: Matrix, x: Sequence[str]) -> list[str]:
        """M x: sums and differences, and halves."""
        made = []
        for row in by:
            total = None
            for factor, vector in sorted(zip(row, x), key=lambda pair: -pair[0]):
                if factor and total is None:
                    start = f"fmul {code.vector} {vector}, {code.constant(factor)}"
                    total = vector if factor == 1 else code.new(start)
                elif factor and total is not None:
                    total = code.fma(vector, code.constant(factor), total)
            made.append(total or code.constant(0))
        return made

    def _products(
        self, code: VectorCode, names: str, sizes: tuple[str, str], steps: tuple[str, str]
    ) -> None:
        """Of each of the 16 numbers: ``left @ right`` to ``result``, three ``names`` of rooms.

        ``sizes`` are the rows and the depth, ``steps`` how far rows and columns of left lie apart.
        """
        (rows, depth), (across, along) = sizes, steps
        wide = 2 * self.lanes
        with code.loop(_NUMBERS) as number:
            left, right, result = (
                code.at(f"%{name}", code.mul(number, self.gap[name])) for name in names
            )
            with code.loop(code.parts(rows, self.rows)) as part:
                i = code.mul(part, self.rows)
                a, y = code.at(left, code.mul(i, across)), code.at(result, code.mul(i, "%outer"))
                many, rest = code.divide("%outer", wide)
                for vectors, count in ((2, many), (1, code.parts(rest, self.lanes))):
                    with code.loop(count) as panel:
                        begin = 0 if vectors == 2 else code.mul(many, wide)
                        at = code.add(begin, code.mul(panel, wide))
                        places = (a, code.at(right, at), code.at(y, at))
                        shape = f"i64 {depth}, i64 {across}, i64 {along}, i64 %outer"
                        listed = ", ".join(f"ptr {place}" for place in places)
                        code.call(self._tile(vectors), f"{shape}, {listed}")

    def _tile(self, vectors: int) -> str:
        """A few rows of a product, of one or two vectors each; dU is the sum over all blocks."""
        name = f"tile_{vectors}"
        if name in self.functions:
            return name
        shape = "i64 %depth, i64 %across, i64 %along, i64 %columns"
        code = self._function(name, f"{shape}, ptr %left, ptr %right, ptr %y")
        starts = [code.at("%left", code.mul(i, "%across")) for i in range(self.rows)]
        sums = [[f"%sum{i}_{v}" for v in range(vectors)] for i in range(self.rows)]
        with code.loop("%depth", [x for row in sums for x in row]) as k:
            place = code.at("%right", code.mul(k, "%columns"))
            right = [code.load(code.at(place, v * self.lanes)) for v in range(vectors)]
            for start, row in zip(starts, sums):
                x = code.splat(code.at(start, code.mul(k, "%along")))
                for y, total in zip(right, row):
                    code.carry(total, code.fma(x, y, total))
        for i, row in enumerate(sums):
            for v, x in enumerate(row):
                place = code.at("%y", code.add(code.mul(i, "%columns"), v * self.lanes))
                code.store(code.plus(x, code.load(place)) if self.backward else x, place)
        return name

    def _function(self, name: str, inputs: str) -> VectorCode:
        self.functions[name] = VectorCode(f"internal void @{name}({inputs})", self.lanes)
        return self.functions[name]


def _turned(matrix: Matrix) -> Matrix:
    return tuple(zip(*matrix))
