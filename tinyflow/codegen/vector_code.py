"""Functions on vectors of float32 as LLVM's intermediate representation. Layer: codegen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

from tinyflow.codegen.llvm_code import number
from tinyflow.types import DType

__all__ = ["VectorCode", "vector_module"]

_SUFFIX = {"float": "f32", "double": "f64", "i64": "i64"}


def vector_module(lanes: int, functions: Sequence[VectorCode]) -> str:
    """A module of these functions, and what they call."""
    vector, mask, bits = f"<{lanes} x float>", f"<{lanes} x i1>", 32 * lanes
    return "\n".join(
        [
            f"declare {vector} @llvm.fmuladd.v{lanes}f32({vector}, {vector}, {vector})",
            f"declare <{lanes} x double> @llvm.sqrt.v{lanes}f64(<{lanes} x double>)",
            "declare void @llvm.prefetch.p0(ptr, i32, i32, i32)",
            "declare ptr @aligned_alloc(i64, i64)",
            "declare void @free(ptr)",
            *(
                f"declare {kind} @llvm.masked.load.{name}.p0(ptr, i32, {mask}, {kind})\n"
                f"declare void @llvm.masked.store.{name}.p0({kind}, ptr, i32, {mask})"
                for name, kind in ((f"v{lanes}f32", vector), (f"v{lanes}i64", f"<{lanes} x i64>"))
            ),
            *(line for function in functions for line in (*function.lines, "  ret void", "}")),
            f'attributes #0 = {{ noinline nounwind "prefer-vector-width"="{bits}"'
            f' "min-legal-vector-width"="{bits}" }}',
        ]
    )


@dataclass(slots=True)
class VectorCode:
    """Lines of the function ``head``; a vector has ``lanes`` floats."""

    head: str
    lanes: int
    lines: list[str] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)
    _block: str = "entry"
    _carried: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lines += [f"define {self.head} #0 {{", "entry:"]

    @property
    def vector(self) -> str:
        """Type of a vector."""
        return f"<{self.lanes} x float>"

    def new(self, code: str) -> str:
        """A register with the result of an instruction."""
        register = f"%r{next(self._numbers)}"
        self.lines.append(f"  {register} = {code}")
        return register

    def add(self, a: str | int, b: str | int) -> str:
        """Sum of two numbers, an address or index: a register or a literal."""
        if a in (0, "0") or b in (0, "0"):
            return str(b if a in (0, "0") else a)
        return self.new(f"add i64 {a}, {b}")

    def mul(self, a: str | int, b: str | int) -> str:
        """Product of two indices."""
        return self.new(f"mul i64 {a}, {b}")

    def arguments(self, sizes: Sequence[str], arrays: Sequence[str]) -> None:
        """Registers with what stands in %table: numbers, then addresses."""
        kinds = [*((name, "i64") for name in sizes), *((name, "ptr") for name in arrays)]
        for slot, (name, kind) in enumerate(kinds):
            place = self.new(f"getelementptr inbounds i64, ptr %table, i64 {slot}")
            self.lines.append(f"  %{name} = load {kind}, ptr {place}")

    def at(self, base: str, offset: str | int, kind: str = "float") -> str:
        """Address of the element ``offset`` places behind ``base``."""
        if offset in (0, "0"):
            return base
        return self.new(f"getelementptr inbounds {kind}, ptr {base}, i64 {offset}")

    def call(self, name: str, arguments: str) -> None:
        """Call a function for what it writes."""
        self.lines.append(f"  call void @{name}({arguments})")

    def load(self, place: str, mask: str | None = None, kind: str = "float") -> str:
        """A vector of the next numbers; zeros where a mask is false."""
        vector, name = f"<{self.lanes} x {kind}>", _SUFFIX[kind]
        if mask is None:
            return self.new(f"load {vector}, ptr {place}, align 4")
        rest = f"{self._bits} {mask}, {vector} zeroinitializer"
        called = f"call {vector} @llvm.masked.load.v{self.lanes}{name}.p0"
        return self.new(f"{called}(ptr {place}, i32 4, {rest})")

    def store(self, x: str, place: str, mask: str | None = None, kind: str = "float") -> None:
        """Store all lanes, or those where a mask is true."""
        vector, name = f"<{self.lanes} x {kind}>", _SUFFIX[kind]
        if mask is None:
            self.lines.append(f"  store {vector} {x}, ptr {place}, align 4")
        else:
            store = f"llvm.masked.store.v{self.lanes}{name}.p0"
            self.call(store, f"{vector} {x}, ptr {place}, i32 4, {self._bits} {mask}")

    def choose(self, mask: str, a: str, b: str, kind: str = "float") -> str:
        """Of each lane a where a mask is true, else b."""
        vector = f"<{self.lanes} x {kind}>"
        return self.new(f"select {self._bits} {mask}, {vector} {a}, {vector} {b}")

    def prefetch(self, place: str) -> None:
        """Have the line of memory at ``place`` brought near, to be written."""
        self.call("llvm.prefetch.p0", f"ptr {place}, i32 1, i32 3, i32 1")

    def splat(self, place: str) -> str:
        """A vector with the float that lies at ``place`` in all lanes."""
        one = self.new(f"load float, ptr {place}, align 4")
        first = self.new(f"insertelement {self.vector} poison, float {one}, i64 0")
        lanes = f"<{self.lanes} x i32> zeroinitializer"
        return self.new(f"shufflevector {self.vector} {first}, {self.vector} poison, {lanes}")

    def constant(self, value: float, kind: str = "float") -> str:
        """A vector with a number in all lanes."""
        dtype = DType.float32 if kind == "float" else DType.float64
        return f"<{', '.join([f'{kind} {number(value, dtype)}'] * self.lanes)}>"

    def fma(self, a: str, b: str, c: str) -> str:
        """a * b + c."""
        v = self.vector
        return self.new(f"call {v} @llvm.fmuladd.v{self.lanes}f32({v} {a}, {v} {b}, {v} {c})")

    def plus(self, a: str, b: str) -> str:
        """a + b."""
        return self.floats("fadd", a, b)

    def floats(self, op: str, a: str, b: str, kind: str = "float") -> str:
        """The instruction ``op`` on two vectors of floats, or doubles."""
        return self.new(f"{op} <{self.lanes} x {kind}> {a}, {b}")

    def double(self, x: str) -> str:
        """Floats as doubles."""
        return self.new(f"fpext {self.vector} {x} to <{self.lanes} x double>")

    def single(self, x: str) -> str:
        """Doubles as floats."""
        return self.new(f"fptrunc <{self.lanes} x double> {x} to {self.vector}")

    def shuffle(self, a: str, b: str, chosen: Sequence[int]) -> str:
        """The chosen lanes of a (numbers from 0) and b (numbers from ``lanes``)."""
        places = f"<{self.lanes} x i32> <{', '.join(f'i32 {lane}' for lane in chosen)}>"
        return self.new(f"shufflevector {self.vector} {a}, {self.vector} {b}, {places}")

    def transpose(self, rows: Sequence[str]) -> list[str]:
        """The columns of a square of ``lanes`` vectors.

        For each bit of the row number: exchange it with the same bit of the column number.
        """
        rows, n = list(rows), self.lanes
        for bit in (1 << i for i in range(n.bit_length() - 1)):
            low = [lane if not lane & bit else n + (lane ^ bit) for lane in range(n)]
            high = [lane ^ bit if not lane & bit else n + lane for lane in range(n)]
            for i in (i for i in range(n) if not i & bit):
                a, b = rows[i], rows[i | bit]
                rows[i], rows[i | bit] = self.shuffle(a, b, low), self.shuffle(a, b, high)
        return rows

    @property
    def _bits(self) -> str:
        return f"<{self.lanes} x i1>"

    def first(self, count: str | int) -> str | None:
        """The mask of the first ``count`` lanes; None for all of them."""
        if isinstance(count, int) and count >= self.lanes:
            return None
        lane = ", ".join(f"i64 {lane}" for lane in range(self.lanes))
        return self.new(f"icmp sgt <{self.lanes} x i64> {self.numbers(count)}, <{lane}>")

    def vectors(self, total: str, most: int = 1) -> Iterator[list[tuple[str, str | None]]]:
        """Where vectors of so many numbers begin, with a mask: the last of all may be cut.

        ``most`` of them at once where there are as many, then half of that, and so on.
        """
        done = "0"
        while most:
            many, _ = self.divide(self.sub(total, done), most * self.lanes)
            with self.loop(many) as i:
                first = self.add(done, self.mul(i, most * self.lanes))
                yield [(self.add(first, v * self.lanes), None) for v in range(most)]
            done, most = self.add(done, self.mul(many, most * self.lanes)), most // 2
        rest = self.sub(total, done)
        with self.loop(self.parts(rest, self.lanes)):  # once, or not at all
            yield [(done, self.first(rest))]

    def numbers(self, index: str | int) -> str:
        """A vector with an index in all lanes."""
        vector, zeros = f"<{self.lanes} x i64>", f"<{self.lanes} x i32> zeroinitializer"
        one = self.new(f"insertelement {vector} poison, i64 {index}, i64 0")
        return self.new(f"shufflevector {vector} {one}, {vector} poison, {zeros}")

    def only_if(self, condition: str, mask: str | None) -> str:
        """The mask, or all of it false."""
        ones = f"<{', '.join(['i1 true'] * self.lanes)}>"
        some = f"{self._bits} {mask or ones}"
        return self.new(f"select i1 {condition}, {some}, {self._bits} zeroinitializer")

    def less(self, a: str | int, b: str | int) -> str:
        """True if a < b."""
        return self.new(f"icmp slt i64 {a}, {b}")

    def inside(self, index: str, size: str) -> str:
        """True if 0 <= index < size."""
        return self.new(f"icmp ult i64 {index}, {size}")

    def least(self, a: str | int, b: str | int) -> str:
        """The smaller of two indices."""
        return self.new(f"select i1 {self.less(a, b)}, i64 {a}, i64 {b}")

    def divide(self, a: str | int, b: str | int) -> tuple[str, str]:
        """How often b goes into a, and what is left."""
        return self.new(f"udiv i64 {a}, {b}"), self.new(f"urem i64 {a}, {b}")

    def sub(self, a: str | int, b: str | int) -> str | int:
        """Difference of two indices; of two literals at once."""
        if isinstance(a, int) and isinstance(b, int):
            return a - b
        return a if b in (0, "0") else self.new(f"sub i64 {a}, {b}")

    def parts(self, total: str | int, size: str | int) -> str:
        """Into how many parts of ``size`` a total is cut, the last one perhaps smaller."""
        return self.new(f"udiv i64 {self.add(total, self.sub(size, 1))}, {size}")

    @contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """Do this only if a condition holds."""
        name = f"n{next(self._numbers)}"
        self.lines.append(f"  br i1 {condition}, label %{name}.then, label %{name}.end")
        self.lines.append(f"{name}.then:")
        self._block = f"{name}.then"
        yield
        self.lines += [f"  br label %{name}.end", f"{name}.end:"]
        self._block = f"{name}.end"

    @contextmanager
    def loop(self, times: str | int, sums: Sequence[str] = ()) -> Iterator[str]:
        """Count from 0. The vectors called ``sums`` begin as 0; ``carry`` sets the next ones."""
        name = f"n{next(self._numbers)}"
        before, head = self._block, len(self.lines) + 2
        self.lines += [f"  br label %{name}.test", f"{name}.test:"]
        self.lines += [""] * (1 + len(sums))  # the phis: their last block is not known yet
        self.lines += [
            f"  %{name}.more = icmp ult i64 %{name}, {times}",
            f"  br i1 %{name}.more, label %{name}.body, label %{name}.end",
            f"{name}.body:",
        ]
        self._block = f"{name}.body"
        yield f"%{name}"
        self.lines.append(f"  %{name}.next = add nuw nsw i64 %{name}, 1")
        self.lines += [f"  br label %{name}.test", f"{name}.end:"]
        last = self._block
        self.lines[head] = f"  %{name} = phi i64 [0, %{before}], [%{name}.next, %{last}]"
        for at, key in enumerate(sums, head + 1):
            both = f"[zeroinitializer, %{before}], [{self._carried[key]}, %{last}]"
            self.lines[at] = f"  {key} = phi {self.vector} {both}"
        self._block = f"{name}.end"

    def carry(self, key: str, register: str) -> None:
        """What a sum is in the next round of its loop."""
        self._carried[key] = register
