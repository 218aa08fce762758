"""The lowered form of a graph."""

from tinyflow.program.instruction import Instruction, Program, Register, program_text
from tinyflow.program.lower import lower

__all__ = ["Instruction", "Program", "Register", "lower", "program_text"]
