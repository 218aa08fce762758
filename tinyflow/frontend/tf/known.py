"""What is known of shapes and dtypes while a graph is still being written. Layer: frontend."""

from __future__ import annotations

from tinyflow.errors import TinyflowError
from tinyflow.frontend.tf.scope import current_scope
from tinyflow.ir import CONSTANT, Graph, Value
from tinyflow.passes import DTYPES, SHAPES, infer
from tinyflow.types import DType, Shape

__all__ = ["TensorShape", "forward_shape", "known"]


class TensorShape(tuple[int | None, ...]):
    """A known shape: a tuple that also answers as TensorFlow 1's shapes do."""

    __slots__ = ()

    def as_list(self) -> list[int | None]:
        """The sizes, None where unknown."""
        return list(self)


def known(value: Value) -> tuple[Shape, DType | None]:
    """Shape and dtype as inferred; as declared, in a homework's engine without inference."""
    if value.node.op is CONSTANT:
        return value.node.attrs["value"].shape, value.node.attrs["dtype"]
    try:
        graph = infer(Graph((value,)))
    except NotImplementedError:
        return value.node.attrs.get("shape"), value.node.attrs.get("dtype")
    return graph.fact(SHAPES)[value], graph.fact(DTYPES)[value]


def forward_shape(value: Value) -> Shape:
    """What is known of a shape from what lies before it; None for nothing.

    Each node is looked at once per scope, so asking at every node of a deep graph is cheap.
    """
    known, pending = current_scope().shapes, [value.node]
    while pending:
        node = pending[-1]
        missing = [source.node for source in node.inputs if source not in known]
        pending += missing
        if missing:
            continue
        pending.pop()
        unknown: tuple[Shape, ...] = (None,) * len(node.outputs)
        try:
            shapes = node.op.shape(node.attrs, [known[v] for v in node.inputs], unknown)[1]
        except (TinyflowError, NotImplementedError):  # reported, if it matters, by the run
            shapes = unknown
        known.update(zip(node.outputs, shapes))
    return known[value]
