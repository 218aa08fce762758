"""Print a loop nest as C. Layer: codegen.

One function ``kernel(rows, columns, inputs..., outputs...)``; the loops over columns carry a pragma
that says that no element depends on another one, for an output may lie where an input lies.
C_FLAGS keep IEEE 754 arithmetic: ``-ffast-math`` would switch subnormal numbers off in the whole
thread that loads the library.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from tinyflow.codegen.expression import Scalar
from tinyflow.codegen.functions import needed_functions, program
from tinyflow.codegen.nest import Array, ColumnLoop, Nest, Statement, Store
from tinyflow.ops.sweep import Level
from tinyflow.types import DType

__all__ = ["C_FLAGS", "c_source"]

C_FLAGS = (
    *("-O3", "-march=native", "-std=gnu11", "-shared", "-fPIC", "-fopenmp-simd", "-fwrapv"),
    *("-fno-math-errno", "-fno-trapping-math", "-fno-strict-aliasing"),
)
_TYPES = {
    DType.bool: "_Bool", DType.int32: "int32_t", DType.int64: "int64_t", DType.float32: "float",
    DType.float64: "double",
}  # fmt: skip
_SIGNS = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "shl": "<<", "shr": ">>", "and": "&", "or": "|",
    "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!=",
}  # fmt: skip
_BUILTIN = {"sqrt": "__builtin_sqrt", "abs": "__builtin_fabs", "floor": "__builtin_floor"}
_HEAD = """#include <math.h>
#include <stdint.h>
#define INLINE static inline __attribute__((always_inline))
INLINE int32_t bits_f32(float x) { union { float f; int32_t i; } u = {.f = x}; return u.i; }
INLINE float unbits_f32(int32_t x) { union { int32_t i; float f; } u = {.i = x}; return u.f; }
INLINE int64_t bits_f64(double x) { union { double f; int64_t i; } u = {.f = x}; return u.i; }
INLINE double unbits_f64(int64_t x) { union { int64_t i; double f; } u = {.i = x}; return u.f; }
"""


def c_source(nest: Nest) -> str:
    """The file: helpers, the functions that the kernel calls, the kernel."""
    lines = [_HEAD]
    for name, dtype in needed_functions(nest.order):
        lines += _function(name, dtype)
    return "\n".join([*lines, *_kernel(nest), *_launch(nest)]) + "\n"


def _function(name: str, dtype: DType) -> Iterator[str]:
    made = program(name, dtype)
    if made is None:
        return
    kind = _TYPES[dtype]
    listed = ", ".join(f"{kind} {x.value}" for x in made[0] if x.op == "parameter")
    yield f"INLINE {kind} {name}_{_suffix(dtype)}({listed}) {{"
    yield from (f"    const {_TYPES[x.dtype]} {x.name} = {_formula(x)};" for x in made[0])
    yield f"    return {_use(made[1])};"
    yield "}"


def _suffix(dtype: DType) -> str:
    return "f64" if dtype in (DType.float64, DType.int64) else "f32"


def _use(scalar: Scalar) -> str:
    if scalar.op != "const":
        return scalar.name
    value = scalar.value
    if not scalar.dtype.is_floating:
        return str(int(value or 0)) + ("LL" if scalar.dtype is DType.int64 else "")
    number = float(value or 0.0)
    suffix = "f" if scalar.dtype is DType.float32 else ""
    if math.isfinite(number):
        whole = scalar.name.lstrip("-").isdecimal()
        return f"{scalar.name}{'.0' if whole else ''}{suffix}"
    return "NAN" if math.isnan(number) else ("-" if number < 0 else "") + "INFINITY"


def _formula(scalar: Scalar) -> str:
    """The right-hand side of an operation."""
    op, dtype = scalar.op, scalar.dtype
    args = [_use(x) for x in scalar.args]
    single = "f" if dtype is DType.float32 else ""
    if op == "parameter":
        return str(scalar.value)
    if op in _SIGNS:
        return f"{args[0]} {_SIGNS[op]} {args[1]}"
    if op in ("neg", "not"):
        return f"{'-' if op == 'neg' else '!'}{args[0]}"
    if op == "where":
        return f"{args[0]} ? {args[1]} : {args[2]}"
    if op in ("maximum", "minimum"):
        sign = ">" if op == "maximum" else "<"
        return f"({args[0]} {sign} {args[1]}) | ({args[0]} != {args[0]}) ? {args[0]} : {args[1]}"
    if op in ("cast", "size"):
        return f"({_TYPES[dtype]}){args[0] if args else scalar.value}"
    if op in _BUILTIN:
        return f"{_BUILTIN[op]}{single}({args[0]})"
    if op in ("bits", "unbits") or program(op, dtype) is not None:
        op = f"{op}_{_suffix(dtype)}"
    return f"{op}({', '.join(args)})"


def _kernel(nest: Nest) -> Iterator[str]:
    arrays = [f"const {_stored(a.dtype)} *{a.name}" for a in nest.inputs]
    arrays += [f"{_stored(a.dtype)} *{a.name}" for a in nest.outputs]
    yield f"static void kernel({', '.join(['int64_t rows', 'int64_t columns', *arrays])}) {{"
    for array in nest.scratch:
        yield f"    {_TYPES[array.dtype]} {array.name}[{nest.scratch_elements}];"
    yield from _items(nest.once, "    ", nest.wide)
    for array in nest.sums:
        yield f"    for (int64_t c = 0; c < columns; c++) {array.name}[c] = 0.0;"
    yield from (f"    double {fold.name}_total = 0.0;" for fold in nest.totals)
    yield "    for (int64_t r = 0; r < rows; r++) {"
    yield from _items(nest.row, "        ", nest.wide)
    yield from (f"        {x.name}_total += {_use(x.args[0])};" for x in nest.totals)
    yield "    }"
    for fold in nest.totals:
        yield f"    const {_TYPES[fold.dtype]} {fold.name} = {fold.name}_total;"
    yield from _items(nest.end, "    ", nest.wide)
    yield "}"


def _launch(nest: Nest) -> Iterator[str]:
    """What is called from outside: the arguments of the kernel stand in a table."""
    arrays = (*nest.inputs, *nest.outputs)
    listed = [f"({_stored(a.dtype)} *)(intptr_t)table[{i + 2}]" for i, a in enumerate(arrays)]
    yield "void launch(const int64_t *table) {"
    yield f"    kernel({', '.join(['table[0]', 'table[1]', *listed])});"
    yield "}"


def _items(items: Iterable[Statement | ColumnLoop], indent: str, wide: bool) -> Iterator[str]:
    for item in items:
        if isinstance(item, ColumnLoop):
            yield from _column_loop(item, indent, wide)
        elif isinstance(item, Store):
            change = "+=" if item.add else "="
            yield f"{indent}{_place(item.array)} {change} {_use(item.scalar)};"
        else:
            x = item.scalar
            formula = _element(str(x.value), x.level) if x.op == "load" else _formula(x)
            yield f"{indent}const {_TYPES[x.dtype]} {x.name} = {formula};"


def _column_loop(loop: ColumnLoop, indent: str, wide: bool) -> Iterator[str]:
    """A maximum gathers beside a flag, for no processor takes nan along."""
    pragma = "#pragma omp simd"
    for fold in loop.folds:
        name = fold.name
        if fold.op == "row_sum":
            yield f"{indent}{'double' if wide else _TYPES[fold.dtype]} {name}_sum = 0;"
            pragma += f" reduction(+:{name}_sum)"
        else:
            yield f"{indent}{_TYPES[fold.dtype]} {name}_max = -INFINITY;"
            yield f"{indent}int {name}_nan = 0;"
            pragma += f" reduction(max:{name}_max) reduction(|:{name}_nan)"
    yield indent + pragma
    yield f"{indent}for (int64_t c = 0; c < columns; c++) {{"
    yield from _items(loop.statements, indent + "    ", wide)
    for fold in loop.folds:
        name, x = fold.name, _use(fold.args[0])
        if fold.op == "row_sum":
            yield f"{indent}    {name}_sum += {x};"
        else:
            yield f"{indent}    {name}_max = {x} > {name}_max ? {x} : {name}_max;"
            yield f"{indent}    {name}_nan |= {x} != {x};"
    yield f"{indent}}}"
    for fold in loop.folds:
        name = fold.name
        result = f"{name}_sum" if fold.op == "row_sum" else f"{name}_nan ? NAN : {name}_max"
        yield f"{indent}const {_TYPES[fold.dtype]} {name} = {result};"


def _place(array: Array) -> str:
    return _element(array.name, array.level)


def _element(name: str, level: Level) -> str:
    at = {Level.FULL: "r * columns + c", Level.ROW: "r", Level.COLUMN: "c"}
    return f"{name}[{at.get(level, '0')}]"


def _stored(dtype: DType) -> str:
    return "uint8_t" if dtype is DType.bool else _TYPES[dtype]
