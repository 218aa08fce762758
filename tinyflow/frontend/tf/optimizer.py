"""What all optimizers share: gradients, then one group of updates. Layer: frontend."""

from __future__ import annotations

from collections.abc import Sequence

from tinyflow.errors import GradientError, GraphError
from tinyflow.frontend.tf.api import GradientPass, assign_add, gradients, group
from tinyflow.frontend.tf.maths import ones_like, zeros_like
from tinyflow.frontend.tf.scope import current_scope
from tinyflow.frontend.tf.tensor import Tensor, Variable, unwrap
from tinyflow.ir import Graph
from tinyflow.passes.gradient import gradient as reference_gradient
from tinyflow.runtime.collector import no_collector

__all__ = ["Optimizer", "Rate"]

Rate = float | Tensor  # a learning rate may follow a schedule


class Optimizer:
    """Base of the optimizers: ``minimize`` differentiates and groups one update per variable.

    One of your own is a subclass that has ``updates(variables, slopes)``.
    """

    def __init__(self, name: str = "Optimizer") -> None:
        self.name = name

    def minimize(
        self,
        loss: Tensor,
        global_step: Variable | None = None,
        var_list: Sequence[Variable] | None = None,
        *,
        name: str | None = None,
        gradient: GradientPass = reference_gradient,
    ) -> Tensor:
        """A tensor that, when run, makes one step on ``var_list`` (all that ``loss`` depends on).

        ``global_step`` is a variable that counts the steps. ``gradient`` is the pass that
        differentiates: hand in your own. Raises GradientError if there is nothing to train.
        """
        with no_collector():
            pairs = self.compute_gradients(loss, var_list, gradient=gradient)
            return self.apply_gradients(pairs, global_step, name)

    def compute_gradients(
        self,
        loss: Tensor,
        var_list: Sequence[Variable] | None = None,
        *,
        gradient: GradientPass = reference_gradient,
    ) -> list[tuple[Tensor, Variable]]:
        """The first half of ``minimize``: pairs (gradient, variable)."""
        variables = list(var_list or _trainable(loss))
        if not variables:
            raise GradientError("the loss depends on no variable", node=loss.value.node)
        return list(zip(gradients(loss, variables, gradient=gradient), variables))

    def apply_gradients(
        self,
        grads_and_vars: Sequence[tuple[Tensor | None, Variable]],
        global_step: Variable | None = None,
        name: str | None = None,
    ) -> Tensor:
        """The second half: a step along these gradients; a pair whose gradient is None is left out.

        Raises GradientError if no pair is left.
        """
        pairs = [(slope, variable) for slope, variable in grads_and_vars if slope is not None]
        if not pairs:
            raise GradientError("no gradient to apply", expected="pairs (gradient, variable)")
        writes = self.updates([variable for _, variable in pairs], [slope for slope, _ in pairs])
        writes += _updates([slope for slope, _ in pairs])
        if global_step is not None:
            writes.append(assign_add(global_step, 1))
        return group(*writes, name=name or "train_step")

    def updates(self, variables: list[Variable], slopes: list[Tensor]) -> list[Tensor]:
        """One write per variable (and slot), given the gradients; subclasses say which."""
        what, expected = f"{type(self).__name__} has no updates", "a list of tf.assign(...)"
        raise GraphError(what, expected=expected, fix="Write updates(variables, slopes).")

    def for_each(self, variables: Sequence[Variable], number: Rate) -> list[Tensor]:
        """A number as a tensor for each variable: one constant for all variables of a dtype."""
        dtypes = [variable.value.node.attrs["dtype"] for variable in variables]
        made = {dtype: Tensor(unwrap(number)) for dtype in dict.fromkeys(dtypes)}
        return [made[dtype] for dtype in dtypes]

    def slot(self, variable: Variable, name: str, start: float = 0.0) -> Variable:
        """A variable beside ``variable``, of its shape, ``start`` everywhere at first."""
        with current_scope().changed(waits=()):  # initialising waits for nothing
            first = ones_like(variable) * start if start else zeros_like(variable)
            return Variable(first, f"{variable.name}_{name}", trainable=False)


def _updates(slopes: Sequence[Tensor]) -> list[Tensor]:
    """What else a step along these gradients writes: moving averages of batch normalisation."""
    updates = current_scope().updates
    nodes = Graph(tuple(slope.value for slope in slopes)).nodes if updates else ()
    return [Tensor(write) for node in nodes for write in updates.get(node, ())]


def _trainable(loss: Tensor) -> list[Variable]:
    untrained = current_scope().untrained
    nodes = Graph((loss.value,)).nodes
    return [Variable.of(n) for n in nodes if n.op.name == "variable" and n not in untrained]
