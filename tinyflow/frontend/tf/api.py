"""The functions under ``tf.``: TensorFlow 1 names, as TinyFlow had them. Layer: frontend."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from tinyflow import ops
from tinyflow.adjoints import ADJOINTS, PlacedRules
from tinyflow.errors import DTypeError, GraphError, ShapeError
from tinyflow.frontend.tf.maths import add, identity, negative, subtract
from tinyflow.frontend.tf.scope import current_scope
from tinyflow.frontend.tf.tensor import Like, Tensor, Variable, apply, product_of, unwrap, wrap
from tinyflow.ir import Graph, Node, Value
from tinyflow.passes import KNOWN_SHAPES, SHAPES, infer
from tinyflow.passes.gradient import gradient as reference_gradient
from tinyflow.types import DType, Shape, as_dtype, as_shape, elements, show_shape

__all__ = [
    "add_n", "arg_max", "arg_min", "argmax", "argmin", "assign", "assign_add", "assign_sub",
    "broadcast_to", "cast", "constant", "convert_to_tensor", "fill", "global_variables",
    "global_variables_initializer", "gradients", "group", "infer_variable_shapes",
    "initialize_all_variables", "matmul",
    "no_op", "ones", "placeholder", "reshape", "shape", "square",
    "trainable_variables", "transpose", "variables_initializer", "zeros",
]  # fmt: skip

_OLD_NAMES = {"float": DType.float32, "double": DType.float64, "int": DType.int32}
GradientPass = Callable[[Graph, Sequence[Value], Sequence[Value] | None], Graph]


def placeholder(dtype: DType | str, shape: object = None, name: str | None = None) -> Tensor:
    """An input of this dtype that each run feeds.

    ``shape`` may be left out, or hold None for sizes that a feed decides. Raises DTypeError for an
    unknown dtype, ShapeError for a negative size; a run that does not feed it raises FeedError.
    """
    dtype = _OLD_NAMES.get(dtype, dtype) if isinstance(dtype, str) else dtype
    name = current_scope().unique_name(name or "placeholder")
    return Tensor(ops.placeholder(dtype=as_dtype(dtype), shape=as_shape(shape), name=name))


def constant(
    value: Like, dtype: DType | str | None = None, shape: object = None, name: str | None = None
) -> Tensor:
    """A fixed array; a plain number without ``dtype`` and ``shape`` takes the dtype that it meets.

    Under a ``shape``, the elements fill it row by row and the last one is repeated to its end.
    Raises DTypeError for contents without dtype, ShapeError for more elements than fit.
    """
    made = ops.constant(value.value if isinstance(value, Tensor) else value, dtype)
    if shape is None:
        return Tensor(made)
    sizes: Any = as_shape(shape)
    given, count = np.ravel(made.node.attrs.get("value", ())), elements(sizes)
    if not 1 <= given.size <= count:
        got, expected = f"{given.size} elements", f"1 to {count} for shape {show_shape(sizes)}"
        raise ShapeError("the content does not fit", got=got, expected=expected)
    filled = np.append(given, np.full(count - given.size, given[-1])).reshape(sizes)
    return Tensor(ops.constant(filled.tolist(), made.node.attrs["dtype"]))


def shape(input: Like, name: str | None = None, out_type: DType | str = DType.int32) -> Tensor:
    """The sizes of ``input`` as a vector (rank,) of dtype ``out_type``, int32 or int64.

    Sizes that only a run knows are computed in the run. Raises ShapeError if not even the rank is
    known, DTypeError for another dtype.
    """
    x, dtype = wrap(unwrap(input)), as_dtype(out_type)
    if dtype not in (DType.int32, DType.int64):
        raise DTypeError("sizes are whole numbers", got=dtype, expected="int32 or int64")
    sizes = x.get_shape()
    if None not in sizes:
        return constant(np.array(sizes, dtype.numpy))
    wide = ops.cast(x.value, dtype=DType.float64)  # in which every size is exact
    counts = [ops.size(wide, reduction_indices=(axis,)) for axis in range(len(sizes))]
    each = [ops.reshape(ops.cast(count, dtype=dtype), shape=(1,)) for count in counts]
    return apply(ops.concat, *map(Tensor, each), axis=0, name=name)


def zeros(shape: object, dtype: DType | str = DType.float32, name: str | None = None) -> Tensor:
    """Zeros of a known ``shape``; raises GraphError for an unknown size, DTypeError for a dtype."""
    return apply(ops.zeros, shape=shape, dtype=as_dtype(dtype), name=name)


def ones(shape: object, dtype: DType | str = DType.float32, name: str | None = None) -> Tensor:
    """Ones of a known ``shape``; raises GraphError for an unknown size, DTypeError for a dtype."""
    return apply(ops.ones, shape=shape, dtype=as_dtype(dtype), name=name)


def fill(dims: object, value: Like, name: str | None = None) -> Tensor:
    """``value`` everywhere in a known shape; raises GraphError for an unknown size."""
    return broadcast_to(value, dims, name)


def convert_to_tensor(value: Like, dtype: DType | str | None = None, name: Any = None) -> Tensor:
    """A tensor as it is, and what can be one as a constant; raises DTypeError for another dtype."""
    made = value if isinstance(value, Tensor) else constant(value, dtype)
    if dtype is not None and made.dtype is not as_dtype(dtype):
        raise DTypeError("a tensor has its dtype", got=made.dtype, expected=dtype, fix="Cast it.")
    return made


def square(x: Like, name: str | None = None) -> Tensor:
    """x * x, of any shape; integers stay integers."""
    value, scope = unwrap(x), current_scope()
    name = scope.unique_name(name) if name else None
    made = ops.mul(value, value, name=name, after=scope.waits)
    return Tensor(scope.replaced("square", made, (value,)))


def cast(x: Like, dtype: DType | str, name: str | None = None) -> Tensor:
    """x, of any shape, as another dtype: fractions are cut towards 0; to bool, True where not 0.

    Raises DTypeError for a dtype that does not exist.
    """
    dtype = _OLD_NAMES.get(dtype, dtype) if isinstance(dtype, str) else dtype
    return apply(ops.cast, x, dtype=as_dtype(dtype), name=name)


def matmul(
    a: Like, b: Like, transpose_a: bool = False, transpose_b: bool = False, name: str | None = None
) -> Tensor:
    """Matrix product (n, k) x (k, m) -> (n, m), of transposed operands if asked.

    Factors of higher rank are rows of matrices: (..., n, k) x (..., k, m) -> (..., n, m). Their
    rank must be known here; ``tf.batch_matmul`` is for those that are not. Dtypes promote; a run
    raises ShapeError if inner or leading sizes differ.
    """
    op = product_of(a, b)
    return apply(op, a, b, transpose_a=transpose_a, transpose_b=transpose_b, name=name)


def argmax(input: Like, axis: Any = None, name: Any = None, output_type: Any = "int64") -> Tensor:
    """Position of the largest element along ``axis``, the first of equals; the first axis if None.

    An int64 or ``output_type``, in the shape of x without the axis. A run raises ShapeError for an
    axis that x lacks or that has no elements.
    """
    wide = as_dtype(output_type) is DType.int64
    found = apply(ops.argmax, input, axis=0 if axis is None else axis, name=name if wide else None)
    return found if wide else cast(found, output_type, name)


def argmin(input: Like, axis: Any = None, name: Any = None, output_type: Any = "int64") -> Tensor:
    """Position of the smallest element along ``axis``, as :func:`argmax` of -x."""
    return argmax(negative(input), axis, name, output_type)


arg_max, arg_min = argmax, argmin


def reshape(tensor: Like, shape: object, name: str | None = None) -> Tensor:
    """The same elements, row by row, under another shape; one size may be -1, to be inferred.

    Raises GraphError for more than one -1; a run raises ShapeError if the elements do not fit.
    """
    return apply(ops.reshape, tensor, shape=shape, name=name)


def transpose(a: Like, perm: Sequence[int] | None = None, name: str | None = None) -> Tensor:
    """Axes in another order, as ``perm`` lists them; reversed if it is None.

    A run raises ShapeError for a ``perm`` that is no order of all axes.
    """
    return apply(ops.transpose, a, perm=perm, name=name)


def broadcast_to(input: Like, shape: object, name: str | None = None) -> Tensor:
    """``input`` repeated to a known ``shape`` along axes that it lacks or has with size 1.

    Raises GraphError for an unknown size; a run raises ShapeError if x does not stretch to it.
    """
    return apply(ops.broadcast_to, input, shape=shape, name=name)


def assign(ref: Tensor, value: Like, name: str | None = None) -> Tensor:
    """Write ``value``, of the variable's shape, when run; the result is the new content.

    It is cast to the variable's dtype. Raises GraphError for what is no variable; a run raises
    ShapeError for another shape, DTypeError for floats into integers.
    """
    if not isinstance(ref, Variable):
        got, expected = repr(ref)[:80], "a tf.Variable"
        raise GraphError("only a variable can be assigned", got=got, expected=expected)
    return ref.assign(value, name=name)


def assign_add(ref: Tensor, value: Like, name: str | None = None) -> Tensor:
    """Write variable + value when run, as :func:`assign`; the result is the new content."""
    return assign(ref, add(ref, value), name=name)


def assign_sub(ref: Tensor, value: Like, name: str | None = None) -> Tensor:
    """Write variable - value when run, as :func:`assign`; the result is the new content."""
    return assign(ref, subtract(ref, value), name=name)


def add_n(inputs: Sequence[Like], name: str | None = None) -> Tensor:
    """The sum of tensors of one shape, dtypes promoting; raises GraphError if there is none."""
    if not inputs:
        raise GraphError("nothing to add", got="no inputs", expected="at least one tensor")
    total = wrap(unwrap(inputs[0]))
    for other in inputs[1:-1]:
        total = total + other
    return add(total, inputs[-1], name) if len(inputs) > 1 else identity(total, name)


def group(*inputs: Tensor, name: str | None = None) -> Tensor:
    """Run all inputs; fetches None."""
    nodes = [unwrap(tensor).node for tensor in inputs]
    return Tensor(ops.group(after=(*nodes, *current_scope().waits), name=name))


def no_op(name: str | None = None) -> Tensor:
    """Do nothing but what the enclosing ``tf.control_dependencies`` asks for; fetches None."""
    return group(name=name)


def initialize_all_variables() -> Tensor:
    """Run the initialisers of all variables made so far."""
    after = [value.node for value in current_scope().initialisers]
    return Tensor(ops.group(after=after, name="init"))


global_variables_initializer = initialize_all_variables


def variables_initializer(var_list: Sequence[Variable], name: str = "init") -> Tensor:
    """Run the initialisers of these variables; raises GraphError if one has none."""
    return Tensor(ops.group(after=[v.initializer.value.node for v in var_list], name=name))


def global_variables() -> list[Variable]:
    """All variables, optimizer slots too, in the order they were made."""
    return [Variable.of(node) for node in current_scope().versions]


def trainable_variables() -> list[Variable]:
    """The variables that ``minimize`` updates, in the order they were made."""
    scope = current_scope()
    return [Variable.of(node) for node in scope.versions if node not in scope.untrained]


def gradients(
    ys: Tensor | Sequence[Tensor],
    xs: Tensor | Sequence[Tensor],
    grad_ys: Tensor | Sequence[Tensor] | None = None,
    *,
    gradient: GradientPass = reference_gradient,
) -> list[Tensor]:
    """Gradients of the sum of ``ys`` with respect to each x, as tensors shaped like the xs.

    Each step backwards is placed where the step forwards is, if that has a device. ``gradient`` is
    the pass that builds them: hand in your own. Raises GradientError if no y depends on an x.
    """
    if gradient is reference_gradient:
        gradient = partial(reference_gradient, adjoints=PlacedRules(ADJOINTS))
    targets, sources = [unwrap(y) for y in _list(ys)], [unwrap(x) for x in _list(xs)]
    upstream = None if grad_ys is None else [unwrap(dy) for dy in _list(grad_ys)]
    made = gradient(Graph(tuple(targets)), sources, upstream)
    return [wrap(value) for value in made.outputs]


def _list(tensors: Tensor | Sequence[Tensor]) -> list[Tensor]:
    return list(tensors) if isinstance(tensors, list | tuple) else [tensors]  # type: ignore[list-item]


def infer_variable_shapes(
    net: Tensor | Sequence[Tensor], feed_dict: Mapping[Tensor, Any]
) -> Iterator[tuple[Variable, str, tuple[int, ...]]]:
    """Infer the shape of every trainable variable below ``net`` from the shapes of the feeds.

    ``feed_dict`` maps placeholders to shapes (or arrays). Yields (variable, name, shape). Raises
    GraphError for a variable whose shape does not follow from them.
    """
    known = {unwrap(tensor): _feed_shape(given) for tensor, given in feed_dict.items()}
    graph = Graph(tuple(unwrap(tensor) for tensor in _list(net)))
    present = set(graph.nodes)
    facts = {value: shape for value, shape in known.items() if value.node in present}
    shapes = infer(graph.with_fact(KNOWN_SHAPES, facts)).fact(SHAPES)
    untrained = current_scope().untrained  # these start from an initialiser
    for node in graph.nodes:
        if node.op.name == "variable" and node not in untrained:
            yield Variable.of(node), node.name or "", _complete(node, shapes[Value(node)])


def _feed_shape(given: Any) -> Shape:
    return given.shape if isinstance(given, np.ndarray) else as_shape(given)


def _complete(node: Node, shape: Shape) -> tuple[int, ...]:
    if shape is None or None in shape:
        what = "the shape of this variable does not follow from the feeds"
        fix = "Give the shape of every placeholder in feed_dict."
        raise GraphError(what, node=node, got=show_shape(shape), fix=fix)
    return shape  # type: ignore[return-value]
