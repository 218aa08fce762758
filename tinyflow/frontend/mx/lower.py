"""From MXNet's operators to those of the engine: one rule each. Layer: frontend."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tinyflow import ops
from tinyflow.errors import GraphError, TinyflowError
from tinyflow.frontend.mx import layers
from tinyflow.ir import Graph, Node, Op, Value, rewrite
from tinyflow.types import DType, Shape, unify_shape

__all__ = ["Lowered", "auxiliaries", "lower", "output_names"]

Rule = Callable[["Lowered", Node, Sequence[Value]], Any]  # one result, or a tuple of them


@dataclass(slots=True)
class Lowered:
    """A symbol in ops of the engine, for training or for inference.

    ``dtypes``: those of variables that are not float32, by name.
    ``leaves``: value of each variable by name, in MXNet's order. ``states``: what training makes of
    auxiliary states. ``checks``: values that tell about shapes, but that no output needs.
    """

    training: bool
    dtypes: Mapping[str, DType] = field(default_factory=dict)
    outputs: tuple[Value, ...] = ()
    leaves: dict[str, Value] = field(default_factory=dict)
    states: dict[str, Value] = field(default_factory=dict)
    checks: list[Value] = field(default_factory=list)
    masks: int = 0  # dropouts so far: each has a seed of its own


def lower(symbol: Graph, training: bool, dtypes: Mapping[str, DType] | None = None) -> Lowered:
    """Rewrite a graph of MXNet's operators op by op.

    Parameters and auxiliary states become variables, as shaped by the layer they belong to; other
    leaves become placeholders. Raises GraphError for two leaves of one name, ShapeError for a
    parameter of two layers that do not agree.
    """
    made, parameters = Lowered(training, dtypes or {}), _parameters(symbol)

    def rule(node: Node, inputs: tuple[Value, ...]) -> Sequence[Value]:
        if node.op is not layers.NULL:
            results = _RULES[node.op](made, node, inputs)
            return results if isinstance(results, tuple) else (results,)
        name = node.name or ""
        if name in made.leaves:
            raise GraphError("two variables share one name", node=node, fix="Rename one of them.")
        kind = ops.variable if node in parameters else ops.placeholder
        shape = parameters.get(node, node.attrs["shape"])
        dtype = made.dtypes.get(name, node.attrs["dtype"] or DType.float32)
        made.leaves[name] = kind(dtype=dtype, shape=shape, name=name)
        return (made.leaves[name],)

    made.outputs = rewrite(symbol, rule)[0].outputs
    return made


def auxiliaries(symbol: Graph) -> set[Node]:
    """The leaves that training writes."""
    return {node.inputs[place].node for node in symbol.nodes for place in node.op.mutates}


def output_names(symbol: Graph) -> list[str]:
    """MXNet's names of the results: ``fc1_output``."""
    nodes = [value.node for value in symbol.outputs]
    return [f"{node.name}{'' if node.op is layers.NULL else '_output'}" for node in nodes]


_SHAPES: Mapping[Op, Callable[[Mapping[str, Any]], Sequence[Shape]]] = {
    layers.FullyConnected: lambda a: ((a["num_hidden"], None), (a["num_hidden"],)),
    layers.Convolution: lambda a: ((a["num_filter"], None, *a["kernel"]), (a["num_filter"],)),
    layers.BatchNorm: lambda a: ((None,),) * 4,
}


def _parameters(symbol: Graph) -> dict[Node, Shape]:
    """The shape of each leaf that is a parameter or state of a layer, as far as the layer knows."""
    found: dict[Node, Shape] = {}
    for node in symbol.nodes:
        shapes = _SHAPES[node.op](node.attrs) if node.op in _SHAPES else ()
        for leaf, shape in zip((value.node for value in node.inputs[1:]), shapes):
            if leaf.op is layers.NULL:
                try:
                    found[leaf] = unify_shape(found.get(leaf, leaf.attrs["shape"]), shape)
                except TinyflowError as error:
                    raise error.at(leaf) from None
    return found


def _window(node: Node) -> dict[str, Any]:
    """Strides and padding: MXNet pads both sides alike; NNVM may say top, left, bottom, right."""
    given = {key: node.attrs.get(key, ()) for key in ("kernel", "stride", "dilate", "pad")}
    strides, pad = given["stride"], given["pad"] * (2 if len(given["pad"]) == 1 else 1)
    two = [given["kernel"], strides, given["dilate"], pad[: len(pad) // 2] if pad[2:] else pad]
    if {len(sizes or given["kernel"]) for sizes in two} != {2}:
        got = ", ".join(f"{key} {sizes}" for key, sizes in given.items())
        raise GraphError("only images are supported", node=node, got=got, expected="two sizes")
    top, left, *rest = pad or (0, 0)
    bottom, right = rest or (top, left)
    return {
        "strides": strides or (1, 1),
        "padding": (top, bottom, left, right),
        "name": node.name,
    }


def _convolution(made: Lowered, node: Node, inputs: Sequence[Value]) -> Any:
    spread = {"dilations": node.attrs["dilate"] or (1, 1), "groups": node.attrs["num_group"]}
    return ops.conv2d(*inputs, **spread, **_window(node))


def _pooling(made: Lowered, node: Node, inputs: Sequence[Value]) -> Any:
    largest = node.attrs["pool_type"] == "max"
    if node.attrs["global_pool"]:
        reduction = ops.reduce_max if largest else ops.reduce_mean
        return reduction(*inputs, reduction_indices=(2, 3), keepdims=True, name=node.name)
    window = {"ksize": node.attrs["kernel"], **_window(node)}
    if largest:
        return ops.max_pool2d(*inputs, **window)[0]
    return ops.avg_pool2d(*inputs, count_padding=node.attrs["count_include_pad"], **window)


def _batch_norm(made: Lowered, node: Node, inputs: Sequence[Value]) -> Any:
    """moving <- momentum * moving + (1 - momentum) * batch, for mean and variance."""
    x, gamma, beta, *moving = inputs
    gamma = ops.ones_like(gamma) if node.attrs["fix_gamma"] else gamma
    training = made.training and not node.attrs["use_global_stats"]
    attrs = {"training": training, "epsilon": node.attrs["eps"]}
    y, *batch = ops.batch_norm.node((x, gamma, beta, *moving), attrs, name=node.name).outputs
    keep = node.attrs["momentum"]
    for old, new in zip(moving, batch):
        made.states[old.node.name or ""] = ops.add(ops.mul(old, keep), ops.mul(new, 1.0 - keep))
    return (y, *(batch or moving))


def _dropout(made: Lowered, node: Node, inputs: Sequence[Value]) -> Any:
    (x,), keep = inputs, 1.0 - node.attrs["p"]
    if not 0 < keep <= 1:
        raise GraphError("wrong p", node=node, got=node.attrs["p"], expected="0 <= p < 1")
    if not made.training or keep == 1:
        return ops.identity(x, name=node.name), ops.ones_like(x)
    made.masks += 1
    stays = ops.cast_like(ops.less(ops.uniform_like(x, seed=made.masks), keep), x)
    mask = ops.div(stays, keep)
    return ops.mul(x, mask, name=node.name), mask


def _softmax_output(made: Lowered, node: Node, inputs: Sequence[Value]) -> Any:
    """y = softmax(x)  =>  dx = scale * (y - onehot(label)), whatever dy is."""
    x, label = inputs
    y, scale = ops.softmax(x, name=node.name), node.attrs["grad_scale"]
    if node.attrs["normalization"] == "null":  # the op below divides by n
        scale = ops.mul(ops.size(label), scale)
    dx = ops.sparse_softmax_cross_entropy_grad(scale, x, label)
    made.checks.append(dx)
    hole = ops.placeholder(dtype="float32", name="dy")
    return ops.with_gradient(y, x, backward=Graph((hole, dx))) if made.training else y


def _reshape(made: Lowered, node: Node, inputs: Sequence[Value]) -> Any:
    shape = node.attrs["shape"]
    if shape == (0, -1):
        return ops.flatten_layer(*inputs, name=node.name)
    if min(shape, default=1) < -1 or 0 in shape:
        raise GraphError("wrong shape", node=node, got=shape, expected="sizes, one -1, or (0, -1)")
    return ops.reshape(*inputs, shape=shape, name=node.name)


def _reduction(op: Op, made: Lowered, node: Node, inputs: Sequence[Value]) -> Any:
    """No axes are all axes; then one element remains, not a scalar."""
    axes, keep = node.attrs["axis"], node.attrs["keepdims"]
    if axes or keep:
        return op(*inputs, reduction_indices=axes or None, keepdims=keep, name=node.name)
    return ops.reshape(op(*inputs), shape=(1,), name=node.name)


def _clip(made: Lowered, node: Node, inputs: Sequence[Value]) -> Any:
    raised = ops.maximum(*inputs, node.attrs["a_min"])
    return ops.minimum(raised, node.attrs["a_max"], name=node.name)


def _with_attrs(op: Op, made: Lowered, node: Node, inputs: Sequence[Value]) -> Any:
    return op(*inputs, name=node.name, **node.attrs)


def _scalar(op: Op, number_first: bool, made: Lowered, node: Node, inputs: Sequence[Value]) -> Any:
    pair = (inputs[0], node.attrs["scalar"])
    return op(*(pair[::-1] if number_first else pair), name=node.name)


def _same(op: Op, made: Lowered, node: Node, inputs: Sequence[Value]) -> Any:
    return op(*inputs, name=node.name)


_RULES: Mapping[Op, Rule] = {
    layers.FullyConnected: partial(_same, ops.linear),
    layers.Convolution: _convolution,
    layers.Pooling: _pooling,
    layers.BatchNorm: _batch_norm,
    layers.Activation: lambda m, n, x: _same(ops.OPS[n.attrs["act_type"]], m, n, x),
    layers.Dropout: _dropout,
    layers.SoftmaxOutput: _softmax_output,
    layers.Concat: lambda _, n, x: ops.concat(*x, axis=n.attrs["dim"], name=n.name),
    layers.Reshape: _reshape,
    layers.softmax: partial(_with_attrs, ops.softmax),
    layers.log_softmax: partial(_with_attrs, ops.log_softmax),
    layers.dot: partial(_with_attrs, ops.matmul),
    layers.batch_dot: partial(_with_attrs, ops.batch_matmul),
    layers.transpose: lambda _, n, x: ops.transpose(*x, perm=n.attrs["axes"] or None, name=n.name),
    layers.clip: _clip,
    **{layers.DIALECT[n]: partial(_reduction, op) for n, op in layers.REDUCTIONS.items()},
    layers.SoftmaxActivation: partial(_same, ops.softmax),
    **{layers.DIALECT[n]: partial(_same, op) for n, op in (layers.UNARY | layers.BINARY).items()},
    **{layers.DIALECT[n]: partial(_scalar, op, n[1] == "r") for n, op in layers.SCALAR.items()},
}
