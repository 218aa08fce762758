"""Print a loop nest as LLVM's intermediate representation. Layer: codegen.

A function ``kernel(rows, columns, inputs..., outputs...)`` of scalar code: LLVM vectorises its
column loops. It may, since the loops say that no element depends on another one; row sums may
be taken in any order. Nothing else departs from IEEE 754 arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from tinyflow.codegen.expression import Scalar
from tinyflow.codegen.functions import needed_functions
from tinyflow.codegen.llvm_code import TYPES, Writer, declarations, function, number, suffix
from tinyflow.codegen.nest import Array, ColumnLoop, Nest, Statement, Store
from tinyflow.ops.sweep import Level
from tinyflow.types import DType

__all__ = ["llvm_source"]


def llvm_source(nest: Nest) -> str:
    """The module: the kernel, and the functions it calls."""
    functions = (function(name, dtype) for name, dtype in needed_functions(nest.order))
    return "\n".join([*declarations(), *functions, _Kernel(nest).text()])


class _Kernel(Writer):
    """The kernel function."""

    def __init__(self, nest: Nest) -> None:
        super().__init__()
        self.nest, self.block, self.loops = nest, "entry", 0
        self.arrays: Mapping[str, Array] = {
            a.name: a for a in (*nest.inputs, *nest.outputs, *nest.scratch)
        }
        self.access = ""  # marks loads and stores of a column loop
        self.metadata: list[str] = []

    def text(self) -> str:
        """Its definition and the properties of its loops."""
        nest = self.nest
        arrays = "".join(f", ptr %{a.name}" for a in (*nest.inputs, *nest.outputs))
        self.lines.append(f"define internal void @kernel(i64 %rows, i64 %columns{arrays}) {{")
        self.lines.append("entry:")
        for array in nest.scratch:
            size = nest.scratch_elements
            self.lines.append(f"  %{array.name} = alloca [{size} x {TYPES[array.dtype]}], align 64")
        self._statements(nest.once, {})
        for array in nest.sums:
            zero = Scalar("const", (), DType.float64, Level.SCALAR, "0", 0.0)
            self._column_loop(ColumnLoop((Store(array, zero),)), {})
        self._row_loop()
        self._items(nest.end, {})
        self.lines += ["  ret void", "}"]
        return "\n".join([*self.lines, *_launch(nest), *self.metadata])

    def _row_loop(self) -> None:
        totals, head = self.nest.totals, self.block
        if not self.nest.row:
            return
        self._start("row")
        row, at = "%r", len(self.lines)
        self.lines.append("")  # the phi of the row number, whose last block is not known yet
        phis = []
        for _ in totals:
            phis.append(len(self.lines))
            self.lines.append("")
        base = self.new("base", "mul i64 %r, %columns")
        self._items(self.nest.row, {Level.FULL: base, Level.ROW: row})
        following = self.new("r", "add nuw nsw i64 %r, 1")
        for fold, line in zip(totals, phis):
            wide = self.convert(self.use(fold.args[0]), fold.dtype, DType.float64, fold.name)
            total = self.new(fold.name, f"fadd double %{fold.name}, {wide}")
            zero = number(0, DType.float64)
            phi = f"phi double [{zero}, %{head}], [{total}, %{self.block}]"
            self.lines[line] = f"  %{fold.name} = {phi}"
            self.register[fold.name] = total
        self.lines[at] = f"  %r = phi i64 [0, %{head}], [{following}, %{self.block}]"
        more = self.new("more", f"icmp ult i64 {following}, %rows")
        self.lines.append(f"  br i1 {more}, label %row, label %end")
        self.lines.append("end:")
        self.block = "end"
        for fold in totals:
            total = self.register[fold.name]
            narrow = self.convert(total, DType.float64, fold.dtype, fold.name)
            self.register[fold.name] = narrow

    def _start(self, block: str) -> None:
        self.lines += [f"  br label %{block}", f"{block}:"]
        self.block = block

    def _items(self, items: Iterable[Statement | ColumnLoop], index: Mapping[Level, str]) -> None:
        for item in items:
            if isinstance(item, ColumnLoop):
                self._column_loop(item, index)
            else:
                self._statements([item], index)

    def _column_loop(self, loop: ColumnLoop, index: Mapping[Level, str]) -> None:
        number, before, outer = self.loops, self.block, dict(self.register)
        self.loops += 1
        block, self.access = f"column{number}", f", !llvm.access.group !{3 * number + 1}"
        self._start(block)
        at = len(self.lines)
        self.lines += [""] * (1 + len(loop.folds))
        column = f"%c{number}"
        inside = {**index, Level.COLUMN: column}
        if Level.FULL in index:
            inside[Level.FULL] = self.new("i", f"add nuw nsw i64 {index[Level.FULL]}, {column}")
        self._statements(loop.statements, inside)
        results = [self._fold(fold) for fold in loop.folds]
        following = self.new("c", f"add nuw nsw i64 {column}, 1")
        self.lines[at] = f"  {column} = phi i64 [0, %{before}], [{following}, %{block}]"
        for i, (fold, result) in enumerate(zip(loop.folds, results)):
            self.lines[at + 1 + i] = self._phis(fold, result, before, block)
        more = self.new("more", f"icmp ult i64 {following}, %columns")
        after = f"after{number}"
        self.lines.append(
            f"  br i1 {more}, label %{block}, label %{after}, !llvm.loop !{3 * number}"
        )
        self.lines.append(f"{after}:")
        self.block, self.access, self.register = after, "", outer
        for fold, result in zip(loop.folds, results):
            self.register[fold.name] = self._folded(fold, result)
        self._describe_loop(number)

    def _accumulator(self, fold: Scalar) -> DType:
        return DType.float64 if fold.op == "row_sum" and self.nest.wide else fold.dtype

    def _phis(self, fold: Scalar, result: str, before: str, block: str) -> str:
        """The accumulator, and for a maximum a flag: was there a nan?"""
        dtype = self._accumulator(fold)
        start = number(0 if fold.op == "row_sum" else -np.inf, dtype)
        phi = f"phi {TYPES[dtype]} [{start}, %{before}], [{result}, %{block}]"
        text = f"  %{fold.name} = {phi}"
        if fold.op == "row_max":
            flag = f"phi i1 [false, %{before}], [{result}.any, %{block}]"
            text += f"\n  %{fold.name}.nan = {flag}"
        return text

    def _fold(self, fold: Scalar) -> str:
        x, dtype = self.use(fold.args[0]), self._accumulator(fold)
        kind = TYPES[dtype]
        if fold.op == "row_sum":
            x = self.convert(x, fold.dtype, dtype, fold.name)
            return self.new(fold.name, f"fadd reassoc {kind} %{fold.name}, {x}")
        called = f"@llvm.maxnum.{suffix(dtype)}"
        call = f"call nnan nsz {kind} {called}({kind} %{fold.name}, {kind} {x})"
        result = self.new(fold.name, call)
        is_nan = self.new(fold.name, f"fcmp uno {kind} {x}, {x}")
        self.lines.append(f"  {result}.any = or i1 %{fold.name}.nan, {is_nan}")
        return result

    def _folded(self, fold: Scalar, result: str) -> str:
        """The fold after its loop."""
        kind = TYPES[fold.dtype]
        if fold.op == "row_sum":
            return self.convert(result, self._accumulator(fold), fold.dtype, fold.name)
        nan = number(np.nan, fold.dtype)
        return self.new(fold.name, f"select i1 {result}.any, {kind} {nan}, {kind} {result}")

    def _describe_loop(self, number: int) -> None:
        loop, group, parallel = 3 * number, 3 * number + 1, 3 * number + 2
        self.metadata += [
            f"!{loop} = distinct !{{!{loop}, !{parallel}}}",
            f"!{group} = distinct !{{}}",
            f'!{parallel} = !{{!"llvm.loop.parallel_accesses", !{group}}}',
        ]

    def _statements(self, statements: Iterable[Statement], index: Mapping[Level, str]) -> None:
        for statement in statements:
            if isinstance(statement, Store):
                self._store(statement, index)
            elif statement.scalar.op == "load":
                self._load(statement.scalar, index)
            else:
                self.compute(statement.scalar)

    def _load(self, scalar: Scalar, index: Mapping[Level, str]) -> None:
        array = self.arrays[str(scalar.value)]
        found = self._read(array, scalar.name, index)
        self.register[scalar.name] = self.convert(found, array.dtype, scalar.dtype, scalar.name)

    def _read(self, array: Array, name: str, index: Mapping[Level, str]) -> str:
        kind, place = _stored(array.dtype), self._place(array, index)
        found = self.new(name, f"load {kind}, ptr {place}{self.access}")
        return self.new(name, f"icmp ne i8 {found}, 0") if kind == "i8" else found

    def _store(self, store: Store, index: Mapping[Level, str]) -> None:
        array, x = store.array, self.use(store.scalar)
        x = self.convert(x, store.scalar.dtype, array.dtype, array.name)
        if store.add:
            old = self._read(array, array.name, index)
            x = self.new(array.name, f"fadd double {old}, {x}")
        kind, place = _stored(array.dtype), self._place(array, index)
        if kind == "i8":
            x = self.new(array.name, f"zext i1 {x} to i8")
        self.lines.append(f"  store {kind} {x}, ptr {place}{self.access}")

    def _place(self, array: Array, index: Mapping[Level, str]) -> str:
        if array.level not in index:
            return f"%{array.name}"
        kind = _stored(array.dtype)
        place = f"getelementptr inbounds {kind}, ptr %{array.name}, i64 {index[array.level]}"
        return self.new(array.name, place)


def _launch(nest: Nest) -> Iterable[str]:
    """What is called from outside: the arguments of the kernel stand in a table of 64 bits each."""
    kinds = ["i64", "i64", *("ptr" for _ in (*nest.inputs, *nest.outputs))]
    yield "define void @launch(ptr %table) {"
    for i, kind in enumerate(kinds):
        yield f"  %at{i} = getelementptr inbounds i64, ptr %table, i64 {i}"
        yield f"  %v{i} = load {kind}, ptr %at{i}"
    listed = ", ".join(f"{kind} %v{i}" for i, kind in enumerate(kinds))
    yield from (f"  call void @kernel({listed})", "  ret void", "}")


def _stored(dtype: DType) -> str:
    return "i8" if dtype is DType.bool else TYPES[dtype]
