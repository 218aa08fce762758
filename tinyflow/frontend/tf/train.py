"""``tf.train``: optimizers write update steps into the graph; the saver. Layer: frontend."""

from __future__ import annotations

from dataclasses import dataclass

from tinyflow.frontend.tf.api import assign, cast, zeros
from tinyflow.frontend.tf.maths import multiply, pow, sqrt
from tinyflow.frontend.tf.optimizer import Optimizer, Rate
from tinyflow.frontend.tf.saver import Saver
from tinyflow.frontend.tf.scope import current_scope
from tinyflow.frontend.tf.tensor import Like, Tensor, Variable
from tinyflow.types import DType

__all__ = [
    "AdagradOptimizer", "AdamOptimizer", "GradientDescentOptimizer", "MomentumOptimizer",
    "Optimizer", "RMSPropOptimizer", "Saver", "exponential_decay",
]  # fmt: skip


def exponential_decay(
    learning_rate: Like,
    global_step: Tensor,
    decay_steps: int,
    decay_rate: float,
    staircase: bool = False,
    name: str | None = None,
) -> Tensor:
    """learning_rate * decay_rate ** (global_step / decay_steps), the exponent whole if staircase.

    A scalar of float32, from a scalar step of any dtype. Hand ``global_step`` to ``minimize`` too,
    which counts it up.
    """
    passed = cast(global_step, DType.float32) / float(decay_steps)
    if staircase:
        passed = cast(cast(passed, DType.int64), DType.float32)
    return multiply(learning_rate, pow(decay_rate, passed), name)


@dataclass(eq=False)
class GradientDescentOptimizer(Optimizer):
    """w <- w - learning_rate * dw."""

    learning_rate: Rate
    name: str = "GradientDescent"

    def updates(self, variables: list[Variable], slopes: list[Tensor]) -> list[Tensor]:
        """One assign per variable."""
        rates = self.for_each(variables, self.learning_rate)
        return [assign(v, v - slope * k) for v, slope, k in zip(variables, slopes, rates)]


@dataclass(eq=False)
class AdamOptimizer(Optimizer):
    """Adam: moving averages m of the gradient and v of its square, corrected for their start.

    w <- w - learning_rate * sqrt(1 - beta2^t) / (1 - beta1^t) * m / (sqrt(v) + epsilon).
    Source: Kingma and Ba, Adam (2015), the efficient order at the end of section 2.
    """

    learning_rate: Rate = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-4
    name: str = "Adam"

    def updates(self, variables: list[Variable], slopes: list[Tensor]) -> list[Tensor]:
        """Three assigns per variable (m, v, w) and one for the step counter."""
        beta1, beta2 = self.beta1, self.beta2
        with current_scope().changed(waits=()):
            step = Variable(zeros([]), name=f"{self.name}_step", trainable=False)
        count = assign(step, step + 1.0)
        rate = self.learning_rate * sqrt(1.0 - beta2**count) / (1.0 - beta1**count)
        writes = [count]
        for variable, slope in zip(variables, slopes):
            first, second = self.slot(variable, "m"), self.slot(variable, "v")
            m = assign(first, first * beta1 + slope * (1.0 - beta1))
            v = assign(second, second * beta2 + slope * slope * (1.0 - beta2))
            writes += [m, v, assign(variable, variable - rate * m / (sqrt(v) + self.epsilon))]
        return writes


@dataclass(eq=False)
class MomentumOptimizer(Optimizer):
    """a <- momentum * a + dw;  w <- w - learning_rate * a.

    With ``use_nesterov`` the step looks ahead: w <- w - learning_rate * (dw + momentum * a).
    Source: Sutskever, Martens, Dahl and Hinton 2013, section 2, in TensorFlow's form.
    """

    learning_rate: Rate
    momentum: float
    use_nesterov: bool = False
    name: str = "Momentum"

    def updates(self, variables: list[Variable], slopes: list[Tensor]) -> list[Tensor]:
        """Two assigns per variable: a and w."""
        writes = []
        for variable, slope in zip(variables, slopes):
            slot = self.slot(variable, "momentum")
            sped = assign(slot, slot * self.momentum + slope)
            ahead = slope + sped * self.momentum if self.use_nesterov else sped
            writes += [sped, assign(variable, variable - ahead * self.learning_rate)]
        return writes


@dataclass(eq=False)
class AdagradOptimizer(Optimizer):
    """s <- s + dw²;  w <- w - learning_rate * dw / sqrt(s).

    Source: Duchi, Hazan and Singer, Adaptive subgradient methods, 2011, figure 1.
    """

    learning_rate: Rate
    initial_accumulator_value: float = 0.1
    name: str = "Adagrad"

    def updates(self, variables: list[Variable], slopes: list[Tensor]) -> list[Tensor]:
        """Two assigns per variable: s and w."""
        writes = []
        for variable, slope in zip(variables, slopes):
            slot = self.slot(variable, "adagrad", self.initial_accumulator_value)
            total = assign(slot, slot + slope * slope)
            step = slope * self.learning_rate / sqrt(total)
            writes += [total, assign(variable, variable - step)]
        return writes


@dataclass(eq=False)
class RMSPropOptimizer(Optimizer):
    """s <- decay * s + (1 - decay) * dw²;  a <- momentum * a + learning_rate * dw / sqrt(s + eps);
    w <- w - a. With ``centered``, s is lessened by the square of the mean gradient.

    s starts at one, as in TensorFlow. Source: Hinton, Coursera lecture 6e; Graves 2013, eq. 38-45.
    """

    learning_rate: Rate
    decay: float = 0.9
    momentum: float = 0.0
    epsilon: float = 1e-10
    centered: bool = False
    name: str = "RMSProp"

    def updates(self, variables: list[Variable], slopes: list[Tensor]) -> list[Tensor]:
        """Three assigns per variable (s, a, w), and one for the mean if ``centered``."""
        keep = self.decay
        writes: list[Tensor] = []
        for variable, slope in zip(variables, slopes):
            spread, speed = self.slot(variable, "rms", 1.0), self.slot(variable, "momentum")
            square = assign(spread, spread * keep + slope * slope * (1.0 - keep))
            writes, inner = [*writes, square], square
            if self.centered:
                average = self.slot(variable, "mean")
                mean = assign(average, average * keep + slope * (1.0 - keep))
                writes, inner = [*writes, mean], square - mean * mean
            step = slope * self.learning_rate / sqrt(inner + self.epsilon)
            sped = assign(speed, speed * self.momentum + step)
            writes += [sped, assign(variable, variable - sped)]
        return writes
