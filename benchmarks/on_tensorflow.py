"""TensorFlow as a contestant: the step as one tf.function, Adam by its own kernel.

Its convolutions train on the CPU in NHWC only: images and filters are handed over that way, and
what comes before a linear layer is turned back. Needs tensorflow-cpu.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import tensorflow as tf

from benchmarks.workloads import Array, Workload

__all__ = ["build"]

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)


def matmul_nt(a: Any, b: Any) -> Any:
    """a @ b.T of matrices, or of stacks of them."""
    return tf.matmul(a, b, transpose_b=True)


def linear(x: Any, w: Any, b: Any = None) -> Any:
    """x @ w.T + b."""
    return matmul_nt(x, w) if b is None else tf.nn.bias_add(matmul_nt(x, w), b)


def conv(x: Any, w: Any, b: Any = None, pad: int = 0) -> Any:
    """Images NHWC, filters HWIO; odd windows, so that SAME pads alike on all sides."""
    y = tf.nn.conv2d(x, w, 1, "SAME" if pad else "VALID")
    return y if b is None else tf.nn.bias_add(y, b)


def avg_pool(x: Any) -> Any:
    """Windows of 4, step 2, a ring of zeros counted."""
    return tf.nn.avg_pool2d(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), 4, 2, "VALID")


def flatten(x: Any) -> Any:
    """(n, h, w, c) -> (n, c * h * w)."""
    return tf.reshape(tf.transpose(x, (0, 3, 1, 2)), (x.shape[0], -1))


def layer_norm(x: Any, gamma: Any, beta: Any) -> Any:
    """Along the last axis."""
    mean, variance = tf.nn.moments(x, -1, keepdims=True)
    return (x - mean) * tf.math.rsqrt(variance + 1e-5) * gamma + beta


def batch_norm(x: Any, gamma: Any, beta: Any, name: str) -> Any:
    """Over all but the last axis, by the fused kernel."""
    norm = tf.compat.v1.nn.fused_batch_norm
    return norm(x, gamma, beta, epsilon=1e-5, is_training=True)[0]


def cross_entropy(logits: Any, labels: Any) -> Any:
    """Mean over the batch."""
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


WORDS = SimpleNamespace(
    linear=linear, conv=conv, matmul=tf.matmul, matmul_nt=matmul_nt, relu=tf.nn.relu, tanh=tf.tanh,
    exp=tf.exp, log=tf.math.log, gelu=tf.nn.gelu, softmax=tf.nn.softmax, mean=tf.reduce_mean,
    reshape=tf.reshape, transpose=tf.transpose, flatten=flatten, layer_norm=layer_norm,
    batch_norm=batch_norm, cross_entropy=cross_entropy, avg_pool=avg_pool,
    max_pool=lambda x: tf.nn.max_pool2d(x, 2, 2, "VALID"),
    sum_rows=lambda x: tf.reduce_sum(x, 1),
    split3=lambda x: tf.split(x, 3, -1),
    first=lambda x: x[0],
)  # fmt: skip


def build(
    work: Workload, parameters: Mapping[str, Array], batch: tuple[Array, ...]
) -> Callable[[], float]:
    """A function that makes one step and returns its loss."""
    inputs = [a.transpose(0, 2, 3, 1).copy() if a.ndim == 4 else a for a in batch]
    start = {k: v.transpose(2, 3, 1, 0) if v.ndim == 4 else v for k, v in parameters.items()}
    p = {name: tf.Variable(value) for name, value in start.items()}
    if not work.rate:
        apply, held = tf.function(lambda x: work.net(WORDS, p, x)), tf.constant(inputs[0])
        return lambda: float(apply(held))
    slots = [[tf.Variable(tf.zeros_like(value)) for value in p.values()] for _ in range(2)]
    count = tf.Variable(0.0)

    @tf.function
    def step(*inputs: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = work.net(WORDS, p, *inputs)
        slopes = tape.gradient(loss, list(p.values()))
        count.assign_add(1.0)
        for w, m, v, g in zip(p.values(), *slots, slopes):
            if work.adam:
                tf.raw_ops.ResourceApplyAdam(
                    var=w.handle, m=m.handle, v=v.handle, beta1_power=BETA1**count,
                    beta2_power=BETA2**count, lr=work.rate, beta1=BETA1, beta2=BETA2,
                    epsilon=EPSILON, grad=g,
                )  # fmt: skip
            else:
                w.assign_sub(work.rate * g)
        return loss

    return lambda: float(step(*map(tf.constant, inputs)))
