"""``tf.train``: optimizers write update steps into the graph. Layer: frontend."""

from __future__ import annotations

from collections.abc import Sequence

from tinyflow.errors import GradientError
from tinyflow.frontend.tf.api import (
    GradientPass,
    assign,
    gradients,
    group,
    sqrt,
    zeros,
    zeros_like,
)
from tinyflow.frontend.tf.scope import current_scope
from tinyflow.frontend.tf.tensor import Tensor, Variable
from tinyflow.ir import Graph
from tinyflow.passes.gradient import gradient as reference_gradient

__all__ = ["AdamOptimizer", "GradientDescentOptimizer", "Optimizer"]


class Optimizer:
    """Base of the optimizers: ``minimize`` differentiates and groups one update per variable."""

    def minimize(
        self,
        loss: Tensor,
        var_list: Sequence[Variable] | None = None,
        *,
        gradient: GradientPass = reference_gradient,
    ) -> Tensor:
        """A tensor that, when run, makes one step on ``var_list`` (all that ``loss`` depends on).

        ``gradient`` is the pass that differentiates: hand in your own.
        Raises GradientError if there is nothing to train.
        """
        variables = list(var_list or _trainable(loss))
        if not variables:
            raise GradientError("the loss depends on no variable", node=loss.value.node)
        slopes = gradients(loss, variables, gradient=gradient)
        return group(*self.updates(variables, slopes), name="train_step")

    def updates(self, variables: list[Variable], slopes: list[Tensor]) -> list[Tensor]:
        """One write per variable (and slot), given the gradients."""
        raise NotImplementedError


def _trainable(loss: Tensor) -> list[Variable]:
    untrained = current_scope().untrained
    nodes = Graph((loss.value,)).nodes
    return [Variable.of(n) for n in nodes if n.op.name == "variable" and n not in untrained]


class GradientDescentOptimizer(Optimizer):
    """w <- w - learning_rate * dw."""

    def __init__(self, learning_rate: float, name: str = "GradientDescent") -> None:
        self.learning_rate, self.name = learning_rate, name

    def updates(self, variables: list[Variable], slopes: list[Tensor]) -> list[Tensor]:
        """One assign per variable."""
        rate = self.learning_rate
        return [assign(v, v - slope * rate) for v, slope in zip(variables, slopes)]


class AdamOptimizer(Optimizer):
    """Adam: moving averages m of the gradient and v of its square, corrected for their start.

    w <- w - learning_rate * sqrt(1 - beta2^t) / (1 - beta1^t) * m / (sqrt(v) + epsilon).
    Source: Kingma and Ba, Adam (2015), the efficient order at the end of section 2.
    """

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-4,
        name: str = "Adam",
    ) -> None:
        self.learning_rate, self.beta1, self.beta2 = learning_rate, beta1, beta2
        self.epsilon, self.name = epsilon, name

    def updates(self, variables: list[Variable], slopes: list[Tensor]) -> list[Tensor]:
        """Three assigns per variable (m, v, w) and one for the step counter."""
        beta1, beta2 = self.beta1, self.beta2
        step = Variable(zeros([]), name=f"{self.name}_step", trainable=False)
        count = assign(step, step + 1.0)
        rate = self.learning_rate * sqrt(1.0 - beta2**count) / (1.0 - beta1**count)
        writes = [count]
        for variable, slope in zip(variables, slopes):
            first = Variable(zeros_like(variable), f"{variable.name}_m", trainable=False)
            second = Variable(zeros_like(variable), f"{variable.name}_v", trainable=False)
            m = assign(first, first * beta1 + slope * (1.0 - beta1))
            v = assign(second, second * beta2 + slope * slope * (1.0 - beta2))
            writes += [m, v, assign(variable, variable - rate * m / (sqrt(v) + self.epsilon))]
        return writes
