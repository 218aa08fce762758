"""Softmax and cross entropies in torch. Layer: backends.

``KERNELS`` and the functions that their templates name, ``NAMESPACE``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from tinyflow import ops
from tinyflow.backends.table import Kernels, Namespace, Template, wrong_label
from tinyflow.backends.torch_kernel import Attrs, Out, Shapes, kernel, named

__all__ = ["KERNELS", "NAMESPACE"]

_nll_loss = torch._C._nn.nll_loss  # type: ignore[attr-defined]  # the stub lacks it
_MEAN = 1  # aten's code for reduction="mean"
_NEVER = -(2**62) - 1  # an ignore_index that no label has; the default, -100, is a likely mistake
_VECTOR_BYTES = {"AVX512": 64, "AVX2": 32}.get(torch.backends.cpu.get_cpu_capability(), 16)


# torch normalises a row that is shorter than a vector register one element after the other, ten
# times slower than a column of a wide matrix: short rows are laid down first.


def _short_rows(shape: Sequence[int], axis: int, itemsize: int = 4) -> bool:
    last = axis in (1, -1) and len(shape) == 2
    return last and shape[0] >= 32 and shape[1] * itemsize < _VECTOR_BYTES


def _normalise(function: Callable[..., Tensor], x: Tensor, axis: int, out: Out) -> Tensor:
    if not _short_rows(x.shape, axis, x.element_size()):
        return function(x, axis, out=out)
    columns = function(x.t(), 0).t()
    return columns.contiguous() if out is None else out.copy_(columns)


def _softmax(x: Tensor, axis: int, out: Out = None) -> Tensor:
    return _normalise(torch.softmax, x, axis, out)


def _log_softmax(x: Tensor, axis: int, out: Out = None) -> Tensor:
    return _normalise(torch.log_softmax, x, axis, out)


def _normalise_template(name: str) -> Template:
    def template(attrs: Attrs, shapes: Shapes) -> str:
        if _short_rows(shapes[0], attrs["axis"]):
            return f"{{out}}.copy_({name}({{0t}}, 0).t())"
        return f"{name}({{0}}, {{@axis}}, out={{out}})"

    return template


def _softmax_grad(dy: Tensor, y: Tensor, axis: int, out: Out = None) -> Tensor:
    return torch._softmax_backward_data(dy, y, axis, y.dtype, grad_input=out)


def _log_softmax_grad(dy: Tensor, y: Tensor, axis: int, out: Out = None) -> Tensor:
    return torch._log_softmax_backward_data(dy, y, axis, y.dtype, out=out)


def _checked(labels: Tensor, classes: int) -> Tensor:
    """Labels as int64; floats must be whole. Range is checked where they are used as indices.

    A GPU does not come back from an index out of range, so there it is checked before.
    """
    if not labels.is_cpu:
        _refuse(labels, classes)
    if labels.dtype is torch.int64:
        return labels
    if labels.is_floating_point() and not torch.equal(labels, labels.floor()):
        _refuse(labels, classes)
    return labels.to(torch.int64)


def _refuse(labels: Tensor, classes: int) -> None:
    plain = labels.double() if labels.is_floating_point() else labels  # numpy has no bfloat16
    error = wrong_label(plain.cpu().numpy(), classes)
    if error:
        raise error


def _checked_labels(x: Tensor, hits: Tensor, labels: Tensor, classes: int) -> Tensor:
    if hits.item() != len(labels):
        _refuse(labels, classes)
    return x


def _sparse_loss(
    logits: Tensor, labels: Tensor, normalised: bool = False, out: Out = None
) -> Tensor:
    """nll_loss checks the range of the labels, on both sides."""
    index = _checked(labels, logits.shape[1])
    log_p = logits if normalised else _log_softmax(logits, 1)
    try:
        loss: Tensor = _nll_loss(log_p, index, None, _MEAN, _NEVER)
    except (IndexError, RuntimeError):
        _refuse(labels, logits.shape[1])
        raise
    return loss if out is None else out.copy_(loss)


@lru_cache(maxsize=64)
def _minus_one(count: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.full((), -1.0, dtype=dtype, device=device).expand(count, 1)


def _sparse_grad(
    dy: Tensor, logits: Tensor, labels: Tensor, normalised: bool = False, out: Out = None
) -> Tensor:
    """(p - onehot) * dy / n. Scatter checks the range of the labels; nll_loss_backward does not."""
    n, classes = logits.shape
    index = _checked(labels, classes)
    p = torch.exp(logits, out=out) if normalised else _softmax(logits, 1, out=out)
    try:
        p.scatter_add_(1, index.unsqueeze(1), _minus_one(n, p.dtype, p.device))
    except RuntimeError:
        _refuse(labels, classes)
        raise
    return p.mul_(dy / n)


def _weighted(logits: Tensor, labels: Tensor) -> Tensor:
    return _log_softmax(logits, -1).mul_(labels)


def _dense_loss(logits: Tensor, labels: Tensor, out: Out = None) -> Tensor:
    return torch.sum(_weighted(logits, labels), -1, out=out).neg_()


def _mean_dense_loss(logits: Tensor, labels: Tensor, out: Out = None) -> Tensor:
    rows = logits.shape[:-1].numel()
    return torch.sum(_weighted(logits, labels), None, out=out).div_(-rows)


KERNELS: Kernels = {
    ops.softmax: kernel(_softmax, _normalise_template("softmax")),
    ops.log_softmax: kernel(_log_softmax, _normalise_template("log_softmax")),
    ops.softmax_grad: kernel(
        _softmax_grad, "softmax_backward({0}, {1}, {@axis}, {1}.dtype, grad_input={out})"
    ),
    ops.log_softmax_grad: kernel(
        _log_softmax_grad, "log_softmax_backward({0}, {1}, {@axis}, {1}.dtype, out={out})"
    ),
    ops.checked_labels: kernel(
        _checked_labels, "checked_labels({0}, {1}, {2}, {@classes})", writes_out=False
    ),
    ops.mean_sparse_softmax_cross_entropy_with_logits: kernel(
        _sparse_loss, "sparse_loss({0}, {1}, {@normalised}, {out})"
    ),
    ops.sparse_softmax_cross_entropy_grad: kernel(
        _sparse_grad, "sparse_grad({0}, {1}, {2}, {@normalised}, {out})"
    ),
    ops.softmax_cross_entropy_with_logits: kernel(_dense_loss, "dense_loss({0}, {1}, {out})"),
    ops.mean_softmax_cross_entropy_with_logits: kernel(
        _mean_dense_loss, "mean_dense_loss({0}, {1}, {out})"
    ),
}

NAMESPACE: Namespace = {
    **named("softmax log_softmax"),
    "softmax_backward": torch._softmax_backward_data,
    "log_softmax_backward": torch._log_softmax_backward_data,
    "checked_labels": _checked_labels,
    "sparse_loss": _sparse_loss,
    "sparse_grad": _sparse_grad,
    "dense_loss": _dense_loss,
    "mean_dense_loss": _mean_dense_loss,
}
