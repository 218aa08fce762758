"""Shape and dtype inference, forwards and backwards, to a fixed point. Layer: passes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from tinyflow.errors import DTypeError, TinyflowError
from tinyflow.ir import Fact, Graph, Node, Value, users
from tinyflow.types import DType, Shape, default_dtype, unify_shape

__all__ = [
    "DTYPES", "KNOWN_DTYPES", "KNOWN_SHAPES", "SHAPES", "carry_types", "describe",
    "infer", "remember_types",
]  # fmt: skip

T = TypeVar("T")
Rule = Callable[[Mapping[str, Any], Sequence[T], Sequence[T]], tuple[Sequence[T], Sequence[T]]]

SHAPES: Fact[Mapping[Value, Shape]] = Fact("shapes")
DTYPES: Fact[Mapping[Value, DType | None]] = Fact("dtypes")
KNOWN_SHAPES: Fact[Mapping[Value, Shape]] = Fact("known shapes", lasts=True)  # of leaves
KNOWN_DTYPES: Fact[Mapping[Value, DType | None]] = Fact("known dtypes", lasts=True)


def infer(graph: Graph) -> Graph:
    """Provide SHAPES and DTYPES for every value; what cannot be known stays None.

    Starts from what leaves and the facts KNOWN_SHAPES and KNOWN_DTYPES say. Each op's rule looks at
    inputs and outputs and returns what is known about both; a change wakes the neighbours, until
    nothing changes (NNVM's InferShape sweeps; this uses a worklist). A Python number that met no
    dtype becomes float32, int32 or bool.

    Raises ShapeError or DTypeError naming the node at which two findings contradict.
    """
    known = dict(graph.facts.get(KNOWN_SHAPES, {}))
    shapes = _fixed_point(graph, known, lambda node: node.op.shape, unify_shape)
    kinds = dict(graph.facts.get(KNOWN_DTYPES, {}))
    dtypes = _fixed_point(graph, kinds, lambda node: node.op.dtype, _unify_dtype)
    weak = {
        value: default_dtype(node.attrs["value"])
        for node in graph.nodes
        if node.op.name == "constant" and dtypes[value := node.outputs[0]] is None
    }
    if weak:
        dtypes = _fixed_point(graph, {**dtypes, **weak}, lambda node: node.op.dtype, _unify_dtype)
    _check_constants(graph, dtypes)
    return graph.with_fact(SHAPES, shapes).with_fact(DTYPES, dtypes)


def _fixed_point(
    graph: Graph,
    known: Mapping[Value, T | None],
    rule_of: Callable[[Node], Rule[T | None]],
    unify: Callable[[T | None, T | None], T | None],
) -> dict[Value, T | None]:
    """Apply rules until nothing changes. Every value only gains knowledge, so this ends."""
    found: dict[Value, T | None] = dict.fromkeys(v for n in graph.nodes for v in n.outputs)
    found.update(known)
    sure = {value for value, fact in known.items() if _is_known(fact)}
    readers = users(graph)
    unsure = [n for n in graph.nodes if not n.inputs or not sure.issuperset(n.outputs + n.inputs)]
    queue, queued = deque(unsure), set(unsure)
    said: dict[Any, Sequence[T | None]] = {}
    while queue:
        node = queue.popleft()
        queued.discard(node)
        values, count = node.inputs + node.outputs, len(node.inputs)
        before = [found[value] for value in values]
        try:
            question = (node if node.attrs else rule_of(node), count, *before)
            if question not in said:  # equal layers ask the same, unless they have attributes
                ins, outs = rule_of(node)(node.attrs, before[:count], before[count:])
                said[question] = (*ins, *outs)
            for value, old, new in zip(values, before, said[question], strict=True):
                if new is None or new is old or new == old:
                    continue
                old = found[value]  # which may have changed: one value may be two inputs
                now = new if old is None else unify(old, new)
                if now == old:
                    continue
                found[value] = now
                woken = [user for user, _ in readers.get(value, ()) if user not in queued]
                if value.node is not node and value.node not in queued:
                    woken.append(value.node)
                queued.update(woken)
                queue.extend(woken)
        except TinyflowError as error:
            raise error.at(node) from None
    return found


def _is_known(fact: object) -> bool:
    """True if nothing can be learnt: a dtype, or a shape without holes."""
    return fact is not None and not (isinstance(fact, tuple) and None in fact)


def _unify_dtype(a: DType | None, b: DType | None) -> DType | None:
    if a is not None and b is not None and a is not b:
        raise DTypeError("dtypes contradict", got=f"{a} and {b}", fix="Insert tf.cast.")
    return b if a is None else a


def _check_constants(graph: Graph, dtypes: Mapping[Value, DType | None]) -> None:
    """A Python number must survive the dtype that it took: 0.5 cannot become an int32."""
    for node in graph.nodes:
        if node.op.name != "constant" or node.attrs["dtype"] is not None:
            continue
        dtype, number = dtypes[node.outputs[0]], node.attrs["value"]
        if dtype and not dtype.holds(number):
            what = "the number does not fit the dtype it meets"
            fix = "Give it a dtype, or cast the other operand: tf.cast(x, tf.float32)."
            raise DTypeError(what, node=node, got=number, expected=dtype, fix=fix)


def carry_types(old: Graph, new: Graph, *moved: Mapping[Value, Value]) -> Graph:
    """Give a rewritten graph the types of the old one: for rewrites that keep each value's type.

    Each of ``moved`` maps old to new values, as the map that :func:`tinyflow.ir.rewrite` returns.
    """
    shapes, dtypes = old.fact(SHAPES), old.fact(DTYPES)
    if new.nodes != old.nodes:
        present = set(new.nodes)
        kept = [pair for part in moved for pair in part.items() if pair[1].node in present]
        shapes = {after: shapes[before] for before, after in kept}
        dtypes = {after: dtypes[before] for before, after in kept}
    return new.with_facts({**new.facts, SHAPES: shapes, DTYPES: dtypes})


def remember_types(old: Graph, new: Graph, moved: Mapping[Value, Value]) -> Graph:
    """As :func:`carry_types`, for rewrites that make more values: ``infer`` starts from these."""
    carried = carry_types(old, new, moved)
    shapes, dtypes = carried.fact(SHAPES), carried.fact(DTYPES)
    return new.with_facts({KNOWN_SHAPES: shapes, KNOWN_DTYPES: dtypes})


def describe(graph: Graph) -> Callable[[Value], str]:
    """For ``text(graph, describe(graph))``: "float32[100, 10]" from the facts that are there."""
    shapes, dtypes = graph.facts.get(SHAPES, {}), graph.facts.get(DTYPES, {})

    def comment(value: Value) -> str:
        shape, dtype = shapes.get(value), dtypes.get(value)
        if shape is None:
            return str(dtype or "")
        return f"{dtype or ''}[{', '.join('?' if d is None else str(d) for d in shape)}]"

    return comment
