"""JAX as a contestant: the whole step in one jit, parameters donated. Needs jax[cpu]."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.workloads import Array, Workload

__all__ = ["build"]

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


def conv(x: Any, w: Any, b: Any = None, pad: int = 0) -> Any:
    """Images NCHW, filters OIHW."""
    layout = ("NCHW", "OIHW", "NCHW")
    y = lax.conv_general_dilated(x, w, (1, 1), [(pad, pad)] * 2, dimension_numbers=layout)
    return y if b is None else y + b[:, None, None]


def pool(x: Any, start: float, join: Any, size: int, pad: int) -> Any:
    """Windows of ``size``, step 2, within a ring of ``pad``."""
    ring = [(0, 0), (0, 0), (pad, pad), (pad, pad)]
    return lax.reduce_window(x, start, join, (1, 1, size, size), (1, 1, 2, 2), ring)


def normalised(x: Any, gamma: Any, beta: Any, axes: tuple[int, ...]) -> Any:
    """To mean 0 and variance 1 over ``axes``."""
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) * lax.rsqrt(variance + 1e-5) * gamma + beta


def cross_entropy(logits: Any, labels: Any) -> Any:
    """Mean over the batch."""
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1).mean()


WORDS = SimpleNamespace(
    linear=lambda x, w, b=0.0: x @ w.T + b, conv=conv, matmul=jnp.matmul, relu=jax.nn.relu,
    tanh=jnp.tanh, exp=jnp.exp, log=jnp.log, mean=jnp.mean, softmax=jax.nn.softmax,
    reshape=jnp.reshape, transpose=jnp.transpose, cross_entropy=cross_entropy,
    gelu=lambda x: jax.nn.gelu(x, approximate=False),
    matmul_nt=lambda a, b: a @ jnp.swapaxes(b, -1, -2),
    max_pool=lambda x: pool(x, -jnp.inf, lax.max, 2, 0),
    avg_pool=lambda x: pool(x, 0.0, lax.add, 4, 1) / 16,
    batch_norm=lambda x, gamma, beta, name: normalised(
        x, gamma[:, None, None], beta[:, None, None], (0, 2, 3)
    ),
    layer_norm=lambda x, gamma, beta: normalised(x, gamma, beta, (-1,)),
    sum_rows=lambda x: x.sum(1),
    flatten=lambda x: x.reshape(len(x), -1),
    split3=lambda x: jnp.split(x, 3, -1),
    first=lambda x: x,  # else only that element is computed: ``build`` takes it out
)  # fmt: skip


def build(
    work: Workload, parameters: Mapping[str, Array], batch: tuple[Array, ...]
) -> Callable[[], float]:
    """A function that makes one step and returns its loss."""
    if not work.rate:
        apply, inputs = jax.jit(lambda x: work.net(WORDS, {}, x)), [jnp.asarray(batch[0])]
        return lambda: float(jax.block_until_ready(apply(*inputs))[0])
    p = {name: jnp.asarray(value) for name, value in parameters.items()}
    zeros = jax.tree.map(jnp.zeros_like, p)
    state = (p, zeros, jax.tree.map(jnp.zeros_like, p), jnp.zeros(())) if work.adam else (p,)

    def step(state: Any, *inputs: Any) -> Any:
        loss, slopes = jax.value_and_grad(lambda p: work.net(WORDS, p, *inputs))(state[0])
        if not work.adam:
            return (jax.tree.map(lambda w, g: w - work.rate * g, state[0], slopes),), loss
        p, m, v, count = state
        count = count + 1
        rate, root = work.rate / (1 - BETA1**count), jnp.sqrt(1 - BETA2**count)
        m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, slopes)
        v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, slopes)
        move = lambda w, m, v: w - rate * m / (jnp.sqrt(v) / root + EPSILON)  # noqa: E731
        return (jax.tree.map(move, p, m, v), m, v, count), loss

    compiled = jax.jit(step, donate_argnums=0)

    def run() -> float:
        nonlocal state
        state, loss = compiled(state, *batch)
        jax.block_until_ready(state)
        return float(loss)

    return run
