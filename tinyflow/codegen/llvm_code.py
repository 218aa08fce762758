"""Print scalar operations as LLVM's intermediate representation. Layer: codegen."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from tinyflow.codegen.expression import Scalar
from tinyflow.codegen.functions import FROM_LIBM, program
from tinyflow.types import DType

__all__ = ["TYPES", "Writer", "declarations", "function", "number", "suffix"]

TYPES = {
    DType.bool: "i1", DType.int32: "i32", DType.int64: "i64", DType.float32: "float",
    DType.float64: "double",
}  # fmt: skip
_ARITHMETIC = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
_INTEGER = {"add": "add", "sub": "sub", "shl": "shl", "shr": "ashr", "and": "and", "or": "or"}
_COMPARE = {"lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge", "eq": "oeq", "ne": "une"}
_INTEGER_COMPARE = {"lt": "slt", "le": "sle", "gt": "sgt", "ge": "sge", "eq": "eq", "ne": "ne"}
_INTRINSIC = {"sqrt": "sqrt", "abs": "fabs", "floor": "floor"}
_FLOATS = (DType.float32, DType.float64)


def declarations() -> Iterable[str]:
    """What the code may call: intrinsics of LLVM, and the C library in float64."""
    for dtype in _FLOATS:
        kind = TYPES[dtype]
        for name in _INTRINSIC.values():
            yield f"declare {kind} @llvm.{name}.{suffix(dtype)}({kind})"
        yield f"declare {kind} @llvm.maxnum.{suffix(dtype)}({kind}, {kind})"
    for name in sorted(FROM_LIBM - {"pow"}):
        yield f"declare double @{name}(double)"
    yield "declare double @pow(double, double)"


def suffix(dtype: DType) -> str:
    """Last part of the names of functions of this dtype."""
    return "f32" if dtype is DType.float32 else "f64"


@dataclass(slots=True)
class Writer:
    """Lines of one function; ``register`` tells which register holds a scalar in this scope."""

    lines: list[str] = field(default_factory=list)
    register: dict[str, str] = field(default_factory=dict)
    numbers: Iterable[int] = field(default_factory=count)

    def new(self, name: str, code: str) -> str:
        """Give the result of an instruction a new register."""
        register = f"%{name}.{next(iter(self.numbers))}"
        self.lines.append(f"  {register} = {code}")
        return register

    def use(self, scalar: Scalar) -> str:
        """Register or literal of a scalar."""
        return _literal(scalar) if scalar.op == "const" else self.register[scalar.name]

    def compute(self, scalar: Scalar) -> None:
        """Write the instructions of an operation; its arguments have registers."""
        self.register[scalar.name] = self._operation(scalar)

    def _operation(self, scalar: Scalar) -> str:
        op, name, dtype = scalar.op, scalar.name, scalar.dtype
        kind = TYPES[dtype]
        args = [self.use(x) for x in scalar.args]
        operand = scalar.args[0].dtype if scalar.args else dtype
        if op in _ARITHMETIC and dtype in _FLOATS:
            return self.new(name, f"{_ARITHMETIC[op]} contract {kind} {args[0]}, {args[1]}")
        if op in _INTEGER:
            return self.new(name, f"{_INTEGER[op]} {kind} {args[0]}, {args[1]}")
        if op in _COMPARE:
            return self.new(name, f"{_comparison(op, operand)} {args[0]}, {args[1]}")
        if op == "neg":
            return self.new(name, f"fneg {kind} {args[0]}")
        if op == "not":
            return self.new(name, f"xor i1 {args[0]}, true")
        if op == "where":
            return self.new(name, f"select i1 {args[0]}, {kind} {args[1]}, {kind} {args[2]}")
        if op in ("maximum", "minimum"):
            return self._extreme(scalar, *args)
        if op in _INTRINSIC:
            called = f"llvm.{_INTRINSIC[op]}.{suffix(dtype)}"
            return self.new(name, f"call {kind} @{called}({kind} {args[0]})")
        if op in ("bits", "unbits"):
            return self.new(name, f"bitcast {TYPES[operand]} {args[0]} to {kind}")
        if op == "cast":
            return self.convert(args[0], operand, dtype, name)
        if op == "size":
            return self.new(name, f"uitofp i64 %{scalar.value} to {kind}")
        function = op if program(op, dtype) is None else f"{op}.{suffix(dtype)}"
        listed = ", ".join(f"{kind} {arg}" for arg in args)
        return self.new(name, f"call {kind} @{function}({listed})")

    def _extreme(self, scalar: Scalar, x: str, y: str) -> str:
        """x if it is larger (smaller) or nan, else y."""
        name, kind = scalar.name, TYPES[scalar.dtype]
        order = "ogt" if scalar.op == "maximum" else "olt"
        wins = self.new(name, f"fcmp {order} {kind} {x}, {y}")
        is_nan = self.new(name, f"fcmp uno {kind} {x}, {x}")
        taken = self.new(name, f"or i1 {wins}, {is_nan}")
        return self.new(name, f"select i1 {taken}, {kind} {x}, {kind} {y}")

    def convert(self, register: str, old: DType, new: DType, name: str) -> str:
        """A register as another dtype."""
        if old is new:
            return register
        if new is DType.bool:
            return self.new(name, f"{_comparison('ne', old)} {register}, {number(0, old)}")
        if new is DType.float64 and old is DType.float32:
            code = "fpext"
        elif new is DType.float32 and old is DType.float64:
            code = "fptrunc"
        elif old in _FLOATS:
            code = "fptosi"
        else:
            code = "uitofp" if old is DType.bool else "sitofp"
        return self.new(name, f"{code} {TYPES[old]} {register} to {TYPES[new]}")


def _comparison(op: str, dtype: DType) -> str:
    if dtype in _FLOATS:
        return f"fcmp {_COMPARE[op]} {TYPES[dtype]}"
    order = _INTEGER_COMPARE[op]
    if dtype is DType.bool:  # the one bit of truth would be a sign
        order = order.replace("s", "u")
    return f"icmp {order} {TYPES[dtype]}"


def _literal(scalar: Scalar) -> str:
    return number(scalar.value, scalar.dtype)


def number(value: object, dtype: DType) -> str:
    """A constant; floats as the bits of a float64, which is exact for float32 as well."""
    if dtype is DType.bool:
        return "true" if value else "false"
    if dtype not in _FLOATS:
        return str(int(value))  # type: ignore[call-overload]
    with np.errstate(over="ignore"):
        exact = float(np.asarray(value, dtype.numpy))
    return f"0x{struct.unpack('>Q', struct.pack('>d', exact))[0]:016X}"


def function(name: str, dtype: DType) -> str:
    """The definition of a function, to be inlined; nothing if the C library has it."""
    made = program(name, dtype)
    if made is None:
        return ""
    writer, kind = Writer(), TYPES[dtype]
    for scalar in made[0]:
        if scalar.op == "parameter":
            writer.register[scalar.name] = f"%{scalar.value}"
        else:
            writer.compute(scalar)
    listed = ", ".join(f"{kind} %{x.value}" for x in made[0] if x.op == "parameter")
    head = f"define internal {kind} @{name}.{suffix(dtype)}({listed}) alwaysinline {{"
    return "\n".join([head, *writer.lines, f"  ret {kind} {writer.use(made[1])}", "}"])
