"""Execute a graph in a locked worker that holds no student code. Layer: sandbox.

A graph is a program: whoever executes a student's graph executes the student. So the judge sends it
here. A size that does not fit memory or time costs this process only.
"""

from __future__ import annotations

from typing import Any

from tinyflow.backends.numpy_ import NUMPY
from tinyflow.ir import Graph, Node, Value
from tinyflow.runtime.interpreter import interpret

__all__ = ["run_graph"]


def run_graph(body: dict[str, Any]) -> object:
    """Arrays of the graph's outputs, and the variables after the run.

    ``body``: graph, feeds ([value or node, array] pairs), variables (array by name). Raises what
    the interpreter raises.
    """
    graph = body["graph"]
    if not isinstance(graph, Graph):
        raise TypeError(f"expected a graph, got {type(graph).__name__}")
    feeds = {Value(key) if isinstance(key, Node) else key: array for key, array in body["feeds"]}
    variables = dict(body["variables"])
    results = interpret(graph, feeds, variables, NUMPY)
    return [results, variables]
