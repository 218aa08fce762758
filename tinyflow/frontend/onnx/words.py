"""What the engine and ONNX both say, and how each says it. Layer: frontend."""

from __future__ import annotations

from collections.abc import Mapping

from tinyflow import ops
from tinyflow.ir import Graph, Op, Value, rewrite
from tinyflow.ops.composite import FORMULAS
from tinyflow.ops.site import Rule, Site, write_out
from tinyflow.passes import DTYPES, SHAPES
from tinyflow.types import DType

__all__ = ["ALONG", "REDUCTIONS", "SPARSE_LOSS", "SPELLED", "TRUTHS", "WORDS", "spell"]

_SAME = "add sub mul div pow exp log sqrt neg abs tanh sigmoid relu erf identity"
_SAME += " equal greater less where"
SPARSE_LOSS = ops.mean_sparse_softmax_cross_entropy_with_logits
WORDS: Mapping[Op, str] = {
    **{ops.OPS[name]: name.capitalize() for name in _SAME.split()},
    ops.greater_equal: "GreaterOrEqual",
    ops.less_equal: "LessOrEqual",
    ops.maximum: "Max",
    ops.minimum: "Min",
}

TRUTHS: Mapping[Op, str] = {ops.minimum: "And", ops.maximum: "Or"}  # what these are of bools

ALONG: Mapping[Op, tuple[str, int]] = {  # with an axis: its default in ONNX
    ops.softmax: ("Softmax", -1),
    ops.log_softmax: ("LogSoftmax", -1),
    ops.concat: ("Concat", 0),
    ops.gather: ("Gather", 0),
}

REDUCTIONS: Mapping[Op, str] = {
    ops.OPS[f"reduce_{name}"]: f"Reduce{name.capitalize()}"
    for name in ("sum", "mean", "max", "min", "prod")
}


def _gelu(site: Site) -> Value:
    """x * (1 + erf(x / √2)) / 2: there is a word for it since opset 20."""
    (x,) = site.inputs
    twice = ops.mul(x, ops.add(ops.erf(ops.div(x, 2**0.5)), 1.0))
    return ops.mul(twice, 0.5, name=site.node.name)  # type: ignore[no-any-return]


def _by_numbers(site: Site) -> Value | None:
    """ONNX does not order bools, and onnxruntime does not choose among them; 1 and 0 work."""
    if site.dtype(-1) is not DType.bool:
        return None
    numbers = [ops.cast(x, dtype=DType.int32) for x in site.inputs[-2:]]
    made = site.node.op(*site.inputs[:-2], *numbers, name=site.node.name, **site.node.attrs)
    return ops.cast(made, dtype=DType.bool)  # type: ignore[no-any-return]


def _by_integers(site: Site) -> Value | None:
    """Rows and classes are told by integers, not by whole floats."""
    (x, numbers), node = site.inputs, site.node
    if not site.dtype(1).is_floating:
        return None
    return node.op(x, ops.cast(numbers, dtype=DType.int64), name=node.name, **node.attrs)  # type: ignore[no-any-return]


_DENSE = (ops.softmax_cross_entropy_with_logits, ops.mean_softmax_cross_entropy_with_logits)
_NUMERIC = "greater greater_equal less less_equal where reduce_max reduce_min"
SPELLED: Mapping[Op, Rule] = {
    **{ops.OPS[name]: _by_numbers for name in _NUMERIC.split()},
    **{op: FORMULAS[op] for op in _DENSE},
    **dict.fromkeys((ops.gather, SPARSE_LOSS), _by_integers),
    ops.gelu: _gelu,
    ops.rsqrt: lambda site: ops.div(1.0, ops.sqrt(*site.inputs), name=site.node.name),
}


def spell(graph: Graph, opset: int) -> Graph:
    """Write out the ops for which ONNX has no one word, at least for some dtypes."""
    facts = graph.fact(SHAPES), graph.fact(DTYPES)
    rules = {op: rule for op, rule in SPELLED.items() if op is not ops.gelu or opset < 20}
    return rewrite(graph, lambda node, inputs: write_out(rules, Site(node, inputs, *facts)))[0]
