"""Turn a scheduled graph into a program. Layer: program."""

from __future__ import annotations

from collections.abc import Sequence

from tinyflow.errors import ShapeError
from tinyflow.ir import Graph, Node, Value, users
from tinyflow.passes.infer import DTYPES, SHAPES
from tinyflow.passes.order import SCHEDULE, storage_variable
from tinyflow.program.instruction import Instruction, Kind, Program, Register
from tinyflow.types import is_static

__all__ = ["lower"]


def lower(graph: Graph, feeds: Sequence[Value]) -> Program:
    """Assign a register to every value and an instruction to every node that computes.

    An ``assign(W, y)`` costs nothing where y can be computed straight into the storage of W: its
    other readers are done by then, nothing that can fail comes later, and the op that makes y
    may run in place on W (or does not read it).

    Raises ShapeError naming the node if a shape is not known; the interpreter runs such graphs.
    """
    return _Lowering(graph).program(feeds)


class _Lowering:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.shapes, self.dtypes = graph.fact(SHAPES), graph.fact(DTYPES)
        self.schedule = graph.fact(SCHEDULE)
        self.place = {node: index for index, node in enumerate(self.schedule)}
        self.views = storage_variable(graph)
        self.registers: list[Register] = []
        self.register_of: dict[Value, int] = {}
        self.instructions: list[Instruction] = []
        self.early = self._early_writes()

    def program(self, feeds: Sequence[Value]) -> Program:
        for node in self.schedule:
            self._lower_node(node)
        writes = tuple(dict.fromkeys(step.writes for step in self.instructions if step.writes))
        return Program(
            tuple(self.registers),
            tuple(self.instructions),
            tuple(self.register_of[feed] for feed in feeds),
            tuple(self._output(value) for value in self.graph.outputs),
            self._reads(),
            writes,
        )

    def _output(self, value: Value) -> int | None:
        return None if value.node.op.name == "group" else self.register_of[value]

    def _lower_node(self, node: Node) -> None:
        name = node.op.name
        if name == "group":
            return
        if node.is_leaf and name in ("placeholder", "variable", "constant"):
            kind = {"placeholder": Kind.FEED, "variable": Kind.VARIABLE}.get(name, Kind.CONSTANT)
            self._add(Value(node), kind)
            return
        if node in self.early:
            target = self.early[node]
            index = self._add(Value(node), Kind.VARIABLE, self.register_of[target.inputs[0]])
            self._emit(node, (index,), writes=target.inputs[0].node.name)
        elif node.op.mutates:
            base = self.register_of[node.inputs[0]]
            self.register_of[Value(node)] = base
            source = node.inputs[1].node
            if self.early.get(source) is not node:
                self._emit(node, (base,), writes=node.inputs[0].node.name)
        else:
            outputs = tuple(self._new_output(node, index) for index in range(len(node.outputs)))
            self._emit(node, outputs)

    def _new_output(self, node: Node, index: int) -> int:
        for position, output in node.op.aliases:
            if output == index:
                base = self.register_of[node.inputs[position]]
                return self._add(Value(node, index), self.registers[base].kind, base)
        return self._add(Value(node, index), Kind.BUFFER)

    def _emit(self, node: Node, outputs: tuple[int, ...], writes: str | None = None) -> None:
        inputs = tuple(self.register_of[value] for value in node.inputs)
        self.instructions.append(Instruction(node.op, inputs, outputs, node.attrs, node, writes))

    def _add(self, value: Value, kind: Kind, base: int | None = None) -> int:
        shape, dtype = self.shapes[value], self.dtypes[value]
        if not is_static(shape) or dtype is None:
            raise ShapeError(
                "shape or dtype is not known",
                node=value.node,
                got=f"{dtype}{shape}",
                fix="Feed or initialise what it depends on, or give the placeholder a shape.",
            )
        content = value.node.attrs.get("value") if kind is Kind.CONSTANT and base is None else None
        register = Register(tuple(shape or ()), dtype, kind, value.node, base, content)  # type: ignore[arg-type]
        self.register_of[value] = len(self.registers)
        self.registers.append(register)
        return self.register_of[value]

    def _reads(self) -> tuple[str, ...]:
        """Variables whose content before the run is looked at."""
        found: dict[str, None] = {}
        written: set[str] = set()
        for step in self.instructions:
            for position, index in enumerate(step.inputs):
                if position not in step.op.mutates:
                    self._note_read(index, written, found)
            if step.writes:
                written.add(step.writes)
        for index in self._fetched():
            self._note_read(index, written, found)
        return tuple(found)

    def _note_read(self, index: int, written: set[str], found: dict[str, None]) -> None:
        root = self._root(index)
        name = root.node.name or ""
        if root.kind is Kind.VARIABLE and name not in written:
            found[name] = None

    def _fetched(self) -> list[int]:
        outputs = (self._output(value) for value in self.graph.outputs)
        return [index for index in outputs if index is not None]

    def _root(self, index: int) -> Register:
        register = self.registers[index]
        while register.base is not None:
            register = self.registers[register.base]
        return register

    def _early_writes(self) -> dict[Node, Node]:
        """Nodes that may compute straight into a variable: node -> the assign it makes idle."""
        failing = max((i for i, n in enumerate(self.schedule) if n.op.can_fail), default=-1)
        readers = self._readers()
        last = {n.inputs[0].node: n for n in self.schedule if n.op.mutates}
        found: dict[Node, Node] = {}
        for assign in last.values():
            maker = assign.inputs[1].node
            if self._may_write(maker, assign, readers, failing) and maker not in found:
                found[maker] = assign
        return found

    def _may_write(
        self, maker: Node, assign: Node, readers: dict[Node, list[Node]], failing: int
    ) -> bool:
        variable, value = assign.inputs[0].node, assign.inputs[1]
        if maker.is_leaf or maker.op.aliases or maker.op.mutates or len(maker.outputs) != 1:
            return False
        same = self.shapes[value] == self.shapes[Value(assign)]
        if not same or self.dtypes[value] is not self.dtypes[Value(assign)]:
            return False
        now = self.place[maker]
        if now <= failing or any(self.place[r] > now for r in readers[variable] if r is not maker):
            return False
        reads = {i for i, v in enumerate(maker.inputs) if self._shows(v) is variable}
        inplace = {position for position, _ in maker.op.inplace}
        return reads <= inplace and all(
            self.shapes[maker.inputs[i]] == self.shapes[value] for i in reads
        )

    def _shows(self, value: Value) -> Node | None:
        if value.node.op.name == "variable":
            return value.node
        return self.views[value][0] if value in self.views else None

    def _readers(self) -> dict[Node, list[Node]]:
        """For each variable: the nodes that read its storage; the final assign's users excepted."""
        last = {n.inputs[0].node: n for n in self.schedule if n.op.mutates}
        found: dict[Node, list[Node]] = {n: [] for n in self.schedule if n.op.name == "variable"}
        for value, uses in users(self.graph).items():
            variable = self._shows(value)
            if variable is None or self._final(value, last.get(variable)):
                continue
            found[variable] += [
                user
                for user, at in uses
                if at not in user.op.mutates or user is not last.get(variable)
            ]
        return found

    def _final(self, value: Value, assign: Node | None) -> bool:
        while value.node is not assign and value.node.op.aliases and not value.node.op.mutates:
            value = value.node.inputs[0]
        return value.node is assign
