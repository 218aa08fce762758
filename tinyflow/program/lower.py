"""Turn a scheduled and planned graph into a program. Layer: program."""

from __future__ import annotations

from collections.abc import Sequence

from tinyflow.errors import ShapeError
from tinyflow.ir import Graph, Node, Value
from tinyflow.passes.infer import DTYPES, SHAPES
from tinyflow.passes.layout import STRIDES
from tinyflow.passes.memory import PLAN
from tinyflow.passes.order import SCHEDULE
from tinyflow.passes.storage import STORAGE, Kind
from tinyflow.program.instruction import Instruction, Program, Register
from tinyflow.types import is_static

__all__ = ["lower"]


def lower(graph: Graph, feeds: Sequence[Value]) -> Program:
    """Assign a register to every value and an instruction to every node that computes.

    An ``assign(W, y)`` whose y lives in W already needs none. ``feeds`` are placeholders of the
    graph, in the order in which runs hand them in.

    Raises ShapeError naming the node if a shape is not known; the interpreter runs such graphs.
    """
    return _Lowering(graph).program(feeds)


class _Lowering:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.shapes, self.dtypes = graph.fact(SHAPES), graph.fact(DTYPES)
        self.strides = graph.facts.get(STRIDES, {})
        self.homes, self.plan = graph.fact(STORAGE), graph.fact(PLAN)
        self.registers: list[Register] = []
        self.register_of: dict[Value, int] = {}
        self.instructions: list[Instruction] = []

    def program(self, feeds: Sequence[Value]) -> Program:
        for node in self.graph.fact(SCHEDULE):
            self._lower_node(node)
        writes = tuple(dict.fromkeys(step.writes for step in self.instructions if step.writes))
        return Program(
            tuple(self.registers),
            tuple(self.instructions),
            tuple(self.register_of[feed] for feed in feeds),
            tuple(self._output(value) for value in self.graph.outputs),
            self._reads(),
            writes,
            self.plan.arena_bytes,
        )

    def _output(self, value: Value) -> int | None:
        return None if value.node.op.name == "group" else self.register_of[value]

    def _lower_node(self, node: Node) -> None:
        if node.op.name == "group":
            return
        outputs = tuple([self._add(value) for value in node.outputs])
        if node.op.leaf:
            return
        home = self.homes[node.outputs[0]]
        name = home.owner.node.name if home.kind is Kind.VARIABLE else None
        if node.op.mutates and self.homes[node.inputs[1]] == home:
            return  # the new content was computed in place
        writes = name if node.op.mutates or not node.op.aliases else None
        inputs = tuple([self.register_of[value] for value in node.inputs])
        self.instructions.append(Instruction(node.op, inputs, outputs, node.attrs, node, writes))

    def _add(self, value: Value) -> int:
        shape, dtype = self.shapes[value], self.dtypes[value]
        if not is_static(shape) or dtype is None:
            raise ShapeError(
                "shape or dtype is not known",
                node=value.node,
                got=f"{dtype}{shape}",
                fix="Feed or initialise what it depends on, or give the placeholder a shape.",
            )
        home = self.homes[value]
        if value.node.op.mutates:  # the output of an assign is the variable itself
            index = self.register_of[value] = self.register_of[home.owner]
            return index
        base = None if home.owner == value else self.register_of[home.owner]
        content = value.node.attrs["value"] if value.node.op.name == "constant" else None
        at = self.plan.place.get(value) if base is None else None
        offset = None if at is None else self.plan.offsets_bytes[at]
        sizes = tuple(dim or 0 for dim in shape or ())
        index = self.register_of[value] = len(self.registers)
        strides = self.strides.get(value)
        register = Register(sizes, dtype, home.kind, value.node, base, content, offset, strides)
        self.registers.append(register)
        return index

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
