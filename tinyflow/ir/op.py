"""Op: what kind of computation a node is. Layer: ir.

An op is one frozen row. What depends on a backend (kernels) or on mathematics (adjoints) stands in
tables beside the rows, so that a package outside adds an op by the same calls as this one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from tinyflow.errors import GraphError, TinyflowError
from tinyflow.ir.node import NO_ATTRS, PLACED_ON, Node, Value, user_line
from tinyflow.types import Device, DType, Shape, as_dtype, as_shape

__all__ = [
    "CONSTANT", "REQUIRED", "Attribute", "DTypeRule", "Op", "Operand", "ShapeRule", "as_value",
    "attrs_key",
]  # fmt: skip

Shapes = Sequence[Shape]
DTypes = Sequence[DType | None]
ShapeRule = Callable[[Mapping[str, Any], Shapes, Shapes], tuple[Shapes, Shapes]]
DTypeRule = Callable[[Mapping[str, Any], DTypes, DTypes], tuple[DTypes, DTypes]]
Operand = Value | float | int | bool | np.ndarray | np.generic  # what an op accepts as an input
Pairs = tuple[tuple[int, int], ...]
REQUIRED: Any = type("Required", (), {"__repr__": lambda self: "required"})()


@dataclass(frozen=True, slots=True)
class Attribute:
    """Schema of one attribute: its kind, default and meaning.

    Kinds: ``int float bool str dtype`` (each may be None if the default is None), ``ints`` (a tuple
    of ints), ``shape`` (see types.Shape), ``array`` (a numpy array), ``graph`` (a Graph).
    """

    kind: str
    default: Any = REQUIRED
    doc: str = ""

    def check(self, value: object) -> Any:
        """Return ``value`` normalised; raises GraphError with got and expected."""
        if type(value) is _PLAIN.get(self.kind) or (value is None and self.default is None):
            return value
        try:
            return _NORMALISE[self.kind](value)
        except (TypeError, ValueError, OverflowError, TinyflowError):
            got, expected = repr(value)[:80], f"a value of kind {self.kind}"
            raise GraphError("wrong attribute value", got=got, expected=expected) from None


def _exact(kind: type) -> Callable[[object], object]:
    def normalise(value: object) -> object:
        item = value.item() if isinstance(value, np.generic) else value
        if type(item) is not kind:
            raise TypeError(kind)
        return item

    return normalise


def _float(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise TypeError(float)
    return float(value)


def _ints(value: object) -> tuple[int, ...]:
    items = [value] if isinstance(value, int | np.integer) else list(value)  # type: ignore[call-overload]
    return tuple([int(_whole(item)) for item in items])  # type: ignore[call-overload]


_whole = _exact(int)


def _array(value: object) -> np.ndarray[Any, Any]:
    if isinstance(value, np.ndarray) and value.base is None and not value.flags.writeable:
        return value  # made here before
    array = np.array(value)  # a copy: attributes never change
    as_dtype(array.dtype)
    array.flags.writeable = False
    return array


_PLAIN = {"int": int, "float": float, "bool": bool, "str": str, "dtype": DType}  # as it should be
_NORMALISE: dict[str, Callable[[Any], Any]] = {
    "int": _whole,
    "float": _float,
    "bool": _exact(bool),
    "str": _exact(str),
    "dtype": as_dtype,
    "ints": _ints,
    "shape": as_shape,
    "array": _array,
    "graph": lambda value: value,
}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Op:
    """One kind of computation. Calling it makes a node: ``ops.mul(a, b) -> Value``.

    - ``inputs``: input names; ``optional`` of the last may be missing; ``variadic``: the last
      repeats (also zero times). ``outputs``: output names, or a function of the attributes.
    - ``shape``, ``dtype``: pure rules ``(attrs, inputs, outputs) -> (inputs, outputs)`` that return
      what is known about both after looking at both; they raise ShapeError or DTypeError.
    - ``inplace``: (input, output) pairs that may share storage when the input dies here, or a
      function of the attributes.
    - ``aliases``: (input, output) pairs where the output *is* the input's storage (a view).
    - ``shape_only``: inputs of which only shape and dtype are read. ``mutates``: inputs written.
    - ``can_fail``: the kernel may reject the *contents* of its inputs (labels out of range).
    - ``leaf``: has no inputs and stands for itself (placeholder, variable, constant).
    - ``expr``: the output of an elementwise op as a scalar expression of its input names.
    """

    name: str
    inputs: tuple[str, ...]
    shape: ShapeRule
    dtype: DTypeRule
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    outputs: tuple[str, ...] | Callable[[Mapping[str, Any]], tuple[str, ...]] = ("y",)
    optional: int = 0
    variadic: bool = False
    inplace: Pairs | Callable[[Mapping[str, Any]], Pairs] = ()
    aliases: tuple[tuple[int, int], ...] = ()
    shape_only: frozenset[int] = frozenset()
    mutates: frozenset[int] = frozenset()
    can_fail: bool = False
    leaf: bool = False
    random: bool = False
    expr: str | None = None
    doc: str = ""

    def __call__(
        self, *inputs: Operand, name: str | None = None, after: Sequence[Node] = (), **attrs: Any
    ) -> Any:
        """Make a node and return its result (a tuple of results for ops with several).

        Python numbers and numpy arrays become constants. Raises GraphError, naming the user's
        source line, if the number of inputs or an attribute is wrong.
        """
        outputs = self.node([as_value(x) for x in inputs], attrs, name=name, after=after).outputs
        return outputs[0] if len(outputs) == 1 else outputs

    def node(
        self,
        inputs: Sequence[Value],
        attrs: Mapping[str, Any],
        *,
        name: str | None = None,
        after: Sequence[Node] = (),
        device: Device | None = None,
        source: str | None = None,
    ) -> Node:
        """Make the node itself, checking arity and attributes (see ``__call__``).

        By default its device is that of the block of the front end in which it is made.
        """
        source = source or user_line()
        try:
            self.check_arity(len(inputs))
            checked = self.check_attrs(attrs)
        except GraphError as error:
            plain = replace(self, outputs=("y",))  # which needs no attributes to count them
            raise error.at(Node(plain, name=name, source=source)) from None
        device = device or PLACED_ON.get()
        return Node(self, tuple(inputs), checked, name, tuple(after), device, source)

    def output_count(self, attrs: Mapping[str, Any]) -> int:
        """Number of outputs under these attributes."""
        return len(self.outputs(attrs)) if callable(self.outputs) else len(self.outputs)

    def inplace_pairs(self, attrs: Mapping[str, Any]) -> Pairs:
        """The (input, output) pairs that may share storage under these attributes."""
        return self.inplace(attrs) if callable(self.inplace) else self.inplace

    def check_arity(self, count: int) -> None:
        """Raise GraphError if the op does not take ``count`` inputs."""
        if count == len(self.inputs):
            return
        most = math.inf if self.variadic else len(self.inputs)
        least = len(self.inputs) - self.optional - self.variadic
        if not least <= count <= most:
            names = ", ".join(self.inputs) + (", ..." if self.variadic else "")
            bounds = str(least) if least == most else f"{least} to {most}"
            raise GraphError("wrong number of inputs", got=count, expected=f"{bounds} ({names})")

    def attribute(self, key: str) -> Attribute:
        """The schema of one attribute; raises GraphError if there is none of that name."""
        if key not in self.attributes:
            known = ", ".join(self.attributes) or "none"
            raise GraphError("unknown attribute", got=repr(key)[:80], expected=known)
        return self.attributes[key]

    def check_attrs(self, attrs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return all attributes, checked and with defaults; raises GraphError."""
        if not self.attributes and not attrs:
            return NO_ATTRS
        for key in attrs:
            if key not in self.attributes:
                self.attribute(key)  # which says what is wrong
        checked = {}
        for key, attribute in self.attributes.items():
            value = attrs.get(key, attribute.default)
            if value is REQUIRED:
                raise GraphError(f"attribute '{key}' is missing", expected=attribute.kind)
            try:
                checked[key] = attribute.check(value)
            except GraphError as error:
                raise error.within(f"attribute '{key}'") from None
        return MappingProxyType(checked)

    def __repr__(self) -> str:
        return f"<op {self.name}>"


def attrs_key(attrs: Mapping[str, Any]) -> tuple[Hashable, ...]:
    """Attributes as they are compared: large arrays by identity, for reading them takes long."""
    return tuple([_key(value) for value in attrs.values()]) if attrs else ()


def _key(value: Any) -> Hashable:
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes() if value.size <= 64 else id(value)
    return repr(value) if isinstance(value, float) else value  # 0.0 and -0.0 are not the same


def _constant_shape(attrs: Mapping[str, Any], ins: Shapes, outs: Shapes) -> tuple[Shapes, Shapes]:
    return ins, (attrs["value"].shape,)


def _constant_dtype(attrs: Mapping[str, Any], ins: DTypes, outs: DTypes) -> tuple[DTypes, DTypes]:
    return ins, (attrs["dtype"] or outs[0],)


CONSTANT = Op(
    "constant",
    inputs=(),
    attributes={
        "value": Attribute("array", doc="the number or array"),
        "dtype": Attribute("dtype", None, "None: a Python number, takes the dtype that it meets"),
    },
    shape=_constant_shape,
    dtype=_constant_dtype,
    leaf=True,
    doc="A fixed array. A Python number has no dtype of its own: ``x * 2`` keeps the dtype of x.",
)


def as_value(operand: Operand) -> Value:
    """A Value as it is; a Python number as a weak constant; a numpy array as a typed constant.

    Raises GraphError for anything else.
    """
    if isinstance(operand, Value):
        return operand
    if isinstance(operand, bool | int | float):
        attrs: dict[str, Any] = {"value": operand}
    elif isinstance(operand, np.ndarray | np.generic):
        attrs = {"value": operand, "dtype": as_dtype(operand.dtype)}
    else:
        what, got = "not something an op can take as an input", type(operand).__name__
        expected = "a value of the graph, a number or a numpy array"
        raise GraphError(what, node=user_line(), got=got, expected=expected)
    return Value(CONSTANT.node((), attrs))
