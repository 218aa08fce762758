"""The gradient pass: structure, orders that must not matter, and errors that teach."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from tinyflow import ops
from tinyflow.adjoints import ADJOINTS
from tinyflow.errors import GradientError
from tinyflow.ir import Graph, Node, Value, text
from tinyflow.passes import accumulate, gradient
from tinyflow.runtime.interpreter import interpret


def leaf(name: str = "x") -> Value:
    return ops.placeholder(dtype="float32", name=name)


def at(graph: Graph, **feeds: object) -> list[np.ndarray]:
    placeholders = {n.name: Value(n) for n in graph.nodes if n.op.name == "placeholder"}
    arrays = {v: np.asarray(feeds[str(name)], np.float64) for name, v in placeholders.items()}
    return interpret(graph, arrays)


def test_the_gradient_is_a_graph_that_prints() -> None:
    x = leaf()
    assert text(gradient(Graph((ops.exp(x),)), [x])) == (
        '%0 = placeholder(dtype=float32) "x"\n'
        "%1 = exp(%0)\n"
        "%2 = ones_like(%1)\n"
        "%3 = mul(%2, %1)\n"
        "return %3\n"
    )


def test_a_diamond_sums_both_adjoints() -> None:
    x = leaf()
    y = ops.mul(ops.exp(x), ops.tanh(x))
    (dx,) = at(gradient(Graph((y,)), [x]), x=[0.3, -1.0])
    v = np.array([0.3, -1.0])
    np.testing.assert_allclose(dx, np.exp(v) * (np.tanh(v) + 1 - np.tanh(v) ** 2), rtol=1e-6)


def test_arms_of_unequal_depth_wait_for_the_long_one() -> None:
    x = leaf()
    near = ops.exp(x)
    far = ops.mul(ops.mul(ops.mul(near, 2.0), 3.0), 5.0)
    (dx,) = at(gradient(Graph((ops.add(near, far),)), [x]), x=0.5)
    np.testing.assert_allclose(dx, 31 * np.exp(0.5), rtol=1e-6)


def test_each_rule_is_called_once_and_only_between_xs_and_ys() -> None:
    calls: Counter[Node] = Counter()

    def counting(rule):  # type: ignore[no-untyped-def]
        def wrapped(node: Node, *dys: Value) -> Sequence[Value | None]:
            calls[node] += 1
            return rule(node, *dys)  # type: ignore[no-any-return]

        return wrapped

    x, z = leaf("x"), leaf("z")
    idle = ops.exp(z)
    y = x
    for _ in range(30):
        y = ops.add(y, y)
    y = ops.mul(y, idle)
    gradient(Graph((y,)), [x], adjoints={op: counting(rule) for op, rule in ADJOINTS.items()})
    assert set(calls.values()) == {1}
    assert idle.node not in calls
    assert len(calls) == 31


def test_the_gradient_graph_grows_linearly() -> None:
    x = leaf()
    y = x
    for _ in range(200):
        y = ops.mul(y, y)
    assert len(gradient(Graph((y,)), [x]).nodes) < 200 * 8


def test_a_deep_chain_needs_no_recursion() -> None:
    x = leaf()
    y = x
    for _ in range(20_000):
        y = ops.tanh(y)
    assert gradient(Graph((y,)), [x]).outputs


def test_a_y_listed_twice_counts_twice_and_upstream_gradients_multiply() -> None:
    x = leaf()
    y = ops.exp(x)
    (dx,) = at(gradient(Graph((y, y)), [x]), x=1.0)
    np.testing.assert_allclose(dx, 2 * np.e, rtol=1e-6)
    (dx,) = at(gradient(Graph((y,)), [x], [ops.constant(3.0)]), x=1.0)
    np.testing.assert_allclose(dx, 3 * np.e, rtol=1e-6)


def test_inner_values_and_ys_themselves_may_be_xs() -> None:
    x = leaf()
    h = ops.exp(x)
    y = ops.mul(h, h)
    dh, dy, dx = at(gradient(Graph((y,)), [h, y, x]), x=1.0)
    np.testing.assert_allclose([dh, dy, dx], [2 * np.e, 1.0, 2 * np.e**2], rtol=1e-6)


def test_second_derivatives_work() -> None:
    x = leaf()
    first = gradient(Graph((ops.pow(x, 3.0),)), [x])
    (second,) = at(gradient(first, [x]), x=[1.0, 2.0])
    np.testing.assert_allclose(second, [6.0, 12.0], rtol=1e-6)


def test_an_x_that_no_y_uses_is_an_error_that_names_it() -> None:
    x, z = leaf("x"), leaf("z")
    with pytest.raises(GradientError, match="placeholder 'z'.*no y depends on this x"):
        gradient(Graph((ops.exp(x),)), [x, z])


def test_an_x_behind_an_op_without_gradient_tells_the_reason() -> None:
    x = leaf()
    with pytest.raises(GradientError, match="differentiably; got argmax .* has no gradient: "):
        gradient(Graph((ops.argmax(x, axis=0),)), [x])


def test_the_number_of_upstream_gradients_must_fit() -> None:
    x = leaf()
    with pytest.raises(GradientError, match="got 2; expected 1"):
        gradient(Graph((ops.exp(x),)), [x], [x, x])


def test_accumulate_makes_one_addition_less_than_contributions() -> None:
    values = [leaf(n) for n in "abcde"]
    assert accumulate(values[:1]) is values[0]
    assert sum(n.op is ops.add for n in Graph((accumulate(values),)).nodes) == 4
    with pytest.raises(GradientError, match="nothing to accumulate"):
        accumulate([])
