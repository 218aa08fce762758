"""The lowered form: registers and instructions, pure data that knows no backend. Layer: program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tinyflow.ir import Node, Op
from tinyflow.ir.text import encode_attr
from tinyflow.passes.storage import Kind
from tinyflow.types import DType

__all__ = ["Instruction", "Kind", "Program", "Register", "program_text"]


@dataclass(frozen=True, slots=True)
class Register:
    """One array at run time.

    ``base`` is the register whose storage this one shows, if any; ``offset_bytes`` the place of a
    buffer in the arena; ``content`` the array of a constant leaf; ``strides`` in elements (None:
    row-major).
    """

    shape: tuple[int, ...]
    dtype: DType
    kind: Kind
    node: Node
    base: int | None = None
    content: Any = None
    offset_bytes: int | None = None
    strides: tuple[int, ...] | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes of the content."""
        count = 1
        for dim in self.shape:
            count *= dim
        return count * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class Instruction:
    """Run ``op`` on registers. ``writes`` names the variable whose storage the output goes to."""

    op: Op
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    attrs: Mapping[str, Any]
    node: Node
    writes: str | None = None


@dataclass(frozen=True, slots=True)
class Program:
    """Instructions in the order they run, with the registers they use.

    ``feeds`` are the registers of the placeholders in the order the runtime fills them;
    ``outputs`` the registers to fetch (None for a group); ``reads`` and ``writes`` the names of
    the variables whose old content is needed, and which are changed; ``arena_bytes`` the size of
    the one block that holds all buffers.
    """

    registers: tuple[Register, ...]
    instructions: tuple[Instruction, ...]
    feeds: tuple[int, ...]
    outputs: tuple[int | None, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    arena_bytes: int

    def __str__(self) -> str:
        return program_text(self)


def program_text(program: Program) -> str:
    """Print a program, one instruction a line: ``r4: float32[100, 10] = matmul r0 r1``."""

    def show(index: int) -> str:
        register = program.registers[index]
        return f"r{index}:{register.dtype}{list(register.shape)}"

    lines = []
    for index, register in enumerate(program.registers):
        if register.kind is not Kind.BUFFER and register.base is None:
            name = f' "{register.node.name}"' if register.node.name else ""
            value = f" = {register.content}" if register.shape == () and name == "" else ""
            lines.append(f"{show(index)} {register.kind}{name}{value}")
    for step in program.instructions:
        attrs = " ".join(
            f"{key}={encode_attr(a, step.attrs[key])}"
            for key, a in step.op.attributes.items()
            if step.attrs[key] != a.default
        )
        inputs = " ".join(f"r{index}" for index in step.inputs)
        outputs = ", ".join(show(index) for index in step.outputs)
        target = f"  -> {step.writes}" if step.writes else ""
        lines.append(f"{outputs} = {' '.join(filter(None, (step.op.name, inputs, attrs)))}{target}")
    fetched = ("none" if index is None else f"r{index}" for index in program.outputs)
    return "\n".join([*lines, "return " + " ".join(fetched)]) + "\n"
