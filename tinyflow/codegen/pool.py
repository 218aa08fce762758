"""Print max pools as LLVM's intermediate representation. Layer: codegen.

Their windows lie side by side and cover the image, so that each pixel belongs to one of them: the
adjoint writes each pixel once, dy or 0. Images lie NHWC; the code names the window, but no size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

from tinyflow.codegen.vector_code import VectorCode, vector_module

__all__ = ["MaxPool", "pool_sizes", "pool_source"]


@dataclass(frozen=True, slots=True)
class MaxPool:
    """The largest element of each window and its place; or, ``backward``, what x gets back.

    x is (images, channels, high * window[0], wide * window[1]) in float32, the results (images,
    channels, high, wide); places are int64, row * width + column.
    """

    window: tuple[int, int]
    images: int
    channels: int
    size: tuple[int, int]
    backward: bool = False

    @property
    def arrays(self) -> tuple[str, ...]:
        """Names of the arrays in the order of their addresses; "" is not looked at."""
        return ("y", "index", "", "x") if self.backward else ("x", "y", "index")

    def __str__(self) -> str:
        """For readers, as ``str(nest)``."""
        x = [size * side for size, side in zip(self.size, self.window)]
        text = "dx = dy where it came from" if self.backward else "y, index = largest of each"
        return f"{text} {self.window[0]} x {self.window[1]}\nx{(self.images, self.channels, *x)}"


def pool_sizes(pool: MaxPool) -> tuple[int, ...]:
    """What the code is told before the addresses of the arrays."""
    return pool.images, *pool.size, pool.channels


def pool_source(pool: MaxPool, lanes: int) -> str:
    """The module, the same for all sizes: ``launch(table)``."""
    return _source(replace(pool, images=1, channels=1, size=(1, 1)), lanes)


@cache
def _source(pool: MaxPool, lanes: int) -> str:
    code = VectorCode("void @launch(ptr %table)", lanes)
    sizes = ("images", "high", "wide", "channels")
    code.arguments(sizes, [name or "unused" for name in pool.arrays])
    with code.loop(code.mul("%images", code.mul("%high", "%wide"))) as window:
        pixels = list(_pixels(code, pool, window))
        for [(c, mask)] in code.vectors("%channels"):
            at = code.add(code.mul(window, "%channels"), c)
            y, index = code.at("%y", at), code.at("%index", at, "i64")
            places = [(code.at(pixel, c), number) for pixel, number in pixels]
            (_backward if pool.backward else _forward)(code, places, y, index, mask)
    return vector_module(lanes, [code])


def _pixels(code: VectorCode, pool: MaxPool, window: str) -> Iterator[tuple[str, str]]:
    """For each pixel of a window where it lies, and row * width + column as a vector."""
    (down, across), width = pool.window, code.mul("%wide", pool.window[1])
    row, x = code.divide(window, "%wide")
    image, y = code.divide(row, "%high")
    before = code.mul(code.mul(image, code.mul("%high", down)), width)
    for i in range(down):
        for j in range(across):
            line = code.mul(code.add(code.mul(y, down), i), width)
            number = code.add(line, code.add(code.mul(x, across), j))
            pixel = code.mul(code.add(before, number), "%channels")
            yield code.at("%x", pixel), code.numbers(number)


def _forward(
    code: VectorCode, places: list[tuple[str, str]], y: str, index: str, mask: str | None
) -> None:
    """The first of equals is taken, nan before all."""
    most, where = code.load(places[0][0], mask), places[0][1]
    for pixel, number in places[1:]:
        x = code.load(pixel, mask)
        larger = code.new(f"fcmp ogt {code.vector} {x}, {most}")
        is_nan = code.new(f"fcmp uno {code.vector} {x}, {x}")
        taken = code.new(f"or <{code.lanes} x i1> {larger}, {is_nan}")
        most = code.choose(taken, x, most)
        where = code.choose(taken, number, where, "i64")
    code.store(most, y, mask)
    code.store(where, index, mask, "i64")


def _backward(
    code: VectorCode, places: list[tuple[str, str]], y: str, index: str, mask: str | None
) -> None:
    dy, where = code.load(y, mask), code.load(index, mask, "i64")
    for pixel, number in places:
        here = code.new(f"icmp eq <{code.lanes} x i64> {where}, {number}")
        code.store(code.choose(here, dy, code.constant(0)), pixel, mask)
