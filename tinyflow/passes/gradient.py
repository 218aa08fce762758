"""Reverse-mode differentiation: the gradient of a graph is another graph. Layer: passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tinyflow import ops
from tinyflow.adjoints import ADJOINTS, AdjointRule, NoGradient
from tinyflow.errors import GradientError
from tinyflow.ir import Graph, Node, Op, Value

__all__ = ["accumulate", "descendants", "gradient", "unreachable"]


def accumulate(contributions: Sequence[Value]) -> Value:
    """The adjoint of a value that is used several times: the sum of what each use contributes.

    A value with k uses reaches the loss on k ways; by the chain rule its adjoint is the sum of the
    k contributions. One contribution needs no node; k contributions need k - 1 additions.

    Args:
        contributions: at least one value; all have the shape and dtype of the value whose adjoint
            they add up to.

    Returns:
        A value equal to the sum. The contributions themselves stay as they are.

    Raises:
        GradientError: if there is nothing to add up.

    Example::

        accumulate([a])        ->  a                     (the same value, no new node)
        accumulate([a, b, c])  ->  add(add(a, b), c)     (any order of additions will do)
    """
    if not contributions:
        raise GradientError("nothing to accumulate", got=0, expected="at least one contribution")
    total = contributions[0]
    for contribution in contributions[1:]:
        total = ops.add(total, contribution)
    return total


def gradient(
    graph: Graph,
    xs: Sequence[Value],
    grad_ys: Sequence[Value] | None = None,
    adjoints: Mapping[Op, AdjointRule] = ADJOINTS,
    accumulate: Callable[[Sequence[Value]], Value] = accumulate,
) -> Graph:
    """Build the graph of d(ys)/d(xs), where ys are the outputs of ``graph``.

    Walk the nodes backwards, every node after all of its users. When a node is reached, the
    adjoint of each of its outputs is complete: ``accumulate`` what its users contributed. The rule
    ``adjoints[node.op]`` then turns the adjoints of the outputs into one contribution per input.
    Rules are called exactly once for each node that lies between xs and ys, and for no other node,
    so the gradient graph is at most a constant factor larger than the graph.

    Args:
        graph: the forward graph. Its ``nodes`` are in topological order: inputs come before users.
            Depth-first order from the outputs is not good enough: a node with a short and a long
            way to the output would be visited before the long way has contributed.
        xs: values of the graph to differentiate with respect to; leaves or inner values. The same
            value may be listed twice.
        grad_ys: one upstream gradient per y, with the shape and dtype of that y. None stands for
            ``ops.ones_like(y)``. A y listed twice counts twice.
        adjoints: for each op the rule ``rule(node, *dys) -> (dx, ...)``: one ``dy`` per output of
            the node (None if no gradient flows into that output), one ``dx`` per input (None if
            none flows out). Ops without gradient return only Nones.
        accumulate: adds up the contributions to one value; see :func:`accumulate`.

    Returns:
        A graph whose outputs are the gradients, in the order of ``xs``; each has the shape of its
        x. ``graph`` is not changed, and the nodes of ``graph`` are reused, not copied.

    Raises:
        GradientError: if no y depends on an x in a differentiable way (naming that x), or if the
            number of ``grad_ys`` differs from the number of ys.

    Example: y = x * x ::

        %0 = placeholder(dtype=float32) "x"           gradient(Graph((y,)), [x]) prints as
        %1 = mul(%0, %0)                    --->
        return %1                                     %0 = placeholder(dtype=float32) "x"
                                                      %1 = mul(%0, %0)
                                                      %2 = ones_like(%1)
                                                      %3 = mul(%2, %0)
                                                      %4 = sum_like(%3, %0)
                                                      %5 = add(%4, %4)  (or both made one by one)
                                                      return %5

    Source: Griewank and Walther, Evaluating Derivatives (2008), section 3.2; NNVM's Gradient pass.
    """
    ys = graph.outputs
    dys = [ops.ones_like(y) for y in ys] if grad_ys is None else list(grad_ys)
    if len(dys) != len(ys):
        raise GradientError("one grad_y per y is needed", got=len(dys), expected=len(ys))
    contributions: dict[Value, list[Value]] = {}
    for y, dy in zip(ys, dys):
        contributions.setdefault(y, []).append(dy)
    between = descendants(graph, xs)
    adjoint: dict[Value, Value] = {}
    for node in reversed(graph.nodes):
        arrived = [value for value in node.outputs if value in contributions]
        if node not in between or not arrived:
            continue
        for value in arrived:
            adjoint[value] = accumulate(contributions[value])
        if not any(value.node in between for value in node.inputs):
            continue
        rule = adjoints[node.op]
        for x, dx in zip(node.inputs, rule(node, *map(adjoint.get, node.outputs))):
            if dx is not None and x.node in between:
                contributions.setdefault(x, []).append(dx)
    for x in xs:
        if x not in adjoint:
            raise unreachable(graph, x, adjoints)
    return Graph(tuple(adjoint[x] for x in xs))


def descendants(graph: Graph, xs: Sequence[Value]) -> set[Node]:
    """The nodes that compute something from an x, and the nodes of the xs themselves.

    A gradient can flow through these nodes only. Linear in the size of the graph.
    """
    found = {x.node for x in xs}
    for node in graph.nodes:
        if any(value.node in found for value in node.inputs):
            found.add(node)
    return found


def unreachable(graph: Graph, x: Value, adjoints: Mapping[Op, AdjointRule]) -> GradientError:
    """The error for an x that no y depends on: it names x and the ops that let nothing through."""
    below = descendants(graph, [x])
    reasons = {
        f"{node.where()} has no gradient: {rule.reason}"
        for node in graph.nodes
        if node.inputs and node in below and isinstance(rule := adjoints.get(node.op), NoGradient)
    }
    used = any(y.node in below for y in graph.outputs)
    return GradientError(
        "no y depends on this x differentiably" if used else "no y depends on this x",
        node=x.node,
        got="; ".join(sorted(reasons)) or None,
        expected="a path of differentiable ops from x to y",
        fix="Leave it out of xs, or use it in the graph.",
    )
