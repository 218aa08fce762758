"""This project as a contestant: placeholders, variables, minimize, one session.run per step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import tinyflow as tf
from benchmarks.workloads import Array, Workload

__all__ = ["Training", "build", "training"]


def conv(x: tf.Tensor, w: tf.Tensor, b: tf.Tensor | None = None, pad: int = 0) -> tf.Tensor:
    """TinyFlow's convolution on given variables; its SAME pads (k - 1) // 2, which ``pad`` is."""
    filters, _, *window = w.shape
    return tf.nn.conv2d(
        x, num_filter=filters, ksize=[1, *window, 1], padding="SAME" if pad else "VALID",
        no_bias=b is None, weight=w, bias=b,
    )  # fmt: skip


WORDS = SimpleNamespace(
    linear=tf.nn.linear, conv=conv, matmul=tf.matmul, relu=tf.nn.relu, tanh=tf.tanh, exp=tf.exp,
    log=tf.log, gelu=tf.nn.gelu, softmax=tf.nn.softmax, layer_norm=tf.nn.layer_norm,
    flatten=tf.nn.flatten_layer, mean=tf.reduce_mean, reshape=tf.reshape,
    matmul_nt=lambda a, b: tf.matmul(a, b, transpose_b=True),
    max_pool=lambda x: tf.nn.max_pool(x, [1, 2, 2, 1], [1, 2, 2, 1], "VALID"),
    avg_pool=lambda x: tf.nn.avg_pool(x, [1, 4, 4, 1], [1, 2, 2, 1], "SAME"),
    batch_norm=lambda x, gamma, beta, name: tf.nn.batch_norm(x, gamma, beta, name=name),
    cross_entropy=tf.nn.mean_sparse_softmax_cross_entropy_with_logits,
    sum_rows=lambda x: tf.reduce_sum(x, reduction_indices=[1]),
    transpose=lambda x, perm: tf.transpose(x, list(perm)),
    split3=lambda x: tf.split(x, 3, axis=-1),
    first=lambda x: x[0],
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Training:
    """A session with initialised variables, what a step fetches, and what it feeds."""

    session: tf.Session
    fetches: list[tf.Tensor]
    feed: dict[tf.Tensor, Array]

    def step(self) -> float:
        """Run one step and return its loss."""
        return float(self.session.run(self.fetches, self.feed)[0])


def training(
    work: Workload,
    parameters: Mapping[str, Array],
    batch: tuple[Array, ...],
    config: str = "cpu fusion",
    **session: Any,
) -> Training:
    """Build the graph of a step, with the rest handed to ``tf.Session``."""
    with tf.Graph().as_default():
        dtypes = {"f": tf.float32, "i": tf.int64}
        fed = [tf.placeholder(dtypes[a.dtype.kind], a.shape, name="x") for a in batch]
        variables = {name: tf.Variable(value, name=name) for name, value in parameters.items()}
        fetches = [work.net(WORDS, variables, *fed)]
        made = tf.Session(config, **session)
        if work.rate:
            rule = tf.train.GradientDescentOptimizer(work.rate)
            if work.adam:
                rule = tf.train.AdamOptimizer(work.rate, epsilon=1e-8)
            fetches.append(rule.minimize(fetches[0]))
            made.run(tf.initialize_all_variables())
    return Training(made, fetches, dict(zip(fed, batch)))


def build(
    work: Workload, parameters: Mapping[str, Array], batch: tuple[Array, ...]
) -> Callable[[], float]:
    """A function that makes one step and returns its loss."""
    return training(work, parameters, batch).step
