"""Parts for a student's ``gradient``: right, the judge's own, counted. Layer: judge.

The rules and the accumulation run here, in the judge, on graph data only. So how often a rule was
called is known, not reported: the student's process cannot claim another number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from autograder.authoring.manifest import Homework
from autograder.judge import check
from autograder.sandbox.callback import Callback, CallbackTable, NoRule, Own
from tinyflow import ops
from tinyflow.adjoints import ADJOINTS, AdjointRule, NoGradient
from tinyflow.errors import GradientError
from tinyflow.ir import Graph, Node, Op, Value

__all__ = ["Parts", "whole"]


class Parts:
    """``adjoints`` (op name -> callback) and ``accumulate``, to pass to ``gradient``.

    ``calls`` counts rule calls by node; ``made`` holds the nodes of the graphs and of the rules.
    ``rules`` adds rules for ops that the engine does not have.
    """

    def __init__(
        self, *graphs: Graph, rules: Mapping[Op, AdjointRule] | None = None, budget: int = 400
    ) -> None:
        self.calls: Counter[Node] = Counter()
        self.made: set[Node] = {node for graph in graphs for node in graph.nodes}
        used = {node.op for node in self.made}
        self.adjoints = CallbackTable(
            {
                op.name: NoRule(rule.reason)
                if isinstance(rule, NoGradient)
                else Callback(self._rule(op, rule), budget)
                for op, rule in {**ADJOINTS, **(rules or {})}.items()
                if op in used
            }
        )
        self.accumulate = Callback(self._accumulate, budget)

    def called_once(self, nodes: Iterable[Node]) -> None:
        """Each of ``nodes`` was differentiated exactly once, and no other node was."""
        check.equal(self.calls, Counter(nodes), "calls of adjoint rules, by node")

    def little_else(self, answer: Graph, allowed: int) -> None:
        """``answer`` holds at most ``allowed`` nodes that were not built by these parts."""
        check.at_most(len(check.new_nodes(answer, self.made)), allowed, "nodes beside the parts'")

    def _rule(self, op: Op, rule: AdjointRule) -> Callable[..., tuple[Value | None, ...]]:
        def call(*args: Any) -> tuple[Value | None, ...]:
            node, *dys = args or (None,)
            if type(node) is not Node or node.op is not op or len(dys) != len(node.outputs):
                raise GradientError(
                    f"the rule of '{op.name}' was called with other arguments",
                    expected=f"a {op.name} node and one dy per output",
                )
            self.calls[node] += 1
            built = rule(node, *dys)
            self._keep(built, [Value(node), *node.inputs, *dys])
            return built

        return call

    def _accumulate(self, *args: Any) -> Value:
        contributions = args[0] if len(args) == 1 else None
        if type(contributions) not in (list, tuple) or not contributions:
            raise GradientError("nothing to accumulate", expected="one sequence of values")
        total = check.value(contributions[0], "a contribution")
        for contribution in contributions[1:]:
            total = ops.add(total, check.value(contribution, "a contribution"))
        self._keep([total], contributions)
        return total

    def _keep(self, built: Sequence[Value | None], given: Sequence[Value | None]) -> None:
        """Note the nodes of ``built`` down to those of ``given``, which may be the student's."""
        stop = {value.node for value in given if value is not None}
        stack = [value.node for value in built if value is not None]
        while stack:
            node = stack.pop()
            if node not in stop and node not in self.made:
                self.made.add(node)
                stack += [value.node for value in node.inputs]


def whole(homework: Homework) -> tuple[CallbackTable, Own]:
    """Adjoints and accumulation for the integration: the student's own where they are tasks.

    The other rules are those of the worker's engine: what matters here is only what comes out.
    """
    tasks = {task.function: task.symbol for task in homework.tasks if task.function}
    entries: dict[str, NoRule | Own] = {}
    for op, rule in ADJOINTS.items():
        if isinstance(rule, NoGradient):
            entries[op.name] = NoRule(rule.reason)
        else:
            name = f"{rule.__module__}:{rule.__name__}"
            entries[op.name] = Own(tasks.get(name, name))
    return CallbackTable(entries), Own("accumulate")
