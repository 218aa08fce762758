"""What mutates while a program builds graphs: names, versions, initialisers. Layer: frontend."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from tinyflow.errors import GradientError, GraphError
from tinyflow.ir import Node, Value
from tinyflow.ir.node import user_line
from tinyflow.ops import OPS
from tinyflow.types import Shape

__all__ = ["REGISTERED", "Scope", "current_scope", "reset_default_graph", "set_random_seed"]

Replace = Callable[[Value, Sequence[Value]], Value]  # a result and what it is computed from
REGISTERED: dict[str, Replace] = {}  # tf.RegisterGradient

_NAMES = {"Sum": "ReduceSum", "Mean": "ReduceMean", "Max": "ReduceMax", "Min": "ReduceMin"}
_NAMES |= {"Prod": "ReduceProd", "MatMul": "Matmul", "BatchMatMul": "BatchMatmul", "RealDiv": "Div"}
_LAYERS = {"assign", "batch_norm", "conv2d", "split"}  # tf wraps more ops around these
_NAMES |= {"AddV2": "Add", "ConcatV2": "Concat", "GatherV2": "Gather", "Select": "Where"}


@dataclass(slots=True)
class Scope:
    """Names that are taken, writes counted per variable, and how variables get their first value.

    This is what TensorFlow 1 calls a graph: ``tf.Graph().as_default()`` enters a fresh one.
    """

    taken: dict[str, int] = field(default_factory=dict)
    versions: dict[Node, int] = field(default_factory=dict)  # all variables, in creation order
    initialisers: list[Value] = field(default_factory=list)
    untrained: set[Node] = field(default_factory=set)  # optimiser slots, counters
    updates: dict[Node, list[Value]] = field(default_factory=dict)  # run by a step through the node
    shapes: dict[Value, Shape] = field(default_factory=dict)  # of nodes that were asked for theirs
    layouts: dict[Value, set[str]] = field(default_factory=dict)  # of images, as layers read them
    channels: dict[str, dict[Value, frozenset[int]]] = field(default_factory=dict)  # as looked up
    random_nodes: int = 0
    seed: int = 0  # of sessions that are given none
    prefix: str = ""  # of names: tf.name_scope, tf.variable_scope
    variable_prefix: str = ""  # of names that tf.get_variable makes: tf.variable_scope
    reuse: bool | str = False  # tf.get_variable finds variables, instead of making them
    overrides: Mapping[str, Replace] = field(default_factory=dict)  # gradients by kind of op
    waits: tuple[Node, ...] = ()  # what new nodes run after: tf.control_dependencies

    def unique_name(self, wanted: str) -> str:
        """``wanted`` under the prefix, once; with ``_1``, ``_2``, ... behind it if it is taken."""
        if not isinstance(wanted, str):
            raise GraphError("wrong name", node=user_line(), got=repr(wanted), expected="text")
        if self.prefix and not wanted.startswith(f"{self.prefix}/"):
            wanted = f"{self.prefix}/{wanted}"
        count = self.taken.get(wanted, 0)
        self.taken[wanted] = count + 1
        return self.unique_name(f"{wanted}_{count}") if count else wanted

    @contextmanager
    def changed(self, **fields: object) -> Iterator[Scope]:
        """Some fields set to other values inside a ``with`` block."""
        before = {name: getattr(self, name) for name in fields}
        try:
            for name, value in fields.items():
                setattr(self, name, value)
            yield self
        finally:
            for name, value in before.items():
                setattr(self, name, value)

    @contextmanager
    def gradient_override_map(self, op_type_map: Mapping[str, str]) -> Iterator[None]:
        """Give what is made inside other gradients: ``{"Relu": "GuidedRelu"}``.

        From TensorFlow's type of an operation to a name given to ``tf.RegisterGradient``. Raises
        GradientError for a type or a name that is not known.
        """
        chosen = dict(self.overrides)
        pairs = op_type_map.items() if isinstance(op_type_map, Mapping) else [(op_type_map, "?")]
        for kind, name in [(str(kind), str(name)) for kind, name in pairs]:
            words = re.sub("(?<=[a-z])(?=[A-Z])", "_", _NAMES.get(kind, kind)).lower()
            if name not in REGISTERED or words not in {*OPS, "square"} - _LAYERS:
                got, known = f"{kind}: {name}", ", ".join(REGISTERED) or "none"
                expected = f"a dict, of a type such as Relu or Square to a gradient of {known}"
                fix = "Register the gradient first; for layers of several ops: tf.custom_gradient."
                raise GradientError("cannot override", got=got, expected=expected, fix=fix)
            chosen[words] = REGISTERED[name]
        with self.changed(overrides=chosen):
            yield

    def replaced(self, kind: str, made: Value, inputs: Sequence[Value]) -> Value:
        """``made``, or with another gradient if the enclosing block overrides it."""
        return self.overrides[kind](made, inputs) if kind in self.overrides else made

    def variables(self) -> dict[str, Node]:
        """All variables by name, in the order they were made."""
        return {node.name or "": node for node in self.versions}

    def next_seed(self) -> int:
        """A seed of its own for each random node, in creation order."""
        self.random_nodes += 1
        return self.random_nodes

    def wrote(self, variable: Node) -> None:
        """Count a write: later reads of the variable follow it."""
        self.versions[variable] = self.versions.get(variable, 0) + 1

    @contextmanager
    def as_default(self) -> Iterator[Scope]:
        """Build into this scope inside a ``with`` block."""
        token = _current.set(self)
        try:
            yield self
        finally:
            _current.reset(token)


_default = Scope()
_current: ContextVar[Scope | None] = ContextVar("tinyflow_scope", default=None)


def current_scope() -> Scope:
    """The scope that operations build into now."""
    return _current.get() or _default


def set_random_seed(seed: int) -> None:
    """The seed, an integer, of sessions made from here on that are given none."""
    current_scope().seed = seed


def reset_default_graph() -> None:
    """Forget names, variables and initialisers of the default scope; sessions stay as they are."""
    global _default
    _default = Scope()
