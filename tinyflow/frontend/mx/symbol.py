"""Symbol: what a user of MXNet holds. Layer: frontend."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from tinyflow.errors import GraphError, TinyflowError
from tinyflow.frontend.mx.executor import Executor
from tinyflow.frontend.mx.file import IGNORED, read, write
from tinyflow.frontend.mx.layers import DIALECT, NULL
from tinyflow.frontend.mx.lower import auxiliaries, lower, output_names
from tinyflow.ir import Graph, Op, Value
from tinyflow.ir.node import user_line
from tinyflow.passes import DTYPES, KNOWN_DTYPES, KNOWN_SHAPES, SHAPES, infer
from tinyflow.types import Device, DType, Shape, as_dtype, as_shape, is_static

__all__ = ["Group", "NameManager", "Symbol", "Variable", "apply", "function", "load", "load_json"]


_counts: ContextVar[Counter[str]] = ContextVar("tinyflow_mx_names")


@contextmanager
def NameManager() -> Iterator[None]:
    """``with mx.NameManager():`` numbers nodes without a name from 0: ``fullyconnected0``, ..."""
    token = _counts.set(Counter())
    try:
        yield
    finally:
        _counts.reset(token)


def _name(hint: str) -> str:
    counts = _counts.get(None)
    if counts is None:
        _counts.set(counts := Counter())
    counts[hint] += 1
    return f"{hint}{counts[hint] - 1}"


def _operator(word: str, sign: str = "") -> Callable[[Symbol, Symbol | float], Symbol]:
    """With a symbol (if ``sign`` says which) or a number: ``_plus0`` or ``_plusscalar0``."""

    def combine(left: Symbol, right: Symbol | float) -> Symbol:
        if isinstance(right, Symbol) and sign:
            return apply(DIALECT[sign], left, right, hint=f"_{word}")
        if not isinstance(right, int | float):
            raise GraphError(f"cannot {word}", got=repr(right), expected="a number or a symbol")
        return apply(DIALECT[f"_{word}_scalar"], left, scalar=float(right), hint=f"_{word}scalar")

    return combine


class Symbol:
    """One or several results of a network that is described, not computed.

    Numbers and symbols combine by + - * / and **; ``net[0]``, ``net["fc1_output"]`` pick a result.
    """

    __slots__ = ("values",)

    def __init__(self, *values: Value) -> None:
        self.values = values  # results of operators of the dialect

    @property
    def _graph(self) -> Graph:
        return Graph(self.values)  # in time linear in its size, so not while it grows

    def list_arguments(self) -> list[str]:
        """Names of data and parameters, in the order in which the network reads them."""
        written = auxiliaries(self._graph)
        leaves = [node for node in self._graph.nodes if node.op is NULL and node not in written]
        return [node.name or "" for node in leaves]

    def list_auxiliary_states(self) -> list[str]:
        """Names of what training changes by itself, such as moving means."""
        written = auxiliaries(self._graph)
        return [node.name or "" for node in self._graph.nodes if node in written]

    def list_outputs(self) -> list[str]:
        """Names of the results: ``fc1_output``."""
        return output_names(self._graph)

    def __getitem__(self, key: int | str) -> Symbol:
        """One result, by number or name; raises GraphError for one that does not exist."""
        found = dict([*zip(self.list_outputs(), self.values), *enumerate(self.values)])
        if key not in [*found]:  # a list has no hash
            expected = ", ".join(self.list_outputs())
            raise GraphError("no such output", got=repr(key), expected=expected)
        return Symbol(found[key])

    __add__ = __radd__ = _operator("plus", "elemwise_add")
    __sub__, __rsub__ = _operator("minus", "elemwise_sub"), _operator("rminus")
    __mul__ = __rmul__ = _operator("mul", "elemwise_mul")
    __truediv__, __rtruediv__ = _operator("div", "elemwise_div"), _operator("rdiv")
    __pow__, __rpow__ = _operator("power", "broadcast_power"), _operator("rpower")

    def __neg__(self) -> Symbol:
        return self * -1.0

    def __repr__(self) -> str:
        return f"<Symbol {', '.join(self.list_outputs())[:80]}>"

    def graph(self, training: bool = False) -> Graph:
        """The network in ops of the engine, as every pass and ``tinyflow.ir.text`` take it."""
        return Graph(lower(self._graph, training).outputs)

    def infer_shape(self, **known: Sequence[int]) -> tuple[list[Shape], list[Shape], list[Shape]]:
        """Shapes of arguments, outputs and auxiliary states, from those of some arguments.

        What cannot be known is None. Raises ShapeError on a contradiction, GraphError for a name
        that is no argument.
        """
        made = lower(self._graph, training=True)
        _check_names(known, made.leaves)
        given = {made.leaves[name]: as_shape(_sizes(shape)) for name, shape in known.items()}
        graph = infer(Graph((*made.outputs, *made.checks)).with_fact(KNOWN_SHAPES, given))
        shapes, names = graph.fact(SHAPES), (self.list_arguments(), self.list_auxiliary_states())
        arguments, states = ([shapes[made.leaves[name]] for name in group] for group in names)
        return arguments, [shapes[value] for value in made.outputs], states

    def infer_type(self, **known: Any) -> tuple[list[Any], list[Any], list[Any]]:
        """Numpy types of arguments, outputs and auxiliary states, from those of some arguments.

        ``net.infer_type(data="float64")``: all that meets the data has its dtype; what meets none
        that is known is float32. Raises DTypeError on a contradiction and for a dtype that does not
        exist, GraphError for a name that is no argument.
        """
        dtypes, outputs = self._dtypes(known)
        kinds = {name: dtype.numpy.type for name, dtype in dtypes.items()}
        groups = (self.list_arguments(), self.list_auxiliary_states())
        arguments, states = ([kinds[name] for name in group] for group in groups)
        return arguments, [dtype.numpy.type for dtype in outputs], states

    def _dtypes(self, known: Mapping[str, Any]) -> tuple[dict[str, DType], list[DType]]:
        """Of all variables by name, and of the results."""
        graph = self._graph
        leaves = {node.name or "": Value(node) for node in graph.nodes if node.op is NULL}
        given = {leaf: as_dtype(known[name]) for name, leaf in leaves.items() if name in known}
        _check_names(known, leaves)
        found = infer(graph.with_fact(KNOWN_DTYPES, given)).fact(DTYPES)
        kinds = {name: found[leaf] or DType.float32 for name, leaf in leaves.items()}
        return kinds, [found[value] or DType.float32 for value in graph.outputs]

    def simple_bind(
        self,
        ctx: Device | str = "cpu",
        grad_req: str | Mapping[str, str] = "write",
        type_dict: Mapping[str, Any] | None = None,
        **shapes: Sequence[int],
    ) -> Executor:
        """Arrays of zeros for all arguments, gradients and states, and functions to run with them.

        Args:
            ctx: ``mx.cpu()`` or ``mx.gpu(0)``, or the words of a session, such as "cpu fusion".
            grad_req: "write", "add" or "null", for all arguments or for each.
            type_dict: dtypes of some arguments, from which ``infer_type`` finds the others.
            shapes: of the data; the others are inferred.

        Raises GraphError naming the arguments whose shape cannot be inferred.
        """
        arguments, _, states = self.infer_shape(**shapes)
        learned, moving = self.list_arguments(), self.list_auxiliary_states()
        known = dict(zip([*learned, *moving], [*arguments, *states]))
        if unknown := [name for name, shape in known.items() if not is_static(shape)]:
            fix = "Give the shapes of the data."
            raise GraphError("shapes are missing", got=", ".join(unknown), fix=fix)
        wanted = dict.fromkeys(learned, grad_req) if isinstance(grad_req, str) else grad_req
        if not {*wanted} <= {*learned} or not {*wanted.values()} <= {"write", "add", "null"}:
            expected = f"'write', 'add' or 'null' for {', '.join(learned)}"
            raise GraphError("wrong grad_req", got=grad_req, expected=expected)
        dtypes, heads = self._dtypes(type_dict or {})
        types = {name: (shape, dtypes[name]) for name, shape in known.items()}
        return Executor(self._graph, str(ctx), types, heads, wanted)

    def tojson(self) -> str:
        """The network as MXNet 1.x writes it into ``model-symbol.json``."""
        return write(self._graph)

    def save(self, path: str | Path) -> None:
        """Write ``tojson()`` to a file."""
        Path(path).write_text(self.tojson(), encoding="utf-8")


def _check_names(known: Mapping[str, Any], leaves: Mapping[str, Value]) -> None:
    if strange := [name for name in known if name not in leaves]:
        expected = ", ".join(leaves)
        raise GraphError("no such argument", node=user_line(), got=strange, expected=expected)


def _sizes(shape: Sequence[int] | None) -> list[int | None] | None:
    return None if shape is None else [size or None for size in as_shape(shape) or ()]


def Variable(name: str, shape: Sequence[int] | None = None, dtype: Any = None) -> Symbol:
    """A leaf: data or a parameter. Sizes of 0 are unknown, and so is a dtype of None.

    Raises GraphError for a shape or dtype that cannot be.
    """
    return Symbol(Value(NULL.node((), {"shape": _sizes(shape), "dtype": dtype}, name=name)))


def Group(symbols: Sequence[Symbol]) -> Symbol:
    """Several symbols as one that has all their results; raises GraphError for what is none."""
    if not isinstance(symbols, Sequence) or not all(isinstance(s, Symbol) for s in symbols):
        raise GraphError("cannot group", got=repr(symbols)[:80], expected="a list of symbols")
    return Symbol(*(value for symbol in symbols for value in symbol.values))


def apply(op: Op, *inputs: Symbol, name: str | None = None, hint: str = "", **more: Any) -> Symbol:
    """A node of the dialect. Inputs that are not given become variables: ``fc1_weight``.

    Raises GraphError for an input or attribute that the operator does not have.
    """
    name = name or _name(hint or op.name.lower())
    attrs = {k: v for k, v in more.items() if not isinstance(v, Symbol) and k not in IGNORED}
    slots = op.inputs[: -1 if attrs.get("no_bias") else None]
    if op.variadic:
        attrs["num_args"], slots = len(inputs), tuple(f"arg{i}" for i in range(len(inputs)))
    given = {k: v for k, v in more.items() if isinstance(v, Symbol)}
    given |= dict(zip(slots, inputs))
    single = all(isinstance(x, Symbol) and len(x.values) == 1 for x in (*inputs, *given.values()))
    if len(inputs) > len(slots) or not {*given} <= {*slots} or not single:
        got, expected = f"{inputs}, {given}", f"symbols of one result: {', '.join(slots)}"
        raise GraphError("wrong inputs", node=f"{op.name} '{name}'", got=got, expected=expected)
    read = [(given.get(slot) or Variable(f"{name}_{slot}")).values[0] for slot in slots]
    return Symbol(op.node(read, attrs, name=name).outputs[0])


def function(op: Op) -> Callable[..., Symbol]:
    """MXNet's function for an operator: ``FullyConnected(data, num_hidden=10, name="fc1")``."""

    def call(*inputs: Symbol, name: str | None = None, **more: Any) -> Symbol:
        return apply(op, *inputs, name=name, **more)

    call.__name__ = call.__qualname__ = op.name
    call.__doc__ = f"{op.doc} Inputs: {', '.join(op.inputs)}. Options: {', '.join(op.attributes)}."
    return call


def load_json(source: str) -> Symbol:
    """Read a symbol that MXNet or ``tojson`` wrote; see ``tinyflow.frontend.mx.file``."""
    return Symbol(*read(source).outputs)


def load(path: str | Path) -> Symbol:
    """Read ``model-symbol.json``; raises GraphError if there is no such file, or it is broken."""
    try:
        source = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise GraphError("cannot read the file", node=str(path), got=str(error)) from None
    try:
        return load_json(source)
    except TinyflowError as error:
        raise error.within(f"'{path}'") from None
