"""Adjoints of elementwise ops. Layer: adjoints.

Two-input ops broadcast as numpy does: where an input was repeated, its adjoint is the sum over the
repetitions, which ``ops.sum_like(adjoint, input)`` takes. Where nothing was repeated it is free.
"""

from __future__ import annotations

from collections.abc import Mapping

from tinyflow import ops
from tinyflow.adjoints.table import AdjointRule, Adjoints, NoGradient
from tinyflow.ir import Node, Op, Value

__all__ = ["RULES", "div_adjoint", "mul_adjoint", "pow_adjoint", "relu_adjoint", "tanh_adjoint"]


def add_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = x + y  =>  dx = dy, d_y = dy, each summed to its input's shape."""
    x, y = node.inputs
    return ops.sum_like(dy, x), ops.sum_like(dy, y)


def sub_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = x - y  =>  dx = dy, d_y = -dy, each summed to its input's shape."""
    x, y = node.inputs
    return ops.sum_like(dy, x), ops.neg(ops.sum_like(dy, y))


def mul_adjoint(node: Node, dy: Value) -> tuple[Value | None, ...]:
    """Adjoints of both inputs of ``node``, which computes z = x * y with numpy broadcasting.

    ``node.inputs`` is (x, y). ``dy`` is the adjoint of z, ∂L/∂z, in the shape of z, where L is the
    scalar that is differentiated in the end. Return (∂L/∂x, ∂L/∂y):

        ∂L/∂x = dy * y        in the shape of x
        ∂L/∂y = dy * x        in the shape of y

    The products have the shape of z. Where broadcasting repeated an input, the repetitions all
    contribute, so its adjoint is their sum: ``ops.sum_like(value, x)`` sums ``value`` down to the
    shape of x. It costs nothing if the shapes turn out equal: always use it.

    - No shape is known when the rule runs: build nodes only, with ``ops.mul`` and ``ops.sum_like``.
    - The inputs are floating (float16 to float64); the adjoints have the dtype of the products.
    - x and y may be one value (x * x): return both adjoints; the caller adds them.
    - Never compute a number here: second derivatives are taken through the nodes that you build.

    Example: x = [2, 3], y = [[5], [7]], dy = [[1, 1], [1, 1]] (x is repeated along the rows, y
    along the columns) gives ∂L/∂x = [5 + 7, 5 + 7] = [12, 12] and
    ∂L/∂y = [[2 + 3], [2 + 3]] = [[5], [5]].

    Source: Griewank and Walther 2008, table 3.3; the broadcast rule as in TensorFlow's _MulGrad.
    """
    x, y = node.inputs
    return ops.sum_like(ops.mul(dy, y), x), ops.sum_like(ops.mul(dy, x), y)


def div_adjoint(node: Node, dy: Value) -> tuple[Value | None, ...]:
    """Adjoints of both inputs of ``node``, which computes z = x / y with numpy broadcasting.

    ``node.inputs`` is (x, y), ``dy`` the adjoint of z in the shape of z. Return (∂L/∂x, ∂L/∂y):

        ∂L/∂x =  dy / y             in the shape of x
        ∂L/∂y = -dy * x / y^2       in the shape of y

    As for mul, ``ops.sum_like(value, input)`` brings each to the shape of its input. Helpers:
    ``ops.div``, ``ops.mul``, ``ops.neg``, ``ops.sum_like``. The result z of the node is at hand as
    ``node.outputs[0]`` and x / y^2 = z / y: whoever reuses z and dy / y saves two nodes.

    - At y = 0 both adjoints are infinite or NaN, as the quotient itself is; that is no error.
    - Shapes and dtypes as for mul; no shape is known when the rule runs.

    Example: x = [1, 6], y = 2 (0-d), dy = [1, 10] gives ∂L/∂x = [0.5, 5] and
    ∂L/∂y = -(1 * 1 / 4 + 10 * 6 / 4) = -15.25.

    Source: Griewank and Walther 2008, table 3.3; TensorFlow's _RealDivGrad.
    """
    x, y = node.inputs
    z = node.outputs[0]
    dx = ops.div(dy, y)
    return ops.sum_like(dx, x), ops.sum_like(ops.neg(ops.mul(dx, z)), y)


def pow_adjoint(node: Node, dy: Value) -> tuple[Value | None, ...]:
    """Adjoints of both inputs of ``node``, which computes z = x ^ y with numpy broadcasting.

    ``node.inputs`` is (x, y), ``dy`` the adjoint of z in the shape of z. Return (∂L/∂x, ∂L/∂y):

        ∂L/∂x = dy * y * x^(y - 1)      in the shape of x
        ∂L/∂y = dy * z * log(x)         in the shape of y, with 0 in place of log(x) where x <= 0

    For x < 0 the power is real only at whole y, so there is no derivative along y, and at x = 0 the
    logarithm is infinite: by convention ∂L/∂y is 0 there. A multiplication cannot do that, because
    0 * inf and 0 * NaN are NaN: make x safe *before* the logarithm, so that it becomes log(1) = 0.
    ``ops.relu(x)`` is 0 exactly where x <= 0, ``ops.equal(a, 0.0)`` is a bool array and
    ``ops.cast_like(b, x)`` turns it into 0 and 1 of x's dtype.

    Other helpers: ``ops.mul``, ``ops.pow``, ``ops.sub``, ``ops.add``, ``ops.log``,
    ``ops.sum_like``; Python numbers are allowed as inputs and take the dtype of the other input.

    - ∂L/∂x is dy * y * x^(y - 1) everywhere: x ^ 2 has the derivative 2 x at negative x and 0 at
      x = 0; at x = 0 and y < 1 it is infinite or NaN, which is no error.
    - The exponent is often a constant; its adjoint is then not used and costs nothing.

    Example: x = [3, 0, -2], y = 2 (0-d), dy = [1, 1, 1] gives ∂L/∂x = [6, 0, -4] and
    ∂L/∂y = 9 log(3) + 0 + 0 = 9.8875.

    Source: TensorFlow's _PowGrad, for the convention at x <= 0 too.
    """
    x, y = node.inputs
    z = node.outputs[0]
    dx = ops.mul(dy, ops.mul(y, ops.pow(x, ops.sub(y, 1.0))))
    positive = ops.relu(x)
    safe = ops.add(positive, ops.cast_like(ops.equal(positive, 0.0), x))
    return ops.sum_like(dx, x), ops.sum_like(ops.mul(dy, ops.mul(z, ops.log(safe))), y)


def neg_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = -x  =>  dx = -dy."""
    return (ops.neg(dy),)


def exp_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = exp(x)  =>  dx = dy * z; reuses z, which is live and was costly."""
    return (ops.mul(dy, node.outputs[0]),)


def log_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = log(x)  =>  dx = dy / x."""
    return (ops.div(dy, node.inputs[0]),)


def sqrt_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = sqrt(x)  =>  dx = dy / (2 z); infinite at x = 0."""
    return (ops.div(ops.mul(dy, 0.5), node.outputs[0]),)


def tanh_adjoint(node: Node, dy: Value) -> tuple[Value | None, ...]:
    """Adjoint of the input of ``node``, which computes z = tanh(x) elementwise.

    ``node.inputs`` is (x,), ``node.outputs`` (z,), ``dy`` the adjoint of z. Return a tuple of one:

        ∂L/∂x = dy * (1 - z^2)

    in the shape and dtype of x. Use z, the result that exists already: tanh is costly and another
    tanh node would compute it again. One op does it all: ``ops.tanh_grad(dy, z)``; ``ops.mul`` and
    ``ops.sub`` do as well. No broadcasting takes place, so no ``sum_like`` is needed.

    Example: x = [0, 1], so z = [0, 0.76159], and dy = [3, 10] gives ∂L/∂x = [3, 4.19974].

    Source: Griewank and Walther 2008, table 3.3; TensorFlow's _TanhGrad.
    """
    return (ops.tanh_grad(dy, node.outputs[0]),)


def sigmoid_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = 1 / (1 + exp(-x))  =>  dx = dy * z * (1 - z)."""
    return (ops.sigmoid_grad(dy, node.outputs[0]),)


def relu_adjoint(node: Node, dy: Value) -> tuple[Value | None, ...]:
    """Adjoint of the input of ``node``, which computes z = max(x, 0) elementwise.

    ``node.inputs`` is (x,), ``node.outputs`` (z,), ``dy`` the adjoint of z. Return a tuple of one:

        ∂L/∂x = dy where x > 0, else 0

    in the shape and dtype of x. At x = 0, where there is no derivative, it is 0 by convention.
    z > 0 exactly where x > 0, so x need not be kept: ``ops.relu_grad(dy, z)`` is dy where z > 0,
    else 0. ``ops.greater`` (a bool array), ``ops.cast_like`` and ``ops.mul`` do as well.

    Example: x = [-1, 0, 2], dy = [5, 6, 7] gives ∂L/∂x = [0, 0, 7].

    Source: Nair and Hinton, ICML 2010; TensorFlow's _ReluGrad, for the convention at 0 too.
    """
    return (ops.relu_grad(dy, node.outputs[0]),)


def cast_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = cast(x)  =>  dx = dy in the dtype of x."""
    return (ops.cast_like(dy, node.inputs[0]),)


def cast_like_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = x in the dtype of like  =>  dx = dy in the dtype of x; none to like."""
    return ops.cast_like(dy, node.inputs[0]), None


def relu_grad_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = g where y > 0, else 0  =>  dg the same of dy; constant in y almost everywhere."""
    return ops.relu_grad(dy, node.inputs[1]), None


def tanh_grad_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = g * (1 - y^2)  =>  dg = dy * (1 - y^2), d_y = -2 dy * g * y."""
    g, y = node.inputs
    return ops.tanh_grad(dy, y), ops.mul(ops.mul(dy, g), ops.mul(y, -2.0))


def sigmoid_grad_adjoint(node: Node, dy: Value) -> Adjoints:
    """z = g * y * (1 - y)  =>  dg = dy * y * (1 - y), d_y = dy * g * (1 - 2 y)."""
    g, y = node.inputs
    return ops.sigmoid_grad(dy, y), ops.mul(ops.mul(dy, g), ops.sub(1.0, ops.mul(y, 2.0)))


_STEP = NoGradient("a comparison is constant almost everywhere")
_FIXED = NoGradient("the result depends on the shape of the input only, not on its contents")

RULES: Mapping[Op, AdjointRule] = {
    ops.add: add_adjoint,
    ops.sub: sub_adjoint,
    ops.mul: mul_adjoint,
    ops.div: div_adjoint,
    ops.pow: pow_adjoint,
    ops.neg: neg_adjoint,
    ops.exp: exp_adjoint,
    ops.log: log_adjoint,
    ops.sqrt: sqrt_adjoint,
    ops.tanh: tanh_adjoint,
    ops.sigmoid: sigmoid_adjoint,
    ops.relu: relu_adjoint,
    ops.equal: _STEP,
    ops.greater: _STEP,
    ops.cast: cast_adjoint,
    ops.cast_like: cast_like_adjoint,
    ops.zeros_like: _FIXED,
    ops.ones_like: _FIXED,
    ops.relu_grad: relu_grad_adjoint,
    ops.tanh_grad: tanh_grad_adjoint,
    ops.sigmoid_grad: sigmoid_grad_adjoint,
}
