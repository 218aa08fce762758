"""``tf.nn``: batch normalisation, and the switch from training to inference. Layer: frontend."""

from __future__ import annotations

from tinyflow import ops
from tinyflow.frontend.inference import for_inference
from tinyflow.frontend.tf.images import NCHW, from_nchw, layout_by_sizes, layout_of, to_nchw
from tinyflow.frontend.tf.known import forward_shape
from tinyflow.frontend.tf.scope import current_scope
from tinyflow.frontend.tf.tensor import Like, Tensor, Variable, unwrap
from tinyflow.ir import Graph, Op, Value

__all__ = ["batch_norm", "batch_normalization", "inference"]


def batch_norm(
    x: Like,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    *,
    training: bool | Tensor = True,
    moving_mean: Variable | None = None,
    moving_variance: Variable | None = None,
    momentum: float = 0.9,
    epsilon: float = 1e-5,
    data_format: str | None = None,
    name: str | None = None,
) -> Tensor:
    """gamma * (x - mean) / sqrt(variance + epsilon) + beta for each channel of images, or column.

    In training, mean and variance are those of the batch, and every step of an optimizer on what
    follows also moves the moving ones:

        moving <- momentum * moving + (1 - momentum) * batch

    so momentum is the share that stays, as in TensorFlow (PyTorch calls 1 - momentum that). The
    variance is the mean of squares, divided by n. With ``training=False`` the moving values are
    used and nothing moves; :func:`inference` turns a whole network over to them. A bool tensor,
    such as a placeholder, chooses in each run; both are computed then.

    Args:
        gamma, beta: (c,), in place of new variables ``<name>_gamma`` and ``<name>_beta``, which
            have no first content of their own and inferred shapes.
        moving_mean, moving_variance: (c,), in place of ``<name>_moving_mean``, which starts from 0,
            and ``<name>_moving_variance``, which starts from 1, by
            ``tf.initialize_all_variables()`` once gamma and beta have content. Not trainable.
        data_format: "NCHW", "NHWC"; None: that of the convolution or pool that the images come
            from, or the only one in which their channels are as many as gamma, or another, has.

    Raises GraphError for images that may be NCHW or NHWC.
    """
    scope = current_scope()
    layout = layout_of(x, data_format)
    name = scope.unique_name(name or "batch_norm")
    gamma = Variable.implicit(f"{name}_gamma", (None,)) if gamma is None else gamma
    beta = Variable.implicit(f"{name}_beta", (None,)) if beta is None else beta
    mean = _moving(f"{name}_moving_mean", ops.zeros_like, gamma, moving_mean)
    variance = _moving(f"{name}_moving_variance", ops.ones_like, gamma, moving_variance)
    rows = len(forward_shape(unwrap(x)) or ()) == 2
    if layout is None and not rows:
        vectors = map(unwrap, (gamma, beta, mean, variance))
        layout = layout_by_sizes(x, ops.batch_norm, lambda _: {"epsilon": epsilon}, *vectors)
    images = _stand(unwrap(x)) if rows else to_nchw(x, layout)
    inputs = [images, *map(unwrap, (gamma, beta, mean, variance))]

    def normalised(training: bool) -> tuple[Value, ...]:
        attrs = {"training": training, "epsilon": epsilon}
        return ops.batch_norm.node(inputs, attrs, name=name, after=scope.waits).outputs

    if training is False:
        return _back(normalised(False)[0], layout, rows)
    y, *batch = normalised(True)
    moved = [_mixed(old, new, momentum) for old, new in zip((mean, variance), batch)]
    if isinstance(training, Tensor):
        y = ops.where(training.value, y, normalised(False)[0])
        stay = (mean.value, variance.value)
        moved = [ops.where(training.value, new, old) for new, old in zip(moved, stay)]
    writes = zip((mean, variance), moved)
    scope.updates[batch[0].node] = [old.assign(Tensor(new)).value for old, new in writes]
    return _back(y, layout, rows)


def _stand(rows: Value) -> Value:
    """Rows (n, c) as images (n, c, 1, 1)."""
    images: Value = ops.expand_dims(ops.expand_dims(rows, axis=2), axis=3)
    return images


def _back(images: Value, layout: str | None, rows: bool) -> Tensor:
    return Tensor(ops.squeeze(images, axes=(2, 3))) if rows else from_nchw(images, layout)


def _moving(name: str, first: Op, like: Tensor, given: Variable | None) -> Variable:
    if given is not None:
        return given
    with current_scope().changed(waits=()):  # initialising waits for nothing
        return Variable(Tensor(first(unwrap(like))), name, trainable=False)


def _mixed(moving: Variable, batch: Value, momentum: float) -> Value:
    return (moving * momentum + Tensor(batch) * (1.0 - momentum)).value


def batch_normalization(
    x: Like,
    mean: Like | None = None,
    variance: Like | None = None,
    offset: Like | None = None,
    scale: Like | None = None,
    variance_epsilon: float = 1e-5,
    name: str | None = None,
    data_format: str | None = None,
) -> Tensor:
    """TinyFlow's layer ``batch_normalization(x)``, which is :func:`batch_norm`, or TensorFlow's

    formula ``scale * (x - mean) / sqrt(variance + variance_epsilon) + offset``, broadcasting, if
    ``mean`` and ``variance`` are given. TinyFlow's layer reads images from nowhere as NCHW.
    """
    if mean is None or variance is None:
        layout = layout_of(x, data_format) or NCHW
        return batch_norm(x, epsilon=variance_epsilon, data_format=layout, name=name)
    factor = ops.div(1.0, ops.sqrt(ops.add(unwrap(variance), variance_epsilon)))
    factor = factor if scale is None else ops.mul(factor, unwrap(scale))
    y = ops.mul(ops.sub(unwrap(x), unwrap(mean)), factor)
    return Tensor(y if offset is None else ops.add(y, unwrap(offset), name=name))


def inference(tensor: Tensor) -> Tensor:
    """The same network in inference: batch normalisation by moving values, and no dropout.

    All variables are shared. A placeholder that only told the probability of a dropout need not be
    fed any more.
    """
    return Tensor(for_inference(Graph((tensor.value,))).outputs[0])
