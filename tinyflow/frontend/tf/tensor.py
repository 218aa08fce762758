"""Tensor and Variable: what a user holds. Layer: frontend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyflow import ops
from tinyflow.errors import DTypeError, GraphError, RunError, ShapeError
from tinyflow.frontend.tf.index import indexed
from tinyflow.frontend.tf.known import TensorShape, forward_shape, known
from tinyflow.frontend.tf.scope import current_scope
from tinyflow.frontend.tf.whole import floor_quotient, floor_rest
from tinyflow.ir import CONSTANT, Node, Op, Value, as_value
from tinyflow.types import DType, Shape, as_dtype, as_shape, default_dtype, show_shape, unify_shape

__all__ = ["Like", "Tensor", "Variable", "apply"]
__all__ += ["product_of", "unwrap", "wrap"]


_Operator = Callable[["Tensor", "Like"], "Tensor"]


def _operators(op: Op) -> tuple[_Operator, _Operator]:
    """Methods for tensor + other and for other + tensor."""
    return lambda x, y: apply(op, x, y), lambda x, y: apply(op, y, x)


def _whole_operators(rule: Callable[[Value, Value, DType], Value]) -> tuple[_Operator, _Operator]:
    """Methods for tensor // other and for other // tensor."""

    def method(x: Like, y: Like) -> Tensor:
        pair = unwrap(x), unwrap(y)
        return Tensor(rule(*pair, known(ops.add(*pair))[1] or DType.float32))

    return method, lambda x, y: method(y, x)


def _logical_operator(op: Op) -> _Operator:
    """The method for tensor & other, of bools."""
    return lambda x, y: apply(op, _truth(x), _truth(y))


def _truth(x: Like) -> Tensor:
    tensor = wrap(unwrap(x))
    if tensor.dtype not in (None, DType.bool):
        fix = "Compare it with something, or tf.cast it to tf.bool."
        raise DTypeError("& | ~ are for bools", node=tensor.value.node, got=tensor.dtype, fix=fix)
    return tensor


class Tensor:
    """A value of the graph, with operators. Compared by identity, so it can be a feed key.

    ``name``, ``shape`` and ``dtype`` tell what is known without feeds (None where unknown).
    """

    __slots__ = ("_value",)

    def __init__(self, value: Value) -> None:
        self._value = value

    @property
    def value(self) -> Value:
        """The value of the intermediate representation, as read from here on."""
        return self._value

    @property
    def name(self) -> str:
        """Name of the node, or of its op if it has none."""
        return self._value.node.name or self._value.node.op.name

    @property
    def shape(self) -> TensorShape | None:
        """Inferred shape; unknown sizes are None."""
        shape = known(self.value)[0]
        return None if shape is None else TensorShape(shape)

    def get_shape(self) -> TensorShape:
        """The shape, with ``.as_list()``; raises ShapeError if not even the rank is known."""
        shape = self.shape
        if shape is None:
            raise ShapeError("the rank is not known", node=self._value.node, fix="Use tf.reshape.")
        return shape

    @property
    def dtype(self) -> DType | None:
        """Inferred dtype."""
        return known(self.value)[1]

    @property
    def op(self) -> Operation:
        """The operation that computes this tensor; fetched, it gives None."""
        node = self._value.node
        outputs = tuple(wrap(value) for value in node.outputs) or (self,)
        return Operation(self.name, node.op.name, tuple(map(wrap, node.inputs)), outputs)

    def set_shape(self, shape: object) -> None:
        """Say what the shape is; raises ShapeError if it is known to be another one.

        What follows from here on knows it. Raises GraphError where this cannot be done: for a
        placeholder, which has the shape it is made with, and for more than one unknown size.
        """
        before = self.shape
        sizes = unify_shape(before, as_shape(shape))
        if sizes == before:
            return
        if sizes is None or sizes.count(None) > 1 or self._value.node.is_leaf:
            fix = "Give tf.placeholder the shape."
            raise GraphError("cannot set this shape", node=self._value.node, got=shape, fix=fix)
        self._value = ops.reshape(self.value, shape=[-1 if n is None else n for n in sizes])

    def eval(self, feed_dict: dict[Tensor, Any] | None = None, session: Any = None) -> Any:
        """Run this tensor in ``session``, or in the session of the enclosing ``with`` block.

        The session may come first, as TensorFlow's variables have it: ``W.eval(sess)``.
        """
        if feed_dict is not None and not isinstance(feed_dict, dict):
            feed_dict, session = session, feed_dict
        if session is None and not ACTIVE:
            raise RunError("no session", fix="Use 'with tf.Session():' or eval(session=...).")
        return (session or ACTIVE[-1]).run(self, feed_dict)

    run = eval  # TensorFlow's name for it when nothing is fetched: train_step.run()

    def __repr__(self) -> str:
        return f"<tf.{type(self).__name__} '{self.name}' {self.dtype} {show_shape(self.shape)}>"

    def __bool__(self) -> bool:
        what, fix = "a tensor has no truth value in a graph", "Run it in a session first."
        raise GraphError(what, node=self._value.node, fix=fix)

    def __iter__(self) -> Any:
        raise GraphError("a tensor cannot be iterated", node=self._value.node, fix="Run it first.")

    __add__, __radd__ = _operators(ops.add)
    __sub__, __rsub__ = _operators(ops.sub)
    __mul__, __rmul__ = _operators(ops.mul)
    __truediv__, __rtruediv__ = _operators(ops.div)
    __pow__, __rpow__ = _operators(ops.pow)
    __floordiv__, __rfloordiv__ = _whole_operators(floor_quotient)
    __mod__, __rmod__ = _whole_operators(floor_rest)
    __and__ = __rand__ = _logical_operator(ops.minimum)
    __or__ = __ror__ = _logical_operator(ops.maximum)
    __xor__ = __rxor__ = _logical_operator(ops.not_equal)
    __lt__, __gt__ = _operators(ops.less)[0], _operators(ops.greater)[0]
    __le__, __ge__ = _operators(ops.less_equal)[0], _operators(ops.greater_equal)[0]

    def __matmul__(self, other: Like) -> Tensor:
        return apply(product_of(self, other), self, other)

    def __neg__(self) -> Tensor:
        return apply(ops.neg, self)

    def __invert__(self) -> Tensor:
        return apply(ops.equal, _truth(self), False)

    def __abs__(self) -> Tensor:
        return apply(ops.abs, self)

    def __getitem__(self, key: object) -> Tensor:
        return Tensor(indexed(self.value, key))

    __array_priority__ = 100  # numpy_array * tensor calls the tensor's operator
    __array_ufunc__ = None


@dataclass(frozen=True, slots=True)
class Operation:
    """What computed a tensor: ``tensor.op``, and what a registered gradient is told of."""

    name: str
    type: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    def run(self, feed_dict: dict[Tensor, Any] | None = None, session: Any = None) -> None:
        """Run it as :meth:`Tensor.eval` does, for what it writes."""
        self.outputs[0].eval(feed_dict, session)


Like = Tensor | float | int | bool | np.ndarray | np.generic | Sequence[Any]
ACTIVE: list[Any] = []  # sessions of the enclosing `with` blocks


class Variable(Tensor):
    """State that sessions keep under its name; ``initial_value`` computes its first content.

    Args:
        initial_value: a tensor, number or array, or a function of nothing that gives one; run by
            ``tf.initialize_all_variables()``. TinyFlow called it ``init``.
        second: the second positional argument: TinyFlow's is the name, TensorFlow's ``trainable``.
        trainable: whether ``minimize`` updates it.
        name: unique name; a suffix is added if it is taken.
        dtype: of the content; that of ``initial_value`` unless given.

    Reading it means: its content after all ``tf.assign`` calls made so far in the program text.
    """

    __slots__ = ()

    def __init__(
        self,
        initial_value: Like,
        second: bool | str | None = None,
        trainable: bool | None = True,
        name: str | None = None,
        dtype: DType | str | None = None,
    ) -> None:
        if isinstance(second, str):
            name = second
        elif second is not None:
            trainable = second
        initial_value = initial_value() if callable(initial_value) else initial_value
        first = unwrap(initial_value)
        shape, drawn = known(first)
        if drawn is None and first.node.op is CONSTANT:
            drawn = default_dtype(first.node.attrs["value"])  # of a Python number, as TensorFlow's
        chosen = as_dtype(dtype) if dtype else drawn or DType.float32
        learned = trainable is not False
        super().__init__(_new_variable(name or "variable", shape, chosen, learned))
        scope = current_scope()
        scope.initialisers.append(ops.assign(self._value, first))
        scope.wrote(self._value.node)

    @classmethod
    def implicit(cls, name: str, shape: object, dtype: object = DType.float32) -> Variable:
        """A variable without first content, as layers create them; its shape may have holes."""
        made = cls.__new__(cls)
        Tensor.__init__(made, _new_variable(name, as_shape(shape), as_dtype(dtype), True))
        return made

    def read_value(self) -> Tensor:
        """A tensor of its content."""
        return apply(ops.identity, self)

    def initialized_value(self) -> Tensor:
        """The first content, to compute that of other variables from."""
        return wrap(self.initializer.value.node.inputs[1])

    @classmethod
    def of(cls, node: Node) -> Variable:
        """The variable that a node stands for."""
        made = cls.__new__(cls)
        Tensor.__init__(made, Value(node))
        return made

    @property
    def value(self) -> Value:
        """A read that follows all writes made so far."""
        node = self._value.node
        return Value(node, 0, current_scope().versions.get(node, 0))

    def assign(self, value: Like, name: str | None = None) -> Tensor:
        """Same as ``tf.assign(self, value)``."""
        scope = current_scope()
        name = scope.unique_name(name) if name else None
        written = Tensor(ops.assign(self.value, unwrap(value), name=name, after=scope.waits))
        scope.wrote(self._value.node)
        return written

    def assign_add(self, value: Like, name: str | None = None) -> Tensor:
        """Same as ``tf.assign_add(self, value)``."""
        return self.assign(self + value, name=name)

    def assign_sub(self, value: Like, name: str | None = None) -> Tensor:
        """Same as ``tf.assign_sub(self, value)``."""
        return self.assign(self - value, name=name)

    @property
    def initializer(self) -> Tensor:
        """The write of the first content; raises GraphError for a variable that has none."""
        node = self._value.node
        for write in current_scope().initialisers:
            if write.node.inputs[0].node is node:
                return Tensor(write)
        raise GraphError("this variable has no initialiser", node=node, fix="Use tf.assign.")


def _new_variable(name: str, shape: Shape, dtype: DType, trainable: bool) -> Value:
    scope = current_scope()
    value: Value = ops.variable(dtype=dtype, shape=shape, name=scope.unique_name(name))
    scope.versions[value.node] = 0
    if not trainable:
        scope.untrained.add(value.node)
    return value


def product_of(a: Like, b: Like) -> Op:
    """batch_matmul if a factor is known to have more than two axes, else matmul."""
    ranks = (len(forward_shape(unwrap(factor)) or ()) for factor in (a, b))
    return ops.batch_matmul if max(ranks) > 2 else ops.matmul


def unwrap(like: Like | Value) -> Value:
    """The value behind a tensor; numbers, lists and arrays become constants."""
    if isinstance(like, Tensor):
        return like.value
    if isinstance(like, Value | float | int | np.ndarray | np.generic):
        return as_value(like)
    return ops.constant(like)


def wrap(value: Value) -> Tensor:
    """A tensor for a value."""
    return Variable.of(value.node) if value.node.op.name == "variable" else Tensor(value)


def apply(op: Op, *inputs: Like, name: str | None = None, **attrs: Any) -> Tensor:
    """Apply an op with one output to tensors, numbers and arrays."""
    scope = current_scope()
    if name is not None:
        name = scope.unique_name(name)
    made = op(*map(unwrap, inputs), name=name, after=scope.waits, **attrs)
    return Tensor(scope.replaced(op.name, made, made.node.inputs))
