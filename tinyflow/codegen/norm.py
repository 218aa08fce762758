"""Print batch normalisation as LLVM's intermediate representation. Layer: codegen.

Images lie NHWC, so a channel is a lane. Pixels are taken in blocks that stay in the cache: sums of
a block are float32, sums of blocks float64. Mean and variance come from one sweep: of each block
its own mean, and squared distances from that, which then join those of all blocks before it.

Source: Chan, Golub and LeVeque, Algorithms for computing the sample variance (1983).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache

from tinyflow.codegen.vector_code import VectorCode, vector_module

__all__ = ["BatchNorm", "norm_sizes", "norm_source"]

_BLOCK = 32  # pixels
_VECTORS = 4  # at once
Vectors = list[tuple[str, str | None]]  # where each begins, and its mask
_MOVING = ("moving_mean", "moving_variance")  # not read
_FORWARD = ("x", "gamma", "beta", *_MOVING, "y", "mean", "variance")
_BACKWARD = ("dy", "x", "gamma", "mean", "variance", "dx", "dgamma", "dbeta")


@dataclass(frozen=True, slots=True)
class BatchNorm:
    """``batch_norm`` in training, or ``batch_norm_grad``: all in float32."""

    images: int
    channels: int
    size: tuple[int, int]
    epsilon: float
    backward: bool = False

    @property
    def arrays(self) -> tuple[str, ...]:
        """Names of the arrays in the order of their addresses."""
        return _BACKWARD if self.backward else _FORWARD

    def __str__(self) -> str:
        """For readers, as ``str(nest)``."""
        made = "dx, dgamma, dbeta = adjoint of " if self.backward else "y, mean, variance = "
        x = (self.images, self.channels, *self.size)
        return f"{made}batch normalisation  # epsilon {self.epsilon:g}\nx{x}"


def norm_sizes(norm: BatchNorm) -> tuple[int, ...]:
    """What the code is told before the addresses of the arrays."""
    return norm.images * norm.size[0] * norm.size[1], norm.channels


def norm_source(norm: BatchNorm, lanes: int) -> str:
    """The module, the same for all sizes: ``launch(table)``."""
    return _source(replace(norm, images=1, channels=1, size=(1, 1)), lanes)


@cache
def _source(norm: BatchNorm, lanes: int) -> str:
    code = _Code("void @launch(ptr %table)", lanes)
    code.arguments(("pixels", "channels"), norm.arrays)
    (_backward if norm.backward else _forward)(code, norm.epsilon)
    return vector_module(lanes, [code])


def _forward(code: _Code, epsilon: float) -> None:
    code.scratch("double", "own", "far")
    code.scratch("float", "factor", "shift")
    for first, count, vectors in code.blocks():
        pixels = code.amount(count)
        with code.pixels(first, count, vectors, 1) as places:
            for at, mask, (total,) in places:
                code.carry(total, code.plus(total, code.get("x", at, mask)))
        middles = [code.floats("fdiv", total, pixels) for _, _, (total,) in places]
        with code.pixels(first, count, vectors, 1) as places:
            for middle, (at, mask, (squares,)) in zip(middles, places):
                d = code.floats("fsub", code.get("x", at, mask), middle)
                code.carry(squares, code.fma(d, d, squares))
        for (c, _), middle, (_, _, (squares,)) in zip(vectors, middles, places):
            _join(code, first, count, c, code.double(middle), code.double(squares))
    for [(c, mask)] in code.vectors("%channels"):
        mean = code.single(code.get("own", c, None, "double"))
        far = code.get("far", c, None, "double")
        variance = code.single(code.doubles("fdiv", far, code.amount("%pixels", "double")))
        factor = code.floats("fmul", code.get("gamma", c, mask), _scale(code, variance, epsilon))
        moved = code.floats("fmul", mean, factor)
        code.put("mean", c, mean, mask)
        code.put("variance", c, variance, mask)
        code.put("factor", c, factor)
        code.put("shift", c, code.floats("fsub", code.get("beta", c, mask), moved))
    for first, count, vectors in code.blocks():
        given = [(code.get("factor", c), code.get("shift", c)) for c, _ in vectors]
        with code.pixels(first, count, vectors) as places:
            for (factor, shift), (at, mask, _) in zip(given, places):
                code.put("y", at, code.fma(code.get("x", at, mask), factor, shift), mask)


def _join(code: _Code, first: str, count: str, c: str, middle: str, squares: str) -> None:
    """Mean and squared distances of all pixels up to here, from those before and of a block."""
    before, total = code.amount(first, "double"), code.amount(code.add(first, count), "double")
    mean = code.get("own", c, None, "double")
    delta = code.doubles("fsub", middle, mean)
    share = code.doubles("fdiv", code.amount(count, "double"), total)
    step = code.doubles("fmul", delta, share)
    apart = code.doubles("fmul", code.doubles("fmul", delta, step), before)
    code.put("own", c, code.doubles("fadd", mean, step), None, "double")
    far = code.doubles("fadd", code.get("far", c, None, "double"), squares)
    code.put("far", c, code.doubles("fadd", far, apart), None, "double")


def _backward(code: _Code, epsilon: float) -> None:
    """With s as in ``_scale``: dbeta = Σ dy, dgamma = s Σ dy (x - mean), and for m pixels

    dx = gamma s (dy - dbeta / m - (x - mean) s dgamma / m).
    """
    code.scratch("double", "ones", "slopes")
    code.scratch("float", "factor", "slope", "shift")
    for first, count, vectors in code.blocks():
        means = [code.get("mean", c, mask) for c, mask in vectors]
        with code.pixels(first, count, vectors, 2) as places:
            for mean, (at, mask, sums) in zip(means, places):
                dy, d = code.get("dy", at, mask), code.floats("fsub", code.get("x", at, mask), mean)
                code.carry(sums[0], code.plus(sums[0], dy))
                code.carry(sums[1], code.fma(dy, d, sums[1]))
        for (c, _), (_, _, sums) in zip(vectors, places):
            for name, part in zip(("ones", "slopes"), sums):
                total = code.doubles("fadd", code.get(name, c, None, "double"), code.double(part))
                code.put(name, c, total, None, "double")
    for [(c, mask)] in code.vectors("%channels"):
        scale = _scale(code, code.get("variance", c, mask), epsilon)
        dbeta, z = (code.single(code.get(name, c, None, "double")) for name in ("ones", "slopes"))
        dgamma = code.floats("fmul", z, scale)
        factor = code.floats("fmul", code.get("gamma", c, mask), scale)
        each = code.floats("fdiv", code.new(f"fneg {code.vector} {factor}"), code.amount("%pixels"))
        code.put("dgamma", c, dgamma, mask)
        code.put("dbeta", c, dbeta, mask)
        code.put("factor", c, factor)
        code.put("slope", c, code.floats("fmul", each, code.floats("fmul", scale, dgamma)))
        code.put("shift", c, code.floats("fmul", each, dbeta))
    for first, count, vectors in code.blocks():
        means = [code.get("mean", c, mask) for c, mask in vectors]
        names = ("factor", "slope", "shift")
        given = [[code.get(name, c) for name in names] for c, _ in vectors]
        with code.pixels(first, count, vectors) as places:
            for mean, (factor, slope, shift), (at, mask, _) in zip(means, given, places):
                d = code.floats("fsub", code.get("x", at, mask), mean)
                dx = code.fma(d, slope, code.fma(code.get("dy", at, mask), factor, shift))
                code.put("dx", at, dx, mask)


def _scale(code: _Code, variance: str, epsilon: float) -> str:
    """s = 1 / √(variance + epsilon)."""
    total = code.doubles("fadd", code.double(variance), code.constant(epsilon, "double"))
    kind = f"<{code.lanes} x double>"
    root = code.new(f"call {kind} @llvm.sqrt.v{code.lanes}f64({kind} {total})")
    return code.single(code.doubles("fdiv", code.constant(1, "double"), root))


class _Code(VectorCode):
    """Arrays and scratch by their names, and a sweep over them."""

    __slots__ = ()

    def scratch(self, kind: str, *names: str) -> None:
        """A number for each channel: 0."""
        size = self.mul(self.parts("%channels", self.lanes), self.lanes)
        for name in names:
            self.lines.append(f"  %{name} = alloca {kind}, i64 {size}, align 64")
            with self.loop(self.parts("%channels", self.lanes)) as i:
                self.put(name, self.mul(i, self.lanes), self.constant(0, kind), None, kind)

    def get(self, name: str, at: str, mask: str | None = None, kind: str = "float") -> str:
        """A vector of an array."""
        return self.load(self.at(f"%{name}", at, kind), mask, kind)

    def put(self, name: str, at: str, x: str, mask: str | None = None, kind: str = "float") -> None:
        """Store a vector."""
        self.store(x, self.at(f"%{name}", at, kind), mask, kind)

    def doubles(self, op: str, a: str, b: str) -> str:
        """An instruction on two vectors of doubles."""
        return self.floats(op, a, b, "double")

    def amount(self, count: str, kind: str = "float") -> str:
        """A vector with a count in all lanes."""
        vector = f"<{self.lanes} x {kind}>"
        return self.new(f"uitofp <{self.lanes} x i64> {self.numbers(count)} to {vector}")

    def blocks(self) -> Iterator[tuple[str, str, Vectors]]:
        """First pixel of each block, how many it has, and a few vectors of channels."""
        with self.loop(self.parts("%pixels", _BLOCK)) as block:
            first = self.mul(block, _BLOCK)
            count = self.least(self.sub("%pixels", first), _BLOCK)
            for vectors in self.vectors("%channels", _VECTORS):
                yield first, count, vectors

    @contextmanager
    def pixels(
        self, first: str, count: str, vectors: Vectors, sums: int = 0
    ) -> Iterator[list[tuple[str, str | None, list[str]]]]:
        """For each pixel of a block, of each vector its place, mask, and sums to ``carry``."""
        names = [[f"%sum{next(self._numbers)}" for _ in range(sums)] for _ in vectors]
        with self.loop(count, [name for some in names for name in some]) as i:
            pixel = self.mul(self.add(first, i), "%channels")
            yield [(self.add(pixel, c), mask, n) for (c, mask), n in zip(vectors, names)]
