"""AdjointTable: which gradient rule belongs to which op. Layer: adjoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from tinyflow.errors import GradientError
from tinyflow.ir import Node, Op, Value
from tinyflow.ir.node import PLACED_ON

__all__ = ["AdjointRule", "AdjointTable", "Adjoints", "NoGradient", "PlacedRules"]

Adjoints = tuple[Value | None, ...]
AdjointRule = Callable[..., Adjoints]


@dataclass(frozen=True, slots=True)
class NoGradient:
    """Stands where an op has no gradient rule and says why; called as a rule, answers None."""

    reason: str

    def __call__(self, node: Node, *dys: Value | None) -> Adjoints:
        """No gradient to any input of ``node``."""
        return (None,) * len(node.inputs)


class AdjointTable(Mapping[Op, AdjointRule]):
    """Gradient rules by op.

    A rule is called as ``rule(node, dy)`` with the adjoint of the result of ``node`` (one ``dy``
    per result, None where nothing flows back) and returns one adjoint per input, None where no
    gradient flows. It builds nodes; it never looks at a shape, since none is known yet.
    """

    def __init__(self, *parts: Mapping[Op, AdjointRule]) -> None:
        self._rules: dict[Op, AdjointRule] = {}
        for part in parts:
            for op, rule in part.items():
                self.add(op, rule)

    def add(self, op: Op, rule: AdjointRule) -> None:
        """Give ``op`` a rule, or ``NoGradient(reason)``; raises GradientError if it has one."""
        if not isinstance(op, Op) or not callable(rule):
            pair = f"{type(op).__name__}, {type(rule).__name__}"
            raise GradientError("not a rule for an op", got=pair, expected="an Op, a function")
        if op in self._rules:
            raise GradientError(f"op '{op.name}' has a gradient rule", fix="Add another op.")
        self._rules[op] = rule

    def __getitem__(self, op: Op) -> AdjointRule:
        """The rule of ``op``; raises GradientError naming the op if it has none."""
        try:
            return self._rules[op]
        except KeyError:
            raise GradientError(
                f"op '{getattr(op, 'name', op)}' has no gradient rule",
                expected=f"one of the {len(self)} ops with an entry",
                fix="Add one: ADJOINTS.add(op, rule), or NoGradient(reason) in place of a rule.",
            ) from None

    def get(self, op: object, default: Any = None) -> Any:
        """The rule of ``op``, or ``default``."""
        return self._rules.get(op, default)  # type: ignore[call-overload]

    def __contains__(self, op: object) -> bool:
        return op in self._rules

    def __iter__(self) -> Iterator[Op]:
        return iter(self._rules)

    def __len__(self) -> int:
        return len(self._rules)

    def __repr__(self) -> str:
        return f"<adjoints of {len(self)} ops>"


class PlacedRules(Mapping[Op, AdjointRule]):
    """The rules of a table; what they build is on the device of the node they are called for."""

    def __init__(self, rules: AdjointTable) -> None:
        self._rules = rules

    def __getitem__(self, op: Op) -> AdjointRule:
        """The rule of ``op``; raises GradientError naming the op if it has none."""
        rule = self._rules[op]
        return rule if isinstance(rule, NoGradient) else partial(_beside, rule)

    def get(self, op: object, default: Any = None) -> Any:
        """The rule of ``op`` as the table has it, or ``default``."""
        return self._rules.get(op, default)

    def __iter__(self) -> Iterator[Op]:
        return iter(self._rules)

    def __len__(self) -> int:
        return len(self._rules)


def _beside(rule: AdjointRule, node: Node, *dys: Value | None) -> Adjoints:
    device = PLACED_ON.set(node.device or PLACED_ON.get())
    try:
        return rule(node, *dys)
    finally:
        PLACED_ON.reset(device)
