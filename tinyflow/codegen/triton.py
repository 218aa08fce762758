"""Print a loop nest as Triton, for GPUs. Layer: codegen.

Elementwise nests become programs of one block each, nests with rows one program a row that holds
the whole row at once: no loops are left, so the scalars stand in the order of their arguments.
The functions are those of the other back ends, for Triton's own are less exact.
Source: Tillet, Kung and Cox, Triton: an intermediate language and compiler for tiled neural
network computations, MAPL 2019.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from tinyflow.codegen.expression import Scalar, Unsupported
from tinyflow.codegen.functions import needed_functions, program
from tinyflow.codegen.nest import Nest
from tinyflow.ops.sweep import Level
from tinyflow.types import DType

__all__ = ["TritonKernel", "triton_kernel"]

LONGEST = 1 << 16  # columns that one program can hold
_BLOCK = 1024
_SIGNS = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "shl": "<<", "shr": ">>", "and": "&", "or": "|",
    "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!=",
}  # fmt: skip
_TYPES = {DType.bool: "tl.int1"} | {d: f"tl.{d}" for d in DType if d is not DType.bool}
_BUILTIN = {"sqrt": "tl.sqrt", "abs": "tl.abs", "floor": "tl.floor"}

_ROW_MAX = """
@triton.jit
def row_max(x, inside):
    most = tl.max(tl.where(inside, x, float("-inf")), 0)
    nan = tl.max(tl.where(inside & (x != x), 1, 0), 0)
    return tl.where(nan == 1, float("nan"), most)
"""


@dataclass(frozen=True, slots=True)
class TritonKernel:
    """A Triton program: ``kernel[grid](inputs..., outputs..., rows, columns, BLOCK=block)``.

    ``grid`` is the number of programs; ``source`` the module, which imports triton.
    """

    source: str
    grid: int
    block: int


def triton_kernel(nest: Nest, rows: int, columns: int) -> TritonKernel:
    """The program of a nest; raises Unsupported: sums over rows, rows of more than LONGEST."""
    by_rows = _has_rows(nest)
    if by_rows and columns > LONGEST:
        raise Unsupported("rows too long for one program", got=columns, expected=LONGEST)
    block = 1 << max(columns - 1, 0).bit_length() if by_rows else _BLOCK
    grid = rows if by_rows else -(-columns // block)
    return TritonKernel("\n".join(_module(nest, by_rows)) + "\n", grid, block)


def _has_rows(nest: Nest) -> bool:
    arrays = (*nest.inputs, *nest.outputs)
    levels = {Level.ROW, Level.COLUMN, Level.COLUMN_TOTAL, Level.TOTAL}
    return any(a.level in levels for a in arrays) or any(x.level in levels for x in nest.order)


def _module(nest: Nest, by_rows: bool) -> Iterator[str]:
    yield from ("import triton", "import triton.language as tl", "")
    for name, dtype in needed_functions(nest.order):
        yield from _function(name, dtype)
    if any(x.op == "row_max" for x in nest.order):
        yield _ROW_MAX
    arrays = ", ".join(a.name for a in (*nest.inputs, *nest.outputs))
    yield from ("", "@triton.jit", f"def kernel({arrays}, rows, columns, BLOCK: tl.constexpr):")
    if by_rows:
        yield "    r = tl.cast(tl.program_id(0), tl.int64)"
        yield "    c = tl.arange(0, BLOCK)"
        yield "    i = r * columns + c"
    else:
        yield "    c = tl.cast(tl.program_id(0), tl.int64) * BLOCK + tl.arange(0, BLOCK)"
        yield "    i = c"
    yield "    inside = c < columns"
    for scalar in nest.order:
        yield f"    {scalar.name} = {_formula(scalar)}"
    for array, scalar in zip(nest.outputs, nest.results):
        if array.level is Level.FULL:
            yield f"    tl.store({array.name} + i, {_use(scalar)}, mask=inside)"
        elif array.level is Level.ROW:
            yield f"    tl.store({array.name} + r, {_use(scalar)})"
        else:
            raise Unsupported("a result that is not one per row or element", got=array.name)


def _function(name: str, dtype: DType) -> Iterator[str]:
    made = program(name, dtype)
    if made is None:
        raise Unsupported(f"{name} in {dtype}: only float32 has a program for it")
    names = ", ".join(str(x.value) for x in made[0] if x.op == "parameter")
    yield from ("", "@triton.jit", f"def {name}({names}):")
    yield from (f"    {x.name} = {_formula(x)}" for x in made[0])
    yield f"    return {_use(made[1])}"


def _use(scalar: Scalar) -> str:
    """Name or literal of a scalar."""
    if scalar.op != "const":
        return scalar.name
    if not scalar.dtype.is_floating:
        return str(scalar.value)
    number = float(scalar.value or 0.0)
    return repr(number) if math.isfinite(number) else f'float("{number}")'


def _formula(scalar: Scalar) -> str:
    op, kind = scalar.op, _TYPES[scalar.dtype]
    args = [_use(x) for x in scalar.args]
    if op == "parameter":
        return str(scalar.value)
    if op == "load":
        return _load(scalar)
    if op in _SIGNS:
        return f"{args[0]} {_SIGNS[op]} {args[1]}"
    if op in ("neg", "not"):
        return f"-{args[0]}" if op == "neg" else f"{args[0]} == 0"
    if op == "where":
        return f"tl.where({', '.join(args)})"
    if op in ("maximum", "minimum"):
        x, y, sign = *args, ">" if op == "maximum" else "<"
        return f"tl.where(({x} {sign} {y}) | ({x} != {x}), {x}, {y})"
    if op == "cast":
        return f"tl.cast({args[0]}, {kind})"
    if op in ("bits", "unbits"):
        return f"tl.cast({args[0]}, {kind}, bitcast=True)"
    if op == "size":
        return f"tl.cast({scalar.value}, {kind})"
    if op == "row_sum":
        return f"tl.sum(tl.where(inside, {args[0]}, 0.0), 0)"
    if op == "row_max":
        return f"row_max({args[0]}, inside)"
    if op in ("total_sum", "column_sum"):
        raise Unsupported("a sum over rows runs in more than one program")
    if op in _BUILTIN:
        return f"{_BUILTIN[op]}({args[0]})"
    shape = "[BLOCK]" if scalar.level in (Level.FULL, Level.COLUMN) else "[]"
    full = f"tl.full({shape}, {{}}, {kind})"
    tensors = [full.format(a) if x.op == "const" else a for x, a in zip(scalar.args, args)]
    return f"{op}({', '.join(tensors)})"


def _load(scalar: Scalar) -> str:
    at = {Level.FULL: "i", Level.COLUMN: "c", Level.ROW: "r"}.get(scalar.level)
    if at in ("i", "c"):
        return f"tl.load({scalar.value} + {at}, mask=inside, other=0)"
    return f"tl.load({scalar.value} + {at})" if at else f"tl.load({scalar.value})"
