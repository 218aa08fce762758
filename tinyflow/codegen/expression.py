"""Scalar expressions as a graph of typed operations. Layer: codegen.

The formula of an op (``dy * (1 - y * y)``) is read as a Python expression of a small language and
becomes :class:`Scalar` objects. Equal operations are made once, so common parts of the formulas of
a whole fused group are shared.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tinyflow.errors import TinyflowError
from tinyflow.ops.sweep import AT_END, Level
from tinyflow.types import DType

__all__ = ["TRUTH", "Builder", "Scalar", "Unsupported", "evaluate", "joined", "show"]

Number = bool | int | float
_BINARY = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.Pow: "pow"}
_SHIFTS = {ast.LShift: "shl", ast.RShift: "shr"}
_COMPARE = {
    ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge", ast.Eq: "eq", ast.NotEq: "ne",
}  # fmt: skip
_UNARY = {ast.USub: "neg", ast.Not: "not"}
TRUTH = frozenset({*_COMPARE.values(), "and", "or", "not"})
_NAMED = {"inf": float("inf"), "nan": float("nan")}
FUNCTIONS = frozenset(
    (
        *("exp", "log", "sqrt", "rsqrt", "tanh", "sigmoid", "erf", "pow", "abs", "floor"),
        *("maximum", "minimum", "where", "bits", "unbits", "float32", "float64"),
    )
)
_ARITY = {"maximum": 2, "minimum": 2, "pow": 2, "where": 3}
_SIGNS = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "shl": "<<", "shr": ">>", "and": "and",
    "or": "or", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!=",
}  # fmt: skip


class Unsupported(TinyflowError):
    """A group that no kernel can be generated for; ``what`` is the reason."""


def joined(levels: Sequence[Level]) -> Level:
    """Level of what is computed from values of these levels; raises Unsupported."""
    found = set(levels) - {Level.SCALAR}
    if Level.ROW in found and Level.COLUMN in found:
        found = found - {Level.ROW, Level.COLUMN} | {Level.FULL}
    if found <= {Level.COLUMN, *AT_END} and len(found) > 1:
        found = {Level.COLUMN_TOTAL}
    if found & set(AT_END) and found & {Level.ROW, Level.FULL}:
        raise Unsupported("a sum over all rows is used again in every row")
    return max(found, default=Level.SCALAR)


@dataclass(frozen=True, slots=True, eq=False)
class Scalar:
    """One scalar: the result ``name`` of ``op`` on ``args``; compared by identity.

    ``op`` is a function of the language, or ``const`` (``value`` says which), ``load`` (``value``
    is the name of the array), ``cast``, ``size`` (``value``: "rows" or "columns"), ``parameter``
    of a function, or a reduction: ``row_sum row_max total_sum column_sum``.
    """

    op: str
    args: tuple[Scalar, ...]
    dtype: DType
    level: Level
    name: str
    value: Number | str | None = None

    def __repr__(self) -> str:
        return f"{self.name} = {show(self)}"


def show(scalar: Scalar) -> str:
    """The operation as readable text: ``t1 * 0.5``."""
    names = [arg.name for arg in scalar.args]
    if scalar.op == "const":
        return scalar.name
    if scalar.op == "load":
        index = {Level.FULL: "[r, c]", Level.ROW: "[r]", Level.COLUMN: "[c]"}.get(scalar.level, "")
        return f"{scalar.value}{index}"
    if scalar.op in _SIGNS:
        return f"{names[0]} {_SIGNS[scalar.op]} {names[1]}"
    if scalar.op in ("neg", "not"):
        return f"-{names[0]}" if scalar.op == "neg" else f"not {names[0]}"
    if scalar.op == "where":
        return f"{names[1]} if {names[0]} else {names[2]}"
    if scalar.op == "size":
        return f"{scalar.dtype}({scalar.value})"
    return f"{scalar.dtype if scalar.op == 'cast' else scalar.op}({', '.join(names)})"


class Builder:
    """Makes scalars; ``order`` lists them, each after its arguments."""

    def __init__(self) -> None:
        self.order: list[Scalar] = []
        self._made: dict[tuple[object, ...], Scalar] = {}

    def make(
        self,
        op: str,
        args: Sequence[Scalar],
        dtype: DType,
        level: Level,
        value: Number | str | None = None,
    ) -> Scalar:
        """The scalar of this operation: the one made before, if there is one."""
        key = (op, tuple(map(id, args)), dtype, level, type(value), repr(value))
        if key not in self._made:
            name = _literal(value, dtype) if op == "const" else f"t{len(self.order)}"
            self._made[key] = Scalar(op, tuple(args), dtype, level, name, value)
            if op != "const":
                self.order.append(self._made[key])
        return self._made[key]

    def constant(self, number: Number, dtype: DType) -> Scalar:
        """A number in this dtype."""
        kind = bool if dtype is DType.bool else float if dtype.is_floating else int
        return self.make("const", (), dtype, Level.SCALAR, kind(number))

    def cast(self, x: Scalar, dtype: DType) -> Scalar:
        """x as another dtype."""
        if x.dtype is dtype:
            return x
        if x.op == "const":
            return self.constant(x.value, dtype)  # type: ignore[arg-type]
        return self.make("cast", (x,), dtype, x.level)

    def apply(self, op: str, args: Sequence[Scalar | Number], otherwise: DType) -> Scalar:
        """An operation of the language; numbers take the dtype of what stands beside them.

        ``otherwise`` is the dtype of numbers that stand alone.
        """
        operands = args[1:] if op == "where" else args
        dtype = next((x.dtype for x in operands if isinstance(x, Scalar)), otherwise)
        typed = [x if isinstance(x, Scalar) else self.constant(x, dtype) for x in args]
        level = joined([x.level for x in typed])
        if op in ("float32", "float64"):
            return self.cast(typed[0], DType(op))
        if op in ("bits", "unbits"):
            return self.make(op, typed, _BITS[dtype], level)
        simpler = self._simpler(op, typed, level)
        return simpler or self.make(op, typed, DType.bool if op in TRUTH else dtype, level)

    def _simpler(self, op: str, args: Sequence[Scalar], level: Level) -> Scalar | None:
        """Small whole powers as products, the larger of two truths, a negative number."""
        x, last = args[0], args[-1].value if args[-1].op == "const" else None
        if op in ("maximum", "minimum") and x.dtype is DType.bool:
            return self.make("or" if op == "maximum" else "and", args, x.dtype, level)
        if op == "neg" and last is not None:
            return self.constant(-float(last), x.dtype)
        if op != "pow" or last not in (1, 2, 3, 0.5):
            return None
        if last == 0.5:
            return self.make("sqrt", (x,), x.dtype, x.level)
        square = x if last == 1 else self.make("mul", (x, x), x.dtype, x.level)
        return self.make("mul", (square, x), x.dtype, x.level) if last == 3 else square


_BITS = {
    DType.float32: DType.int32,
    DType.int32: DType.float32,
    DType.float64: DType.int64,
    DType.int64: DType.float64,
}


def _literal(value: Number | str | None, dtype: DType) -> str:
    return str(np.asarray(value, dtype.numpy)) if dtype is DType.float32 else str(value)


@lru_cache
def _tree(source: str) -> ast.expr:
    return ast.parse(source, mode="eval").body


def evaluate(
    source: str, names: Mapping[str, Scalar | Number], builder: Builder, dtype: DType
) -> Scalar:
    """Build the scalars of the expression ``source``; the result has ``dtype``.

    Raises Unsupported if it uses more than arithmetic, comparisons, ``a if c else b`` and the
    functions of the language.
    """

    def walk(tree: ast.expr) -> Scalar | Number:
        match tree:
            case ast.Constant(value=bool() | int() | float() as number):
                return number
            case ast.Name(id=name) if name in names or name in _NAMED:
                return names[name] if name in names else _NAMED[name]
            case ast.UnaryOp(op=kind, operand=x) if type(kind) in _UNARY:
                return build(_UNARY[type(kind)], x)
            case ast.BinOp(left=x, op=kind, right=y) if type(kind) in _BINARY | _SHIFTS:
                return build((_BINARY | _SHIFTS)[type(kind)], x, y)
            case ast.Compare(left=x, ops=[kind], comparators=[y]):
                return build(_COMPARE[type(kind)], x, y)
            case ast.BoolOp(op=kind, values=[*most, y]):
                x = ast.BoolOp(kind, most) if len(most) > 1 else most[0]
                return build("and" if isinstance(kind, ast.And) else "or", x, y)
            case ast.IfExp(test=condition, body=x, orelse=y):
                return build("where", condition, x, y)
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS:
                if len(args) == _ARITY.get(name, 1):
                    return build(name, *args)
        raise Unsupported(f"'{ast.unparse(tree)}' is not in the language of scalar expressions")

    def build(op: str, *parts: ast.expr) -> Scalar | Number:
        args = [walk(part) for part in parts]
        if op == "neg" and not isinstance(args[0], Scalar):
            return -args[0]
        return builder.apply(op, args, dtype)

    result = walk(_tree(source))
    return result if isinstance(result, Scalar) else builder.constant(result, dtype)
