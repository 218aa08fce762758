"""What the engine and ONNX both say, and how each says it. Layer: frontend."""

from __future__ import annotations

from collections.abc import Mapping

from tinyflow import ops
from tinyflow.ir import Op

__all__ = ["ALONG", "REDUCTIONS", "WORDS"]

_SAME = "add sub mul div pow exp log sqrt neg abs tanh sigmoid relu erf identity"
_SAME += " equal greater less where"
WORDS: Mapping[Op, str] = {
    **{ops.OPS[name]: name.capitalize() for name in _SAME.split()},
    ops.greater_equal: "GreaterOrEqual",
    ops.less_equal: "LessOrEqual",
    ops.maximum: "Max",
    ops.minimum: "Min",
}

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
