"""What a pass is, and a pipeline that holds every pass to its word. Layer: passes."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass, field, replace
from typing import Any

from tinyflow.errors import GraphError, PassError, TinyflowError
from tinyflow.ir import Fact, Graph, Node, Value, text, verify

__all__ = ["Facts", "Pass", "Pipeline", "Step"]

Facts = Set[Fact[Any]]


@dataclass(frozen=True, slots=True)
class Pass:
    """A named function ``Graph -> Graph`` with its contract.

    ``requires``: facts that it reads. ``provides``: facts that it sets. Others are dropped if it
    changed nodes, but for those that last.
    """

    name: str
    run: Callable[[Graph], Graph]
    requires: Facts = frozenset()
    provides: Facts = frozenset()


@dataclass(frozen=True, slots=True)
class Step:
    """The graph after one pass: what ``Pipeline.trace`` yields."""

    name: str
    graph: Graph

    def __str__(self) -> str:
        return f"== after {self.name}\n{text(self.graph)}"


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Passes in order; ``pipeline(graph)`` runs them, checking contract and invariants around each.

    A pass may fail, return something else than a graph, break an invariant or forget a fact it
    promised: PassError names it. When a pass needs a fact that an earlier one lost, the pass that
    provides it runs again.
    """

    passes: tuple[Pass, ...]
    _providers: dict[Fact[Any], Pass] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        providers = {fact: p for p in reversed(self.passes) for fact in p.provides}
        object.__setattr__(self, "_providers", providers)

    def __call__(self, graph: Graph) -> Graph:
        """Run all passes and return the final graph."""
        return self.trace(graph)[-1].graph

    def trace(self, graph: Graph) -> list[Step]:
        """Run all passes; the graph before the first and after each one."""
        steps, checked = [Step("input", graph)], set(graph.nodes)
        _verify("the input", graph, set(), None)
        for stage in self.passes:
            graph = self._with_facts(stage, graph, checked)
            graph = _apply(stage, graph, checked)
            checked.update(graph.nodes)
            steps.append(Step(stage.name, graph))
        return steps

    def _with_facts(self, stage: Pass, graph: Graph, checked: set[Node]) -> Graph:
        for fact in sorted(stage.requires - graph.facts.keys(), key=lambda f: f.name):
            if fact not in self._providers:
                what = f"pass '{stage.name}' needs the fact '{fact.name}'"
                raise PassError(what, expected="a pass before it that provides the fact")
            if fact not in graph.facts:  # the same provider may have set several
                graph = _apply(self._providers[fact], graph, checked)
        return graph

    def names(self) -> tuple[str, ...]:
        """Names of the passes, in order."""
        return tuple(stage.name for stage in self.passes)

    def replace(self, name: str, run: Callable[[Graph], Graph]) -> Pipeline:
        """A pipeline in which this function does the work of the pass ``name``."""
        at = self._index(name)
        stage = replace(self.passes[at], run=run)
        return Pipeline((*self.passes[:at], stage, *self.passes[at + 1 :]))

    def insert(self, stage: Pass, *, before: str) -> Pipeline:
        """A pipeline with one more pass in front of the one called ``before``."""
        at = self._index(before)
        return Pipeline((*self.passes[:at], stage, *self.passes[at:]))

    def without(self, *names: str) -> Pipeline:
        """A pipeline that leaves the named passes out."""
        dropped = {self._index(name) for name in names}
        return Pipeline(tuple(p for i, p in enumerate(self.passes) if i not in dropped))

    def _index(self, name: str) -> int:
        if name not in self.names():
            raise PassError("no such pass", got=repr(name), expected=", ".join(self.names()))
        return self.names().index(name)


def _apply(stage: Pass, graph: Graph, checked: set[Node]) -> Graph:
    """Run one pass and hold it to its contract."""
    try:
        result = stage.run(graph)
    except (TinyflowError, NotImplementedError):  # which say what is wrong, or still to be written
        raise
    except Exception as error:
        got = f"{type(error).__name__}: {error}"
        raise PassError(f"pass '{stage.name}' failed", got=got) from error
    if not isinstance(result, Graph):
        what, got = f"pass '{stage.name}' returned no graph", type(result).__name__
        fix = "Return a new graph; graphs are never changed in place."
        raise PassError(what, got=got, expected="a Graph", fix=fix)
    have, want = len(result.outputs), len(graph.outputs)
    if have != want:
        what = f"pass '{stage.name}' changed the number of outputs"
        raise PassError(what, got=have, expected=want)
    result = _keep_facts(stage, graph, result)
    _verify(f"pass '{stage.name}'", result, checked, graph)
    return result


def _keep_facts(stage: Pass, before: Graph, after: Graph) -> Graph:
    missing = [fact.name for fact in stage.provides if fact not in after.facts]
    if missing:
        raise PassError(f"pass '{stage.name}' did not provide '{missing[0]}' as it promised")
    if after.nodes == before.nodes:  # tuples of identical nodes: facts stay true
        return after.with_facts({**before.facts, **after.facts})
    nodes = set(after.nodes)
    old = {fact: _about(nodes, v) for fact, v in before.facts.items() if fact.lasts}
    new = {f: v for f, v in after.facts.items() if f.lasts or f in stage.provides}
    return after.with_facts({**old, **new})


def _about(nodes: set[Node], content: Any) -> Any:
    """What a fact says of the nodes that are left: a pass may drop a leaf that nobody reads."""
    if not isinstance(content, dict):
        return content
    return {k: v for k, v in content.items() if not isinstance(k, Value) or k.node in nodes}


def _verify(who: str, graph: Graph, checked: Set[Node], before: Graph | None) -> None:
    try:
        verify(graph, checked, before)
    except GraphError as error:
        raise error.within(f"{who} broke an invariant", PassError) from None
