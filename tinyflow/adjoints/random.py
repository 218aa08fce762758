"""Random ops read no contents, so there is nothing to differentiate by. Layer: adjoints."""

from __future__ import annotations

from collections.abc import Mapping

from tinyflow import ops
from tinyflow.adjoints.table import AdjointRule, NoGradient
from tinyflow.ir import Op

__all__ = ["RULES"]

_DRAWN = NoGradient("the result is drawn, not computed from an input")

RULES: Mapping[Op, AdjointRule] = dict.fromkeys(
    (ops.normal, ops.truncated_normal, ops.uniform, ops.uniform_like), _DRAWN
)
