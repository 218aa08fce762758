"""The networks, each written once in words that every contestant knows.

``F`` is a contestant's vocabulary, ``p`` its parameters by name, the rest the arrays of a batch:

    linear(x, w, b=None)  x (n, k), w (m, k), b (m,) -> x @ w.T + b   matmul_nt(a, b)  a @ b.T
    conv(x, w, b=None, pad=0)  images NCHW, filters OIHW              matmul(a, b)     of stacks
    max_pool(x)  2x2 windows, step 2     avg_pool(x)  4x4 windows, step 2, a ring of zeros counts
    batch_norm(x, gamma, beta, name)  in training, statistics ``name`` move     flatten(x)  (n, k)
    layer_norm(x, gamma, beta)  softmax(x)  along the last axis     sum_rows(x)  (n, k) -> (n,)
    cross_entropy(logits, labels)  mean over the batch, labels are class numbers
    relu tanh exp log gelu (exact) mean  reshape(x, shape)  transpose(x, perm)  split3(x)  first(x)

Each function returns the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["Net", "block", "chain", "gelu_like", "lenet", "mlp", "resnet", "softmax"]

Net = Callable[..., Any]  # (F, p, *batch) -> loss
Parameters = Mapping[str, Any]
HEADS = 4


def softmax(F: Any, p: Parameters, x: Any, targets: Any) -> Any:
    """Softmax regression; targets (n, classes) are one-hot rows."""
    likely = F.softmax(F.linear(x, p["w1"]))
    return F.mean(-F.sum_rows(targets * F.log(likely)))


def mlp(F: Any, p: Parameters, x: Any, labels: Any) -> Any:
    """Linear layers with ReLU between them; biases on all but the last."""
    last = sum(name.startswith("w") for name in p)
    for layer in range(1, last):
        x = F.relu(F.linear(x, p[f"w{layer}"], p[f"b{layer}"]))
    return F.cross_entropy(F.linear(x, p[f"w{last}"]), labels)


def lenet(F: Any, p: Parameters, x: Any, labels: Any) -> Any:
    """Two convolutions with tanh and pooling, two linear layers: TinyFlow's example."""
    for layer in (1, 2):
        x = F.max_pool(F.tanh(F.conv(x, p[f"c{layer}"], p[f"d{layer}"])))
    hidden = F.tanh(F.linear(F.flatten(x), p["w1"]))
    return F.cross_entropy(F.linear(hidden, p["w2"]), labels)


def resnet(F: Any, p: Parameters, x: Any, labels: Any) -> Any:
    """Three residual blocks with batch normalisation: TinyFlow's CIFAR example."""

    def layer(x: Any, name: str, pad: int) -> Any:
        x = F.conv(x, p[name], pad=pad)
        return F.relu(F.batch_norm(x, p[f"{name}_gamma"], p[f"{name}_beta"], name))

    x = F.tanh(F.conv(x, p["c1"], pad=2))
    for r in sorted({name[:2] for name in p if name[0] == "r"}):
        inner = layer(layer(x, f"{r}a", 1), f"{r}b", 1)
        x = F.relu(inner + (layer(x, f"{r}c", 0) if f"{r}c" in p else x))
    x = F.conv(F.avg_pool(x), p["c2"])
    return F.cross_entropy(F.linear(F.flatten(x), p["w1"]), labels)


def block(F: Any, p: Parameters, x: Any) -> Any:
    """A pre-norm transformer block, x (batch, tokens, width); the mean square of what comes out."""
    count, tokens, width = x.shape
    split = (count, tokens, HEADS, width // HEADS)
    x = F.reshape(x, (count * tokens, width))
    mixed = F.linear(F.layer_norm(x, p["gamma1"], p["beta1"]), p["w_qkv"], p["b_qkv"])
    q, k, v = (F.transpose(F.reshape(part, split), (0, 2, 1, 3)) for part in F.split3(mixed))
    read = F.matmul(F.softmax(F.matmul_nt(q, k) * (width // HEADS) ** -0.5), v)
    read = F.reshape(F.transpose(read, (0, 2, 1, 3)), (count * tokens, width))
    x = x + F.linear(read, p["w_out"], p["b_out"])
    hidden = F.gelu(F.linear(F.layer_norm(x, p["gamma2"], p["beta2"]), p["w_up"], p["b_up"]))
    x = x + F.linear(hidden, p["w_down"], p["b_down"])
    return F.mean(x * x)


def chain(F: Any, p: Parameters, x: Any) -> Any:
    """Layers of tanh, one after the other; the mean square of what comes out."""
    for layer in range(1, len(p) // 2 + 1):
        x = F.tanh(F.linear(x, p[f"w{layer}"], p[f"b{layer}"]))
    return F.mean(x * x)


def gelu_like(F: Any, p: Parameters, x: Any) -> Any:
    """A chain of cheap operations on each element of x (n,); the first element of the result."""
    inner = 0.7978845608 * (x + 0.044715 * x * x * x)
    return F.first(0.5 * x * (1.0 + F.tanh(inner)) - F.exp(-x * x) * 0.1)
