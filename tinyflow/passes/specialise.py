"""Make the stand-ins of the gradient concrete, once shapes and dtypes are known. Layer: passes."""

from __future__ import annotations

from tinyflow import ops
from tinyflow.ir import Graph, Node, Value, rewrite
from tinyflow.ops.concrete import CONCRETE
from tinyflow.ops.rules import kernel_dtypes
from tinyflow.ops.site import Site, write_out
from tinyflow.passes.infer import DTYPES, SHAPES, remember_types

__all__ = ["specialise"]


def specialise(graph: Graph) -> Graph:
    """Replace shape-free ops by concrete ones and insert the dtype casts that kernels need.

    ``sum_like`` becomes a reduction and a reshape (or nothing), ``broadcast_like`` a reshape and a
    ``broadcast_to``, ``reshape_like`` a ``reshape``, ``cast_like`` a ``cast``, ``size`` a constant,
    ``zeros_like`` and ``ones_like`` a fill; a ``like`` that an attribute can replace becomes one;
    constants take their dtype; identities vanish where no variable can change under them. What
    is not known yet stays as it is and runs by its own kernel. The rules: ``ops/concrete.py``.
    """
    shapes, dtypes = graph.fact(SHAPES), graph.fact(DTYPES)

    def rule(node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...] | None:
        site = Site(node, inputs, shapes, dtypes)
        return write_out(CONCRETE, site) or _with_casts(site)

    return remember_types(graph, *rewrite(graph, rule))


def _with_casts(site: Site) -> tuple[Value, ...] | None:
    """Cast each input to the dtype that the kernel needs."""
    node = site.node
    got, results = ([site.dtypes[v] for v in values] for values in (node.inputs, node.outputs))
    if None in got or None in results or got == results[:1] * len(got):
        return None
    needed = kernel_dtypes(node.op, node.attrs, got, results)
    if got == [*needed]:
        return None
    pairs = zip(site.inputs, got, needed)
    inputs = (x if have is want else ops.cast(x, dtype=want) for x, have, want in pairs)
    return node.with_inputs(tuple(inputs)).outputs
