"""Lower the body of a fused group to a loop nest. Layer: codegen.

Two steps: the formulas of all nodes become one graph of scalars, equal ones shared; then each
scalar finds its loop. A column loop ends where a row needs the result of a reduction; an element
needed again in a later loop is loaded or computed again, or kept in a scratch row if it is costly.
Outputs are stored in the last loop, so that each may share the storage of an input.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tinyflow.codegen.expression import Scalar, Unsupported
from tinyflow.codegen.formula import Formulas
from tinyflow.codegen.functions import program
from tinyflow.codegen.nest import SCRATCH_BYTES, Array, ColumnLoop, Let, Nest, Statement, Store
from tinyflow.codegen.space import Space, iteration_space
from tinyflow.ir import Graph
from tinyflow.ops.fused import body_inputs
from tinyflow.ops.sweep import AT_END, Level
from tinyflow.types import DType

__all__ = ["nest", "supported"]

LARGEST = 8000  # instructions, functions included; compilers take more than linear time
LONG = 4096  # columns; the many partial sums of a vector loop are exact enough up to here
_COSTLY = frozenset({"exp", "log", "tanh", "sigmoid", "erf", "pow"})
_EACH_COLUMN = (Level.FULL, Level.COLUMN)


def supported(body: Graph) -> str | None:
    """Why no kernel can be generated for ``body``; None if one can."""
    try:
        nest(body)
    except Unsupported as error:
        return str(error)
    return None


def nest(body: Graph) -> Nest:
    """The loop nest of a body whose facts SHAPES and DTYPES are complete; raises Unsupported."""
    space = iteration_space(body)
    lowered = Formulas(body, space)
    return _Schedule(body, space, lowered).nest()


class _Schedule:
    """Finds the loop of each scalar: ``stage`` is the column loop that computes an element, or the
    one before which a row value is known."""

    def __init__(self, body: Graph, space: Space, lowered: Formulas) -> None:
        self.space, self.order = space, lowered.builder.order
        self.results = tuple(lowered.scalar[value] for value in body.outputs)
        self.inputs = tuple(
            Array(v.node.name or "", lowered.dtypes[v], space.level[v]) for v in body_inputs(body)
        )
        self.outputs = tuple(
            Array(f"y{i}", lowered.dtypes[value], _widest(space.level[value], result.level))
            for i, (value, result) in enumerate(zip(body.outputs, self.results))
        )
        levels = {a.level for a in self.inputs}, {a.level for a in self.outputs}
        if space.rows == space.columns > 1 and Level.COLUMN in levels[0] and Level.ROW in levels[1]:
            raise Unsupported("a result per row may lie on an input per column, read in every row")
        self.stage: dict[Scalar, int] = {}
        for scalar in self.order:
            before = max((self._stage(x) for x in scalar.args), default=0)
            self.stage[scalar] = before + (scalar.op in ("row_sum", "row_max"))
        self.roots = self._roots()
        self.kept = self._kept()

    def _stage(self, scalar: Scalar) -> int:
        return self.stage.get(scalar, 0)

    def _roots(self) -> list[list[Scalar]]:
        """What each column loop is there for: arguments of folds, and stores in the last one."""
        used = _reachable(self.results, lambda x: x.args)
        folds = [x for x in self.order if x in used and x.op in ("row_sum", "row_max")]
        sums = [x.args[0] for x in self.order if x in used and x.op == "column_sum"]
        stored = [x for x, y in zip(self.results, self.outputs) if y.level is Level.FULL]
        last = [*sums, *stored]
        count = max([self._stage(x) + 1 for x in (*last, *(f.args[0] for f in folds))], default=0)
        elements = _reachable(sums, lambda x: [y for y in x.args if y.level in _EACH_COLUMN])
        costly = any(x.op in _COSTLY and self._stage(x) == count - 1 for x in elements)
        if costly and len(sums) < SCRATCH_BYTES // (8 * self.space.columns):  # it can be kept
            count += 1  # a loop that adds in float64 is cut into narrower vectors
        roots: list[list[Scalar]] = [[] for _ in range(count)]
        for fold in folds:
            roots[self._stage(fold.args[0])].append(fold.args[0])
        if last:
            roots[-1] += last
        return roots

    def _kept(self) -> dict[Scalar, Array]:
        """Costly elements that a later loop needs again, while there is room for them."""
        kept: dict[Scalar, Array] = {}
        limit = SCRATCH_BYTES // (8 * self.space.columns)
        sums = sum(x.op == "column_sum" for x in self.order)
        for stage in reversed(range(len(self.roots))):
            while len(kept) + sums < limit:
                needed = self._needed(stage, kept)
                again = [x for x in needed if x.op in _COSTLY and self._stage(x) < stage]
                costly = next((x for x in reversed(again) if x not in kept), None)
                if costly is None:
                    break
                kept[costly] = Array(f"s{len(kept)}", costly.dtype, Level.COLUMN)
                self.roots[self._stage(costly)].append(costly)
        if sums > limit:
            raise Unsupported("sums over rows too long to keep", got=self.space.columns)
        return kept

    def _needed(self, stage: int, kept: Mapping[Scalar, Array]) -> list[Scalar]:
        """Elements of one column loop, in order."""

        def args(scalar: Scalar) -> Sequence[Scalar]:
            found = kept.get(scalar)
            again = found is not None and self._stage(scalar) < stage
            return () if again else [x for x in scalar.args if x.level in _EACH_COLUMN]

        roots = [x for x in self.roots[stage] if x.level in _EACH_COLUMN]
        found = _reachable(roots, args)
        return [scalar for scalar in self.order if scalar in found]

    def _column_loop(self, stage: int) -> ColumnLoop:
        statements: list[Statement] = []
        for scalar in self._needed(stage, self.kept):
            array = self.kept.get(scalar)
            if array and self._stage(scalar) < stage:
                statements.append(Let(_again(scalar, array)))
                continue
            statements.append(Let(scalar))
            if array:
                statements.append(Store(array, scalar))
        if stage == len(self.roots) - 1:
            statements += [Store(self.sums[x], x.args[0], add=True) for x in self.sums]
            for array, scalar in zip(self.outputs, self.results):
                if array.level is Level.FULL:
                    statements.append(Store(array, scalar))
        used = _reachable(self.results, lambda x: x.args)
        folds = [
            x
            for x in self.order
            if x in used and x.op in ("row_sum", "row_max") and self._stage(x) == stage + 1
        ]
        return ColumnLoop(tuple(statements), tuple(folds))

    def nest(self) -> Nest:
        """Put the loops together."""
        used = _reachable(self.results, lambda x: x.args)
        order = [x for x in self.order if x in used]
        if (size := sum(_instructions(x) for x in order)) > LARGEST:
            raise Unsupported("too long for one kernel", got=size, expected=f"up to {LARGEST}")
        self.sums = {
            x: Array(f"s{len(self.kept) + i}", DType.float64, Level.COLUMN)
            for i, x in enumerate(x for x in order if x.op == "column_sum")
        }
        row: list[Statement | ColumnLoop] = []
        values = [x for x in order if x.level is Level.ROW]
        for stage in range(len(self.roots) + 1):
            row += [Let(x) for x in values if self._stage(x) == stage and not _is_fold(x)]
            if stage < len(self.roots) and self.roots[stage]:
                row.append(self._column_loop(stage))
        row += self._stores(Level.ROW)
        return Nest(
            self.inputs,
            self.outputs,
            (*self.kept.values(), *self.sums.values()),
            tuple(Let(x) for x in order if x.level is Level.SCALAR),
            tuple(row),
            tuple(x for x in order if x.op == "total_sum"),
            self._end(order),
            tuple(order),
            self.results,
            self.space.columns > LONG,
        )

    def _stores(self, *levels: Level) -> list[Statement]:
        pairs = zip(self.outputs, self.results)
        return [Store(array, scalar) for array, scalar in pairs if array.level in levels]

    def _end(self, order: Sequence[Scalar]) -> tuple[Statement | ColumnLoop, ...]:
        """What is left when all rows are done: totals, and a loop for what is one per column."""
        end: list[Statement | ColumnLoop] = [
            Let(x) for x in order if x.level is Level.TOTAL and not _is_fold(x)
        ]
        end += self._stores(Level.SCALAR, Level.TOTAL)
        each: list[Statement] = []
        stores = self._stores(Level.COLUMN, Level.COLUMN_TOTAL)
        wanted = _reachable([s.scalar for s in stores if isinstance(s, Store)], lambda x: x.args)
        for x in order:
            if x in wanted and x.level in (Level.COLUMN, Level.COLUMN_TOTAL):
                each.append(Let(_again(x, self.sums[x]) if x in self.sums else x))
        return (*end, ColumnLoop((*each, *stores))) if stores else tuple(end)


def _widest(shape: Level, scalar: Level) -> Level:
    """Level of an output: of its shape, or of its scalar where the shape has one row only."""
    if scalar in AT_END:
        if shape in (Level.ROW, Level.FULL):
            raise Unsupported("a sum over all rows is used again in every row")
        return Level.COLUMN if shape is Level.COLUMN else scalar
    return max(shape, scalar)


def _instructions(scalar: Scalar) -> int:
    made = program(scalar.op, scalar.dtype)
    return len(made[0]) if made else 1


def _is_fold(scalar: Scalar) -> bool:
    return scalar.op in ("row_sum", "row_max", "total_sum", "column_sum")


def _again(scalar: Scalar, array: Array) -> Scalar:
    """The same scalar, read from where it was kept."""
    return Scalar("load", (), scalar.dtype, Level.COLUMN, scalar.name, array.name)


def _reachable(roots: Iterable[Scalar], args: object) -> set[Scalar]:
    stack, found = list(roots), set[Scalar]()
    while stack:
        scalar = stack.pop()
        if scalar not in found:
            found.add(scalar)
            stack += args(scalar)  # type: ignore[operator]
    return found
