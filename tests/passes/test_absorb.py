"""Inference batch normalisation becomes part of the convolution before it, or stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinyflow as tf
from tinyflow import ops
from tinyflow.frontend.tf.tensor import Tensor
from tinyflow.ir import Graph, Node, Value, text
from tinyflow.passes import SHAPES, describe, infer
from tinyflow.passes.simplify import absorb, simplify
from tinyflow.runtime.interpreter import interpret
from tinyflow.types import Device

RNG = np.random.default_rng(2)
VECTORS = ("gamma", "beta", "mean", "variance")


@pytest.fixture(autouse=True)
def _fresh_graph() -> None:
    tf.reset_default_graph()


class Layer:
    """Leaves of a convolution and a normalisation, o filters over images (n, c, 8, 7)."""

    def __init__(self, c: int = 3, o: int = 4, groups: int = 1, dtype: str = "float64") -> None:
        self.shapes = {"x": (4, c, 8, 7), "w": (o, c // groups, 3, 2), "b": (o,)}
        self.shapes |= dict.fromkeys(VECTORS, (o,))
        self.leaves = {
            name: ops.placeholder(dtype=dtype, shape=shape, name=name)
            for name, shape in self.shapes.items()
        }
        self.groups, self.dtype = groups, dtype

    def conv(self, bias: bool = False, **attrs: Any) -> Value:
        inputs = [self.leaves[name] for name in ("x", "w", "b")[: 3 if bias else 2]]
        value: Value = ops.conv2d(*inputs, groups=self.groups, name="conv", **attrs)
        return value

    def norm(self, x: Value, training: bool = False, **options: Any) -> Any:
        vectors = [self.leaves[name] for name in VECTORS]
        return ops.batch_norm(x, *vectors, training=training, name="bn", **options)

    def feeds(self) -> dict[Value, Any]:
        return {
            leaf: RNG.uniform(0.5, 2, self.shapes[name]).astype(self.dtype)
            for name, leaf in self.leaves.items()
        }


def typed(*outputs: Value) -> Graph:
    return infer(Graph(outputs))


def names(graph: Graph) -> list[str]:
    return [node.op.name for node in graph.nodes if node.inputs]


def test_the_convolution_has_the_scaled_filters_and_the_shifted_bias() -> None:
    layer = Layer(dtype="float32")
    graph = simplify(typed(ops.relu(layer.norm(layer.conv(True, strides=(2, 1)), epsilon=0.25))))
    assert text(graph, describe(graph)) == (
        '%0 = placeholder(dtype=float32, shape=[4, 3, 8, 7]) "x"  # float32[4, 3, 8, 7]\n'
        '%1 = placeholder(dtype=float32, shape=[4, 3, 3, 2]) "w"  # float32[4, 3, 3, 2]\n'
        '%2 = placeholder(dtype=float32, shape=[4]) "gamma"  # float32[4]\n'
        '%3 = placeholder(dtype=float32, shape=[4]) "variance"  # float32[4]\n'
        "%4 = constant(value=float32(0.25), dtype=float32)  # float32[]\n"
        "%5 = add(%3, %4)  # float32[4]\n"
        "%6 = sqrt(%5)  # float32[4]\n"
        "%7 = div(%2, %6)  # float32[4]\n"
        "%8 = reshape(%7, shape=[4, 1, 1, 1])  # float32[4, 1, 1, 1]\n"
        "%9 = mul(%1, %8)  # float32[4, 3, 3, 2]\n"
        '%10 = placeholder(dtype=float32, shape=[4]) "b"  # float32[4]\n'
        '%11 = placeholder(dtype=float32, shape=[4]) "mean"  # float32[4]\n'
        "%12 = sub(%10, %11)  # float32[4]\n"
        "%13 = mul(%7, %12)  # float32[4]\n"
        '%14 = placeholder(dtype=float32, shape=[4]) "beta"  # float32[4]\n'
        "%15 = add(%13, %14)  # float32[4]\n"
        '%16 = conv2d(%0, %9, %15, strides=[2, 1]) "conv"  # float32[4, 4, 3, 6]\n'
        "%17 = relu(%16)  # float32[4, 4, 3, 6]\n"
        "return %17\n"
    )


@settings(max_examples=40)
@given(
    parts=st.integers(1, 3),
    filters=st.integers(1, 2),
    groups=st.integers(1, 3),
    bias=st.booleans(),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilations=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.one_of(st.none(), st.tuples(*[st.integers(0, 2)] * 4)),
    epsilon=st.floats(1e-6, 1),
)
def test_results_are_equal_up_to_rounding(
    parts: int, filters: int, groups: int, bias: bool, epsilon: float, **attrs: Any
) -> None:
    layer = Layer(parts * groups, filters * groups, groups)
    graph = typed(ops.tanh(layer.norm(layer.conv(bias, **attrs), epsilon=epsilon)))
    folded, feeds = simplify(graph), layer.feeds()
    size = np.prod(graph.fact(SHAPES)[graph.outputs[0]])
    assert ("batch_norm" in names(folded)) == (size < np.prod(layer.shapes["w"]))
    np.testing.assert_allclose(
        interpret(folded, feeds)[0], interpret(graph, feeds)[0], rtol=1e-12, atol=1e-12
    )


def test_a_chain_is_folded_link_by_link() -> None:
    layer = Layer()
    w = ops.constant(RNG.normal(size=(4, 4, 1, 1)))
    graph = typed(layer.norm(ops.conv2d(ops.relu(layer.norm(layer.conv(True))), w)))
    folded, feeds = simplify(graph), layer.feeds()
    assert names(folded).count("conv2d") == 2 and "batch_norm" not in names(folded)
    np.testing.assert_allclose(
        interpret(folded, feeds)[0], interpret(graph, feeds)[0], rtol=1e-12, atol=1e-11
    )


@pytest.mark.parametrize(("variance", "odd"), [(-1.0, True), (np.nan, True), (0.0, False)])
def test_a_variance_that_has_no_root_gives_nan_in_both(variance: float, odd: bool) -> None:
    layer = Layer()
    graph, feeds = typed(layer.norm(layer.conv())), layer.feeds()
    feeds[layer.leaves["variance"]][1] = variance
    for result in (interpret(g, feeds)[0] for g in (graph, simplify(graph))):
        assert np.isnan(result[:, 1]).all() == odd and np.isfinite(result[:, [0, 2, 3]]).all()


def late(value: Value, *nodes: Node) -> Value:
    return value.node.with_inputs(value.node.inputs, nodes).outputs[0]


STAYS: dict[str, Callable[[Layer], tuple[Value, ...]]] = {
    "another node reads the convolution": lambda m: (ops.add(m.norm(c := m.conv()), c),),
    "the convolution is fetched": lambda m: (m.norm(c := m.conv()), c),
    "no convolution is before it": lambda m: (m.norm(ops.relu(m.conv())),),
    "it trains": lambda m: (m.norm(m.conv(), training=True)[0],),
    "it waits": lambda m: (late(m.norm(m.conv()), ops.exp(m.leaves["b"]).node),),
    "the convolution waits": lambda m: (m.norm(late(m.conv(), ops.exp(m.leaves["b"]).node)),),
    "another node waits": lambda m: (m.norm(c := m.conv()), ops.neg(m.leaves["b"], after=[c.node])),
    "the images are smaller": lambda m: (m.norm(m.conv(strides=(9, 9), dilations=(3, 1))),),
}


@pytest.mark.parametrize("why", STAYS)
def test_a_normalisation_stays_where(why: str) -> None:
    graph = typed(*STAYS[why](Layer(c=6)))
    assert names(simplify(graph)) == names(graph)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_normalisation_in_half_precision_stays(dtype: str) -> None:
    layer = Layer(dtype=dtype)
    assert "batch_norm" in names(simplify(typed(layer.norm(layer.conv()))))


def test_a_normalisation_of_unknown_size_or_on_another_device_stays() -> None:
    layer = Layer()
    x = ops.placeholder(dtype="float64", shape=(None, 3, 8, 7), name="x")
    graph = typed(layer.norm(ops.conv2d(x, layer.leaves["w"])))
    assert names(absorb(graph)) == names(graph)
    conv = layer.conv().node
    placed = ops.conv2d.node(conv.inputs, conv.attrs, device=Device("cpu", 1)).outputs[0]
    graph = typed(layer.norm(placed))
    assert names(absorb(graph)) == names(graph)


def test_graphs_without_normalisation_are_returned_as_they_are() -> None:
    graph = typed(Layer().conv())
    assert absorb(graph) is graph


# in sessions ------------------------------------------------------------------------------------

CONFIGS = ["cpu", "cpu fusion", "numpy", "cpu interpret"]
Network = tuple[tf.Tensor, dict[str, tf.Variable], tf.Tensor, np.ndarray]


def network(data_format: str = "NCHW", dtype: str = "float64") -> Network:
    """x, variables by name, the normalised convolution, and what to feed."""
    shapes = {"w": (3, 3, 2, 5), **dict.fromkeys(VECTORS, (5,))}
    made = {
        name: tf.Variable(RNG.uniform(0.5, 2, shape).astype(dtype), name=name)
        for name, shape in shapes.items()
    }
    image = RNG.normal(size=(4, 2, 6, 7) if data_format == "NCHW" else (4, 6, 7, 2)).astype(dtype)
    x = tf.placeholder(dtype, [None, *image.shape[1:]], name="x")
    y = tf.nn.conv2d(x, made["w"], [1, 1, 1, 1], "SAME", data_format=data_format)
    moving = {f"moving_{name}": made[name] for name in ("mean", "variance")}
    y = tf.nn.batch_norm(y, made["gamma"], made["beta"], training=False, **moving)
    return x, made, y, image


def started(config: str = "cpu") -> tf.Session:
    session = tf.Session(config)
    session.run(tf.global_variables_initializer())
    return session


def after_simplify(session: tf.Session, fetch: Any, feeds: Any) -> list[str]:
    return names({step.name: step.graph for step in session.trace(fetch, feeds)}["simplify"])


def unfolded(session: tf.Session) -> tf.Session:
    other = session.clone()
    other.pipeline = other.pipeline.replace("simplify", lambda graph: graph)
    return other


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
def test_sessions_fold_images_of_either_layout(config: str, data_format: str) -> None:
    x, _, y, image = network(data_format)
    session, z = started(config), tf.nn.relu(y)
    found = after_simplify(session, z, {x: image})
    assert "batch_norm" not in found and found.count("conv2d") == 1
    expected = unfolded(session).run_values([z.value], [x.value], [image])[0]
    np.testing.assert_allclose(session.run(z, {x: image}), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("written", ["w", *VECTORS])
def test_a_write_in_the_same_run_is_seen_as_without_folding(config: str, written: str) -> None:
    x, made, y, image = network()
    variable = made[written]
    session = started(config)
    old = session.run(y, {x: image})
    write = tf.assign(variable, variable * 3.0 + 1.0)
    again, content = session.run([y, write], {x: image})
    np.testing.assert_allclose(again, old, rtol=1e-12, atol=1e-12)
    new = session.run(y, {x: image})
    assert abs(new - old).max() > 0.1
    session.run(tf.assign(variable, (content - 1.0) / 3.0))
    np.testing.assert_allclose(session.run(y, {x: image}), old, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("config", CONFIGS)
def test_filters_may_be_read_before_a_write_that_gamma_is_read_after(config: str) -> None:
    x, made, _, image = network()
    w = tf.Variable(RNG.normal(size=(5, 2, 3, 3)), name="filters")
    conv = Tensor(ops.conv2d(x.value, w.value))
    write = tf.assign(w, w * 2.0)
    gamma = tf.assign(made["gamma"], tf.reduce_sum(write, [1, 2, 3]))
    vectors = [gamma.value, *(made[name].value for name in VECTORS[1:])]
    y = Tensor(ops.batch_norm(conv.value, *vectors, training=False))
    session = started(config)
    state = session.checkpoint().arrays
    found = session.run(y, {x: image})
    scale = 2 * state["filters"].sum((1, 2, 3)) / np.sqrt(state["variance"] + 1e-5)
    images = started().run(conv, {x: image})
    each = (slice(None), None, None)
    expected = (images - state["mean"][each]) * scale[each] + state["beta"][each]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bisection_does_not_take_the_rounding_for_an_error(config: str, dtype: str) -> None:
    x, _, y, image = network(dtype=dtype)
    session = started(config)
    assert "batch_norm" not in after_simplify(session, y, {x: image})
    found = session.bisect(y, {x: image})
    assert found.culprit is None and all(step.largest < 1e-4 for step in found.steps)
