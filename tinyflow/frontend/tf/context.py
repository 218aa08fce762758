"""What ``with`` blocks change: names, reuse of variables, what new nodes wait for. Layer: frontend.

TensorFlow 1 kept these in the graph; here they are fields of the scope that a block sets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from tinyflow.errors import GraphError
from tinyflow.frontend.tf.initializers import glorot_uniform_initializer
from tinyflow.frontend.tf.scope import Scope, current_scope
from tinyflow.frontend.tf.tensor import Tensor, Variable, unwrap
from tinyflow.ir.node import PLACED_ON
from tinyflow.types import (
    Device,
    DType,
    Shape,
    as_dtype,
    as_shape,
    is_static,
    show_shape,
    unify_shape,
)

__all__ = ["AUTO_REUSE", "VariableScope", "control_dependencies", "device", "get_variable"]
__all__ += ["get_variable_scope", "name_scope", "variable_scope"]
AUTO_REUSE = "auto"  # in place of True


@contextmanager
def name_scope(
    name: str | None, default_name: str | None = None, values: Any = None
) -> Iterator[str]:
    """Put ``name/`` in front of the names of everything made inside.

    A second block of this name becomes ``name_1``. ``values`` is accepted as TensorFlow has it.
    """
    scope = current_scope()
    with scope.changed(prefix=scope.unique_name(_inside(scope.prefix, name or default_name))):
        yield f"{scope.prefix}/"


@dataclass(frozen=True, slots=True)
class VariableScope:
    """What ``with tf.variable_scope("layer") as scope:`` gives, to be entered again."""

    name: str
    scope: Scope

    def reuse_variables(self) -> None:
        """From here to the end of the block, ``tf.get_variable`` finds variables."""
        self.scope.reuse = True


def get_variable_scope() -> VariableScope:
    """The variable scope of the enclosing block; outside of all, that without a name."""
    return VariableScope(current_scope().variable_prefix, current_scope())


@contextmanager
def variable_scope(
    name_or_scope: str | VariableScope | None,
    default_name: str | None = None,
    reuse: bool | str | None = None,
) -> Iterator[VariableScope]:
    """A name scope that also names what ``tf.get_variable`` makes: ``name/weight``.

    Entered again, by name or as what ``as`` gave, with ``reuse=True``, ``tf.get_variable`` finds
    the variables of the first time; with ``tf.AUTO_REUSE`` it makes those that are missing. None
    and False keep what the enclosing scope says.
    """
    scope, name = current_scope(), name_or_scope or default_name
    if isinstance(name, VariableScope):
        inner, name = name.name, name.name.rpartition("/")[2]
    else:
        inner = _inside(scope.variable_prefix, name)
    named = name_scope(name) if name else nullcontext()
    with named, scope.changed(variable_prefix=inner, reuse=reuse or scope.reuse):
        yield VariableScope(inner, scope)


def _inside(prefix: str, name: str | None) -> str:
    if not name:
        raise GraphError("a scope needs a name", got=repr(name), expected="a non-empty string")
    return f"{prefix}/{name}" if prefix else name


@contextmanager
def control_dependencies(control_inputs: Sequence[Tensor] | None) -> Iterator[None]:
    """What is made inside runs after ``control_inputs``, though no data flows; None: after nothing.

    Blocks add up. What was made before the block does not wait, as in TensorFlow.
    """
    scope = current_scope()
    nodes = [unwrap(tensor).node for tensor in control_inputs or ()]
    waits = () if control_inputs is None else tuple(dict.fromkeys((*scope.waits, *nodes)))
    with scope.changed(waits=waits):
        yield


@contextmanager
def device(name: str | None) -> Iterator[None]:
    """Put what is made inside on a device: "cpu:1", or as TensorFlow says it, "/gpu:0".

    None: where the pass ``place`` finds it best, as outside of all blocks. The inner block wins.
    Raises RunError for a device of unknown kind; one that is missing is the session's to refuse.
    """
    plain = None if name is None else str(name).lower().removeprefix("/").removeprefix("device:")
    token = PLACED_ON.set(None if plain is None else Device.parse(plain))
    try:
        yield
    finally:
        PLACED_ON.reset(token)


def get_variable(
    name: str,
    shape: object = None,
    dtype: DType | str | None = None,
    initializer: Callable[..., Tensor] | Tensor | None = None,
    trainable: bool | None = True,
) -> Variable:
    """The variable of this name under ``tf.variable_scope``: made, or found where it says reuse.

    ``initializer`` is a function of (shape, dtype), Glorot's uniform one by default, or a tensor.
    Raises GraphError if a variable to make exists, one to find does not, or the shapes differ.
    """
    scope = current_scope()
    full = _inside(scope.variable_prefix, name)
    node = scope.variables().get(full)
    if node is None and scope.reuse is True:
        known = ", ".join(scope.variables()) or "none"
        raise GraphError(f"there is no variable '{full}' to reuse", got=f"variables: {known}")
    if node is not None and scope.reuse:
        return _same_shape(Variable.of(node), as_shape(shape))
    if node is not None:
        fix = "Use tf.variable_scope(..., reuse=True) to share it, or another name."
        raise GraphError(f"there is a variable '{full}' already", node=node, fix=fix)
    with scope.changed(prefix="", waits=()):
        return Variable(
            _first(full, as_shape(shape), as_dtype(dtype or DType.float32), initializer),
            full,
            trainable,
        )


def _same_shape(found: Variable, wanted: Shape) -> Variable:
    unify_shape(found.shape, wanted)
    return found


def _first(
    name: str, shape: Shape, dtype: DType, initializer: Callable[..., Tensor] | Tensor | None
) -> Any:
    if initializer is not None and not callable(initializer):
        return initializer
    if not is_static(shape):
        got = show_shape(shape)
        raise GraphError(f"variable '{name}' needs a shape", got=got, expected="all sizes")
    return (initializer or glorot_uniform_initializer())(shape, dtype)
