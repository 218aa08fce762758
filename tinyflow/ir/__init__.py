"""The intermediate representation: ops, nodes, values, graphs, and their two text forms."""

from tinyflow.ir.graph import Fact, Graph, rewrite, topological_order, users
from tinyflow.ir.json import from_json, to_json
from tinyflow.ir.node import Node, Value
from tinyflow.ir.op import CONSTANT, REQUIRED, Attribute, Op, Operand, as_value
from tinyflow.ir.text import parse, text
from tinyflow.ir.verify import verify

__all__ = [
    "CONSTANT", "REQUIRED", "Attribute", "Fact", "Graph", "Node", "Op", "Operand", "Value",
    "as_value", "from_json", "parse", "rewrite", "text", "to_json", "topological_order", "users",
    "verify",
]  # fmt: skip
